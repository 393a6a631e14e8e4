package wire

import (
	"errors"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
)

// Validator checks messages against the rules of the contract. It may be used by several goroutines.
type Validator struct {
	rules protovalidate.Validator
}

// NewValidator builds the one validator of a process; building takes milliseconds, using it microseconds.
func NewValidator() (*Validator, error) {
	rules, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("build the validator: %w", err)
	}
	return &Validator{rules: rules}, nil
}

// Check runs the rules. It returns the broken ones that working peers are known to break, in words for a debug log, and
// all others as one error of kind orca.Invalid.
func (v *Validator) Check(msg proto.Message) (tolerated []string, err error) {
	err = v.rules.Validate(msg)
	var broken *protovalidate.ValidationError
	if errors.As(err, &broken) {
		return nil, refuse("", "%v", broken)
	}
	return nil, err
}
