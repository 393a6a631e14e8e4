package rpc

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/orca-telemetry/orca/internal/orca"
)

// retryDelay is what an emitter is asked to wait after RESOURCE_EXHAUSTED.
const retryDelay = time.Second

// codeOf is the one table from kinds of errors to gRPC codes. What is not in it is Internal, and its text stays home.
var codeOf = []struct {
	kind error
	code codes.Code
}{
	{orca.Invalid, codes.InvalidArgument},
	{orca.NotFound, codes.NotFound},
	{orca.Conflict, codes.AlreadyExists},
	{orca.Precondition, codes.FailedPrecondition},
	{orca.Exhausted, codes.ResourceExhausted},
	{orca.OutcomeUnknown, codes.Unavailable},
	{orca.Unavailable, codes.Unavailable},
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
}

// status returns the gRPC status of an error of ours; one that is a status already stays as it is.
func (g guard) status(method string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	for _, row := range codeOf {
		if !errors.Is(err, row.kind) {
			continue
		}
		if row.code == codes.ResourceExhausted {
			return exhausted(err)
		}
		return status.Error(row.code, err.Error())
	}
	g.log.Error("a request failed", "method", method, "error", err)
	return status.Error(codes.Internal, "internal error; the core's log says more")
}

func exhausted(err error) error {
	s := status.New(codes.ResourceExhausted, err.Error())
	if with, detailErr := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)}); detailErr == nil {
		s = with
	}
	return s.Err()
}

func stack() []byte { return debug.Stack() }
