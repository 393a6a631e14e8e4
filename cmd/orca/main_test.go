package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// role tells a copy of the test's own program what to be.
const role = "ORCA_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "orca":
		main()
	case "stubborn": // a command that does not end when it is asked to
		ctx, _ := untilSignal()
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println("stopping")
		select {}
	}
	os.Exit(m.Run())
}

// process is a copy of the test's program in a role.
type process struct {
	*exec.Cmd
	out  *bufio.Reader
	errs strings.Builder
}

func start(t *testing.T, as string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), self, args...)}
	p.Env = append(os.Environ(), role+"="+as)
	p.Stderr = &p.errs
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// expect waits for a line on stdout.
func (p *process) expect(t *testing.T, want string) {
	t.Helper()
	if got, err := p.out.ReadString('\n'); got != want+"\n" {
		t.Fatalf("got %q, %v; want %q; stderr %q", got, err, want, p.errs.String())
	}
}

// end is how a process ended.
type end struct {
	Code   int // -1 when a signal ended it
	Signal syscall.Signal
	Out    string
	Err    string
}

func (p *process) end(t *testing.T) end {
	t.Helper()
	rest, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatal(err)
	}
	e := end{Out: string(rest)}
	exit := (*exec.ExitError)(nil)
	if err := p.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	e.Code, e.Err = p.ProcessState.ExitCode(), p.errs.String()
	if status := p.ProcessState.Sys().(syscall.WaitStatus); status.Signaled() {
		e.Signal = status.Signal()
	}
	return e
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want end
	}{
		{[]string{"--version"}, end{Code: 0, Out: "orca devel\n"}},
		{[]string{"windows", "--core", "127.0.0.1:1"},
			end{Code: 1, Err: "orca: no core answers at 127.0.0.1:1; start one with \"orca start\" or say where it is with --core\n"}},
		{[]string{"sttus"}, end{Code: 2, Err: "orca: there is no verb \"sttus\"; did you mean status? (see \"orca --help\")\n"}},
	} {
		if diff := cmp.Diff(test.want, start(t, "orca", test.args...).end(t)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", test.args, diff)
		}
	}
}

func TestTheFirstSignalInterrupts(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		p := start(t, "orca", "status", "--core", l.Addr().String())
		conn, err := l.Accept() // now it waits for an answer that never comes
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := p.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(end{Code: 1, Err: "orca: interrupted\n"}, p.end(t)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", signal, diff)
		}
	}
}

func TestASecondSignalEndsItAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t, "stubborn")
	p.expect(t, "ready")
	if err := p.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "stopping")
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(end{Code: -1, Signal: syscall.SIGTERM}, p.end(t)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
