package wire

import (
	"errors"
	"fmt"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// maxViolations is how many broken rules are described; the rest are counted.
const maxViolations = 10

// Names of the rules, as the contract writes them.
const (
	ruleRequired     = "required"
	ruleMaxLen       = "string.max_len"
	ruleTimestampGt  = "timestamp.gt"
	ruleTimeOrdering = "window.time_ordering"
)

// The parts of a result that repeat what the request said.
const (
	echoedAlgorithm = "AlgorithmResult.algorithm"
	echoedWindow    = "AlgorithmResult.window"
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

// Check runs the rules on a message. Broken rules that working peers are known to break come back as tolerated, in
// words for a debug log; all others as one error of kind orca.Invalid with the field, the value, the rule and what to
// do. Of either, at most ten are described and the rest counted.
func (v *Validator) Check(msg proto.Message) (tolerated []string, err error) {
	if w, ok := msg.(*pb.Window); ok && plain(w) {
		return nil, nil
	}
	err = v.rules.Validate(msg)
	if err == nil {
		return nil, nil
	}
	var broken *protovalidate.ValidationError
	if !errors.As(err, &broken) {
		return nil, fmt.Errorf("check a %s: %w", msg.ProtoReflect().Descriptor().FullName(), err)
	}
	var known, refused descriptions
	for _, b := range broken.Violations {
		at := locate(msg.ProtoReflect(), b)
		if at.tolerated() {
			known.add(at)
		} else {
			refused.add(at)
		}
	}
	if refused.count > 0 {
		return known.list(), orca.Errorf(orca.Invalid, "%s", strings.Join(refused.list(), "; "))
	}
	return known.list(), nil
}

// descriptions are the words for the first violations, and the number of all.
type descriptions struct {
	words []string
	count int
}

func (d *descriptions) add(v violation) {
	d.count++
	if d.count <= maxViolations {
		d.words = append(d.words, v.String())
	}
}

func (d *descriptions) list() []string {
	if d.count > maxViolations {
		return append(d.words, fmt.Sprintf("and %d more", d.count-maxViolations))
	}
	return d.words
}

// violation is one broken rule, with the place in the message where it was broken.
type violation struct {
	rule string
	path *validate.FieldPath
	// message holds the field; it is what the rule is about when there is no field.
	message protoreflect.Message
	field   protoreflect.FieldDescriptor
	// outer are the fields that lead to message, the outermost first.
	outer []protoreflect.FieldDescriptor
	limit protoreflect.Value
	// words are those of a rule that the contract writes out.
	words string
}

// locate walks the path of a violation down from the message that was checked.
func locate(msg protoreflect.Message, broken *protovalidate.Violation) violation {
	v := violation{
		rule:    broken.Proto.GetRuleId(),
		path:    broken.Proto.GetField(),
		message: msg,
		field:   broken.FieldDescriptor,
		limit:   broken.RuleValue,
		words:   broken.Proto.GetMessage(),
	}
	steps := v.path.GetElements()
	if v.field != nil && len(steps) > 0 {
		steps = steps[:len(steps)-1] // the last step is the field itself
	}
	for _, step := range steps {
		field := v.message.Descriptor().Fields().ByNumber(protoreflect.FieldNumber(step.GetFieldNumber()))
		value := v.message.Get(field)
		if field.IsList() {
			value = value.List().Get(int(step.GetIndex()))
		}
		v.outer = append(v.outer, field)
		v.message = value.Message()
	}
	return v
}

// tolerated reports whether working peers are known to break this rule at this place.
func (v violation) tolerated() bool {
	if v.rule != ruleRequired || v.field == nil {
		return false
	}
	switch v.field.FullName() {
	case "Algorithm.description", "WindowType.description", "MetadataField.description", echoedWindow:
		return true
	case "Algorithm.name", "Algorithm.version":
		return false
	case "Algorithm.result_type":
		return v.inEcho()
	default:
		// The first value of an enum is 0, which the rule takes for unset.
		return v.field.Kind() == protoreflect.EnumKind || v.inEcho()
	}
}

// inEcho reports whether the field lies in the algorithm or window that a result repeats. Processors leave much of them
// out, and the core reads nothing there but the algorithm's name and version.
func (v violation) inEcho() bool {
	for _, f := range v.outer {
		if name := f.FullName(); name == echoedAlgorithm || name == echoedWindow {
			return true
		}
	}
	return false
}

func (v violation) String() string {
	path := protovalidate.FieldPathString(v.path)
	if path != "" {
		path += ": "
	}
	return fmt.Sprintf("%s%s breaks the rule %q: %s", path, v.value(), v.rule, v.advice())
}

// value shows what broke the rule.
func (v violation) value() string {
	if v.field == nil {
		return messageText(v.message)
	}
	return fieldText(v.message, v.field)
}

// advice says what to do.
func (v violation) advice() string {
	switch v.rule {
	case ruleRequired:
		if advice, ok := requiredAdvice[v.field.FullName()]; ok {
			return advice
		}
		return "give it a value"
	case ruleMaxLen:
		return fmt.Sprintf("shorten it to %d characters", v.limit.Uint())
	case ruleTimestampGt:
		return "use a time after 1970-01-01T00:00:00Z and up to " + orca.MaxTime.String()
	case ruleTimeOrdering:
		return "let it end when it begins, or later"
	}
	return v.words
}
