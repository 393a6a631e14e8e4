package orca

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Failure is the error with which an algorithm says that it cannot give a result for this window: a handled failure.
// The core stores it, does not try again, and skips what depends on it. Any other error, and a panic, is an unhandled
// failure, which the core retries. A Failure counts wherever it is in the chain of wrapped errors.
type Failure struct {
	Reason string
	// Details are stored with the outcome, next to the reason.
	Details map[string]any

	cause error
}

// Fail returns a [Failure]. The details may be nil.
func Fail(reason string, details map[string]any) error {
	return &Failure{Reason: reason, Details: details}
}

// Failf returns a [Failure] with a formatted reason. Like fmt.Errorf it wraps the operands of %w.
func Failf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Failure{Reason: err.Error(), cause: err}
}

// Error is the reason.
func (f *Failure) Error() string { return f.Reason }

// Unwrap gives what [Failf] wrapped.
func (f *Failure) Unwrap() error { return f.cause }

// PanicError is the unhandled failure of an algorithm that panicked.
type PanicError struct {
	// Value is what it panicked with.
	Value any
	// Stack is where, as runtime/debug.Stack prints it.
	Stack string
}

// Error names the value.
func (p *PanicError) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Unwrap gives the value if it is an error.
func (p *PanicError) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// protect calls user code and turns a panic into an error.
func protect(call func() (*pb.Result, error)) (result *pb.Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, &PanicError{Value: v, Stack: string(debug.Stack())}
		}
	}()
	return call()
}

// maxFailureText bounds each text of a failure (a message, a stack), maxDetailBytes its details.
const (
	maxFailureText = 64 << 10
	maxDetailBytes = 4 << 20
)

// failed makes the result that stands for an error. Its error struct has the field "message", and "details" for a
// [Failure] that has some, or "stack" for a panic.
func failed(err error) *pb.Result {
	fields := map[string]*structpb.Value{"message": textValue(err.Error())}
	result := &pb.Result{
		Status:    pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED,
		Error:     &structpb.Struct{Fields: fields},
		Timestamp: time.Now().Unix(),
	}
	var panicked *PanicError
	if errors.As(err, &panicked) {
		fields["stack"] = textValue(panicked.Stack)
		return result
	}
	var failure *Failure
	if errors.As(err, &failure) {
		result.Status = pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED
		if len(failure.Details) > 0 {
			fields["details"] = detailsValue(failure.Details)
		}
	}
	return result
}

func detailsValue(details map[string]any) *structpb.Value {
	fields, err := structOf(details)
	if err != nil {
		return textValue("these details cannot be sent: " + err.Error())
	}
	if size := proto.Size(fields); size > maxDetailBytes {
		return textValue(fmt.Sprintf("these details are left out: %d bytes, at most %d are sent", size, maxDetailBytes))
	}
	return structpb.NewStructValue(fields)
}

// textValue makes any text fit for the wire: valid UTF-8 of bounded length.
func textValue(text string) *structpb.Value {
	if len(text) > maxFailureText {
		text = text[:maxFailureText] + "…"
	}
	return structpb.NewStringValue(strings.ToValidUTF8(text, "\uFFFD"))
}
