package rpc

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
	"unicode/utf8"

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
	{orca.Fenced, codes.Unavailable},
	{context.Canceled, codes.Canceled},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
}

// status returns the gRPC status of an error of ours; one that is a status already stays as it is, but for its length.
func (g guard) status(method string, err error) error {
	if err == nil {
		return nil
	}
	if s, ok := status.FromError(err); ok {
		p := s.Proto()
		p.Message = cut(p.GetMessage())
		return status.ErrorProto(p)
	}
	for _, row := range codeOf {
		if !errors.Is(err, row.kind) {
			continue
		}
		if row.code == codes.ResourceExhausted {
			return exhausted(err)
		}
		return status.Error(row.code, cut(err.Error()))
	}
	g.log.Error("a request failed", "method", method, "error", err)
	return status.Error(codes.Internal, "internal error; the core's log says more")
}

func exhausted(err error) error {
	s := status.New(codes.ResourceExhausted, cut(err.Error()))
	if with, detailErr := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryDelay)}); detailErr == nil {
		s = with
	}
	return s.Err()
}

// maxStatusText bounds the text of a status, in bytes of the HTTP/2 header that it travels in; many clients take no
// more than 8 KiB of headers.
const maxStatusText = 4 << 10

// cut shortens a text that would be too long for its header, where a byte that is not plain ASCII takes three.
func cut(text string) string {
	const more = "…"
	size, fits := 0, 0 // fits: how much of the text leaves room for the mark
	for i := range len(text) {
		if size <= maxStatusText-3*len(more) && utf8.RuneStart(text[i]) {
			fits = i
		}
		if size++; text[i] < ' ' || text[i] > '~' || text[i] == '%' {
			size += 2
		}
	}
	if size <= maxStatusText {
		return text
	}
	return text[:fits] + more
}

func stack() []byte { return debug.Stack() }
