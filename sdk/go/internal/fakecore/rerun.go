package fakecore

import (
	"context"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func (s *console) RetryWindow(ctx context.Context, r *pb.RetryWindowRequest) (*pb.RetryWindowResponse, error) {
	if s.fake.script.Retry == nil {
		return nil, errNotScripted
	}
	return s.fake.script.Retry(ctx, r)
}

func (s *console) ReprocessWindow(ctx context.Context, r *pb.ReprocessWindowRequest) (*pb.ReprocessWindowResponse, error) {
	if s.fake.script.Reprocess == nil {
		return nil, errNotScripted
	}
	return s.fake.script.Reprocess(ctx, r)
}

func (s *console) CancelWindow(ctx context.Context, r *pb.CancelWindowRequest) (*pb.CancelWindowResponse, error) {
	if s.fake.script.Cancel == nil {
		return nil, errNotScripted
	}
	return s.fake.script.Cancel(ctx, r)
}
