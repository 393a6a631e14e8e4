package rpc

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

const headerAuthorization = "authorization"

// access returns the options by which the server lets clients in.
func access(cfg Config) []grpc.ServerOption {
	var options []grpc.ServerOption
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	if cfg.Authorize != nil {
		options = append(options, grpc.InTapHandle(gate(cfg.Authorize)))
	}
	return options
}

// gate turns away who may not pass. It is a tap, not an interceptor, because that sees the headers before any of the
// message is read: nobody fills the core's memory without a token. Health is for all, as load balancers have no token.
func gate(authorize func(string) error) tap.ServerInHandle {
	open := "/" + healthpb.Health_ServiceDesc.ServiceName + "/"
	return func(ctx context.Context, info *tap.Info) (context.Context, error) {
		if strings.HasPrefix(info.FullMethodName, open) {
			return ctx, nil
		}
		if err := authorize(first(info.Header.Get(headerAuthorization))); err != nil {
			return ctx, status.Error(codes.Unauthenticated, err.Error())
		}
		return ctx, nil
	}
}
