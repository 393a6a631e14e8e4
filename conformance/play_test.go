package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/orca-telemetry/orca/conformance/script"
	pb "github.com/orca-telemetry/orca/contract/go"
)

// patience bounds every wait for what takes milliseconds, or some seconds where a core has to be missed first. It only
// ends a scenario that fails anyway.
const patience = time.Minute

// briefly is as long for what is excluded, and long enough for what passes on a machine with nothing else to do.
const briefly = 20 * time.Second

// project is the one that the processors belong to.
const project = "conformance"

// stage is one scenario while it is played with one SDK.
type stage struct {
	scenario
	sdk  sdk
	dir  string
	core struct {
		pb.OrcaCoreClient
		pb.OrcaConsoleClient
		process *process // nil while it is down
		conn    *grpc.ClientConn
		grpc    string // host:port, kept over restarts
		stores  int    // how many there have been
	}
	patience   time.Duration       // for each step
	processors map[string]*process // those that run
	windows    map[string]emitted
}

// emitted is a window as it was emitted, and what the core calls it.
type emitted struct {
	script.Window
	id string
}

// play plays a scenario in an empty folder, and returns what was not as it has to be.
func play(ctx context.Context, s scenario, with sdk, dir string, patience time.Duration) (err error) {
	st := &stage{scenario: s, sdk: with, dir: dir, patience: patience, processors: map[string]*process{}, windows: map[string]emitted{}}
	st.core.grpc = "127.0.0.1:0"
	defer func() {
		err = errors.Join(err, st.end(ctx, err == nil))
	}()
	if err := st.startCore(ctx, true); err != nil {
		return err
	}
	for _, p := range s.Processors {
		if p.Later {
			continue
		}
		if err := st.startProcessor(ctx, p.Name); err != nil {
			return err
		}
	}
	for i, step := range s.Steps {
		if err := st.do(ctx, step); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// end ends all processes: in order when the scenario went well.
func (st *stage) end(ctx context.Context, inOrder bool) error {
	ctx, cancel := context.WithTimeout(ctx, st.patience)
	defer cancel()
	var errs []error
	all := []*process{}
	for _, p := range st.processors {
		all = append(all, p)
	}
	if st.core.process != nil {
		all = append(all, st.core.process)
	}
	for _, p := range all {
		if inOrder {
			errs = append(errs, p.stop(ctx))
		}
		errs = append(errs, p.kill())
	}
	if st.core.conn != nil {
		_ = st.core.conn.Close()
	}
	return errors.Join(errs...)
}

func (st *stage) do(ctx context.Context, s step) error {
	ctx, cancel := context.WithTimeout(ctx, st.patience)
	defer cancel()
	switch {
	case s.Emit != nil:
		return st.emit(ctx, *s.Emit)
	case s.Find != nil:
		return st.find(ctx, *s.Find)
	case s.Finish != nil:
		return st.finish(ctx, *s.Finish)
	case s.Start == "core", s.StartEmpty == "core":
		return st.startCore(ctx, s.StartEmpty != "")
	case s.Start != "":
		return st.startProcessor(ctx, s.Start)
	case s.Stop != "", s.Kill != "":
		return st.down(ctx, s.Stop+s.Kill, s.Stop != "")
	case s.Release != "":
		return os.WriteFile(filepath.Join(st.dir, s.Release), nil, 0o600)
	case s.Marked != "":
		return st.marked(ctx, s.Marked)
	case s.Cancel != "":
		_, err := st.core.CancelWindow(ctx, &pb.CancelWindowRequest{Id: st.windows[s.Cancel].id})
		return err
	case s.Registered != "":
		return eventually(ctx, func() error { return st.exposed(ctx, s.Registered) })
	case s.Instance != nil:
		return eventually(ctx, func() error { return st.instance(ctx, *s.Instance) })
	}
	return errors.New("the step says nothing")
}

var readyLine = regexp.MustCompile(`^orca is ready: grpc=(\S+) `)

// startCore starts the core where it was before, on its store or on an empty one.
func (st *stage) startCore(ctx context.Context, empty bool) error {
	if empty {
		st.core.stores++
	}
	store := filepath.Join(st.dir, fmt.Sprintf("core-%d.db", st.core.stores))
	args := append([]string{
		"serve", "--grpc", st.core.grpc, "--http", "127.0.0.1:0", "--store", "sqlite:" + store, "--disk-reserve", "1MiB", "--heartbeat", "500ms",
	}, st.Core...)
	p, err := launch("core", st.dir, nil, append([]string{st.sdk.core}, args...)...)
	if err != nil {
		return err
	}
	st.core.process = p
	ctx, cancel := context.WithTimeout(ctx, st.patience)
	defer cancel()
	line, err := p.await(ctx, "orca is ready:")
	if err != nil {
		return err
	}
	st.core.grpc = readyLine.FindStringSubmatch(line + " ")[1]
	if st.core.conn == nil {
		if st.core.conn, err = grpc.NewClient("passthrough:///"+st.core.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20))); err != nil {
			return err
		}
		st.core.OrcaCoreClient, st.core.OrcaConsoleClient = pb.NewOrcaCoreClient(st.core.conn), pb.NewOrcaConsoleClient(st.core.conn)
	}
	return nil
}

// startProcessor starts a processor and, when the core runs, waits until it is registered as its script says.
func (st *stage) startProcessor(ctx context.Context, name string) error {
	dir := filepath.Join(st.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	s, err := st.script(*st.processor(name), dir)
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "script.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	env := []string{
		script.Env + "=" + path, "ORCA_CORE=" + st.core.grpc, "PROCESSOR_ADDRESS=127.0.0.1:0", "PROCESSOR_PORT=0", "PROJECT_NAME=" + project,
	}
	p, err := launch(name, dir, append(env, st.sdk.env...), st.sdk.command...)
	if err != nil {
		return err
	}
	st.processors[name] = p
	if st.core.process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, st.patience)
	defer cancel()
	if _, err := p.await(ctx, "registered"); err != nil {
		return err
	}
	return st.exposed(ctx, name)
}

// down stops or kills the core or a processor.
func (st *stage) down(ctx context.Context, name string, inOrder bool) error {
	p := st.processors[name]
	if name == "core" {
		p, st.core.process = st.core.process, nil
	}
	delete(st.processors, name)
	if p == nil {
		return fmt.Errorf("%s does not run", name)
	}
	if inOrder {
		return p.stop(ctx)
	}
	return p.kill()
}

// emit emits a window as any client would.
func (st *stage) emit(ctx context.Context, w window) error {
	out, err := st.window(w)
	if err != nil {
		return err
	}
	message, err := out.Proto()
	if err != nil {
		return err
	}
	var header metadata.MD
	answer, err := st.core.EmitWindow(ctx, message, grpc.Header(&header))
	if err != nil {
		return fmt.Errorf("emit %s: %w", w.Window, err)
	}
	want := w.Answer
	if want == "" {
		want = "processing triggered"
	}
	if got := words(answer.GetStatus().String(), ""); got != want {
		return fmt.Errorf("emit %s: the core answers %q, want %q", w.Window, got, want)
	}
	ids := header.Get("orca-window-id")
	if len(ids) != 1 {
		return fmt.Errorf("emit %s: the core gives the ids %q, want one", w.Window, ids)
	}
	st.windows[w.Window] = emitted{out, ids[0]}
	return nil
}

// words turns the name of an enum value into words: OUTCOME_HANDLED_FAILED into "handled failed".
func words(name, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, prefix), "_", " "))
}

// marked waits for a file that an algorithm leaves.
func (st *stage) marked(ctx context.Context, path string) error {
	return eventually(ctx, func() error {
		_, err := os.Stat(filepath.Join(st.dir, path))
		return err
	})
}

// eventually tries until it goes well, or returns the last error when the context ends.
func eventually(ctx context.Context, try func() error) error {
	again := time.NewTicker(20 * time.Millisecond) // what is waited for tells nobody
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (waited until %w)", err, ctx.Err())
		}
	}
}
