//go:build unix

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/background"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// behind is a folder for a core in the background, which is gone when the test is over.
type behind struct {
	background.Folder
	t *testing.T
}

func newBehind(t *testing.T) *behind {
	t.Helper()
	b := &behind{background.Folder{Path: filepath.Join(t.TempDir(), "data")}, t}
	t.Cleanup(func() {
		s := b.look()
		if t.Failed() {
			log, _ := os.ReadFile(b.Log())
			t.Logf("the core's log:\n%s", log)
		}
		if s.Running {
			_ = syscall.Kill(s.PID, syscall.SIGKILL)
		}
	})
	return b
}

func (b *behind) look() background.State {
	b.t.Helper()
	s, err := b.Look()
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// orca runs a verb on the folder, which must end with an exit code, and returns what it says: the process's number as
// PID, its addresses as GRPC and HTTP, and the folder as DIR.
func (b *behind) orca(want int, args ...string) string {
	b.t.Helper()
	code, out, errs := run(b.t, nil, append(args, "--dir", b.Path)...)
	if code != want {
		b.t.Fatalf("orca %v exits with %d, want %d\n%s%s", args, code, want, out, errs)
	}
	s, said := b.look(), out+errs
	for _, word := range [][2]string{
		{fmt.Sprintf("pid=%d", s.PID), "pid=PID"}, {fmt.Sprintf("process %d", s.PID), "process PID"}, {s.GRPC, "GRPC"}, {s.HTTP, "HTTP"}, {b.Path, "DIR"},
	} {
		if word[0] != "" {
			said = strings.ReplaceAll(said, word[0], word[1])
		}
	}
	return said
}

func (b *behind) start() background.State {
	b.t.Helper()
	b.orca(0, "start", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--disk-reserve", "1MiB")
	return b.look()
}

// says compares what a verb says, past white space.
func says(t *testing.T, what, got, want string) {
	t.Helper()
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
		t.Errorf("%s: it says\n%s\nwant\n%s", what, got, want)
	}
}

// kill ends the core as a power cut would, and waits for its end.
func (b *behind) kill(pid int) {
	b.t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		b.t.Fatal(err)
	}
	for deadline := time.Now().Add(orcatest.Patience); b.look().Running; {
		if time.Now().After(deadline) {
			b.t.Fatalf("process %d lives on", pid)
		}
	}
}

func TestACoreInTheBackground(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	says(t, "stop", b.orca(0, "stop"), "no core runs in the background")
	says(t, "destroy", b.orca(0, "destroy", "--yes"), "there is no core in DIR")

	first := b.start()
	if !first.Running || first.PID == 0 {
		t.Fatalf("started, and it stands so: %+v", first)
	}
	says(t, "start again", b.orca(0, "start", "--grpc", "127.0.0.1:0"), "a core runs already: pid=PID grpc=GRPC http=HTTP store=sqlite:DIR/orca.db")
	if again := b.look(); again != first {
		t.Errorf("the second start made %+v of %+v", again, first)
	}
	if got := b.orca(0, "status"); !strings.Contains(got, "core        GRPC, ") || !strings.Contains(got, "background  process PID, at GRPC\ndata        sqlite:DIR/orca.db\nlog         DIR/core.log\n") {
		t.Errorf("status of a core that runs:\n%s", got)
	}
	var view struct{ Background map[string]any }
	if err := json.Unmarshal([]byte(b.orca(0, "status", "--json")), &view); err != nil || view.Background["state"] != "running" {
		t.Errorf("status --json: %v, %v; want a background that is running", view, err)
	}

	says(t, "stop", b.orca(0, "stop"), "stopped the core, process PID")
	if s := b.look(); s.Running || !s.Stopped {
		t.Errorf("stopped, and it stands so: %+v", s)
	}
	if got := b.orca(1, "status"); !strings.Contains(got, `background  stopped; "orca start" starts it again`) {
		t.Errorf("status of a core that was stopped:\n%s", got)
	}
}

// What was in the ledger before a stop or a kill is there after the next start.
func TestABackgroundCoreKeepsItsLedger(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	core := b.start().GRPC
	register(t, core, orcatest.NewProcessor(t, "racing", orcatest.Algorithm{Algorithm: orcatest.Define("Lap", "Speed")}))
	if code, out, errs := run(t, nil, "emit", "--core", core, "--type", "Lap@1.0.0", "--from", "-1h", "--to", "now", "--origin", "me", "--wait"); code != 0 {
		t.Fatalf("emit exits with %d\n%s%s", code, out, errs)
	}
	b.orca(0, "stop")
	killed := b.start()
	b.kill(killed.PID)
	if got := b.orca(1, "status"); !strings.Contains(got, `background  ended without being stopped (process PID); "orca start" goes on where it was`) {
		t.Errorf("status of a core that was killed:\n%s", got)
	}
	before := fmt.Sprintf("the core before, process %d, was not stopped but ended; what it had accepted goes on", killed.PID)
	if got := b.orca(0, "start", "--grpc", "127.0.0.1:0", "--http", "off"); !strings.Contains(got, before) {
		t.Errorf("start after a kill says\n%s\nwant %q in it", got, before)
	}
	if code, out, errs := run(t, nil, "windows", "--core", b.look().GRPC); code != 0 || strings.Count(out, "Lap@1.0.0") != 1 {
		t.Errorf("windows exits with %d and prints\n%s%s\nwant the one window", code, out, errs)
	}
}

// A process that came to have the number of a killed core is nobody's core.
func TestAProcessNumberThatWasUsedAgain(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.kill(b.start().PID)
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- other.Wait() }()
	record := fmt.Sprintf(`{"pid": %d, "grpc": "127.0.0.1:1", "http": "off", "store": "sqlite:%s/orca.db", "started_at": "2026-01-01T00:00:00Z"}`, other.Process.Pid, b.Path)
	if err := os.WriteFile(filepath.Join(b.Path, "core.json"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, "stop", b.orca(0, "stop"), "no core runs in the background: process PID ended without being stopped")
	if got := b.orca(1, "status"); !strings.Contains(got, "background  ended without being stopped (process PID)") {
		t.Errorf("status:\n%s", got)
	}
	if s := b.start(); !s.Running || s.PID == other.Process.Pid {
		t.Errorf("after a start it stands so: %+v", s)
	}
	b.orca(0, "stop")
	b.orca(0, "destroy", "--yes")
	select {
	case err := <-ended:
		t.Errorf("the other process ended: %v", err)
	default:
	}
	_ = other.Process.Kill()
	<-ended //nolint:errcheck // it was killed
}

// Several commands start one core.
func TestManyStartsAtOnceStartOneCore(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	const n = 8
	said := make(chan string, n)
	for range n {
		go func() {
			out, err := exec.Command(binary, "start", "--dir", b.Path, "--grpc", "127.0.0.1:0", "--http", "off", "--disk-reserve", "1MiB").CombinedOutput()
			said <- fmt.Sprint(string(out), err)
		}()
	}
	counts := map[string]int{}
	for range n {
		line := <-said
		s := b.look()
		counts[strings.NewReplacer(fmt.Sprintf("pid=%d grpc=%s", s.PID, s.GRPC), "THAT").Replace(line)]++
	}
	store := " http=off store=sqlite:" + b.Path + "/orca.db\n<nil>"
	if counts["orca runs in the background: THAT"+store] != 1 || counts["a core runs already: THAT"+store] != n-1 {
		t.Errorf("%d starts say %v; want one core", n, counts)
	}
}

// Stop waits for what is under way, and says so when it takes too long.
func TestStopWaitsForTheDrain(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	core := b.start().GRPC
	running, finish := make(chan struct{}, 1), make(chan struct{})
	register(t, core, orcatest.NewProcessor(t, "racing", orcatest.Algorithm{
		Algorithm: orcatest.Define("Lap", "Speed"),
		Run: func(ctx context.Context, _ *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
			running <- struct{}{}
			select {
			case <-finish:
			case <-ctx.Done():
			}
			return orcatest.Value(7), nil
		},
	}))
	if code, out, errs := run(t, nil, "emit", "--core", core, "--type", "Lap@1.0.0", "--from", "-1h", "--to", "now", "--origin", "me"); code != 0 {
		t.Fatalf("emit exits with %d\n%s%s", code, out, errs)
	}
	<-running
	if got := b.orca(1, "stop", "--timeout", "100ms"); !strings.Contains(got, "process PID is still stopping after 100ms: it waits for calls under way") {
		t.Errorf("stop with a short patience says\n%s", got)
	}
	if !b.look().Running {
		t.Error("the core has ended with a call under way")
	}
	close(finish)
	b.orca(0, "stop")
	core = b.start().GRPC
	if code, out, errs := run(t, nil, "results", "Speed@1.0.0", "--core", core); code != 0 || !strings.Contains(out, "7") {
		t.Errorf("results exits with %d and prints\n%s%s\nwant the result that was under way", code, out, errs)
	}
}

func TestAStartThatFails(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	taken := startCore(t).grpc
	got := b.orca(1, "start", "--grpc", taken, "--http", "off")
	says(t, "a port that is taken", got, `orca: the core did not start: `+taken+` is in use, perhaps by another core ("orca status" tells): stop what listens there, or choose another address with --grpc and --http`)
	if got := b.orca(2, "start", "--max-attempts", "0"); !strings.Contains(got, "--max-attempts 0: want a whole number") {
		t.Errorf("a wrong setting: %s", got)
	}
	if s := b.look(); s.Running || s.Known {
		t.Errorf("nothing started, and it stands so: %+v", s)
	}
	// An older core's record survives a start that fails.
	old := b.start()
	b.orca(0, "stop")
	b.orca(1, "start", "--grpc", taken, "--http", "off")
	if s := b.look(); s.Running || !s.Stopped || s.PID != old.PID {
		t.Errorf("after a start that failed it stands so: %+v", s)
	}
}

func TestDestroy(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.start()
	if got := b.orca(1, "destroy"); !strings.Contains(got, "This removes every window, run and result in DIR/orca.db (") || !strings.Contains(got, "The core, process PID, is stopped first.") ||
		!strings.Contains(got, "nothing was removed: the answer was not yes (--yes does not ask)") {
		t.Errorf("destroy without an answer says\n%s", got)
	}
	if !b.look().Running {
		t.Fatal("destroy without an answer stopped the core")
	}
	keep := filepath.Join(b.Path, "mine.txt")
	if err := os.WriteFile(keep, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "destroy", "--dir", b.Path)
	cmd.Stdin = strings.NewReader("yes\n")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "removed "+b.Path+"/orca.db and what belongs to it") {
		t.Errorf("destroy, answered yes: %v\n%s", err, out)
	}
	if left, err := filepath.Glob(filepath.Join(b.Path, "*")); err != nil || len(left) != 1 || left[0] != keep {
		t.Errorf("%v is left, want the file of the user's", left)
	}
}

// The data of a core that orca serve runs is not removed under it.
func TestDestroyLeavesACoreInTheForegroundAlone(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	if c.store == "" {
		t.Skip("the ledger is in PostgreSQL")
	}
	b := &behind{background.Folder{Path: filepath.Dir(c.store)}, t}
	if err := os.Symlink(c.store, filepath.Join(b.Path, "orca.db")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	if err := os.Symlink(c.store+".lock", filepath.Join(b.Path, "orca.db.lock")); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	if got := b.orca(1, "destroy", "--yes"); !strings.Contains(got, "is in use: stop the core that \"orca serve\" runs on it") {
		t.Errorf("destroy says\n%s", got)
	}
	if _, err := os.Stat(c.store); err != nil {
		t.Error(err)
	}
}

// register announces a scripted processor to a core.
func register(t *testing.T, core string, p *orcatest.Processor) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+core, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := pb.NewOrcaCoreClient(conn).RegisterProcessor(t.Context(), p.Registration()); err != nil {
		t.Fatal(err)
	}
}
