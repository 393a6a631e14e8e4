package fleet_test

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/orca-telemetry/orca/internal/fleet"
	"github.com/orca-telemetry/orca/internal/orca"
)

// A machine that vanishes without a word answers no more packets. What it does not acknowledge for 20 s breaks the
// connection, so that its calls do not wait for the execution timeout. No test can take a machine away, so this one
// looks at what the kernel was told.
func TestVanishedMachineIsNoticed(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, l, l.Addr().String())
	dialled := make(chan *net.TCPConn, 1)
	f := fleet.New(fleet.Config{DialOptions: []grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err == nil {
				dialled <- conn.(*net.TCPConn)
			}
			return conn, err
		}),
	}})
	run(t, f)
	f.Sync([]orca.Instance{announced(p.address, "A")})
	c := newCall(1, "p", "A")
	f.Submit(&c.Call)
	(<-p.asked).succeed(t) // the connection is made by now

	raw, err := (<-dialled).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var timeout int
	var failure error
	if err := raw.Control(func(fd uintptr) {
		timeout, failure = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	}); err != nil || failure != nil {
		t.Fatal(err, failure)
	}
	if got := time.Duration(timeout) * time.Millisecond; got != 20*time.Second {
		t.Errorf("unacknowledged data breaks the connection after %v, want 20s", got)
	}
}
