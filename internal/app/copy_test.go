package app_test

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orcatest"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// answers are what a core says of windows and results.
type answers struct {
	Windows []proto.Message
	Results []proto.Message
	Runs    map[string][]*pb.GetWindowResponse
	Inputs  map[string][]*pb.Input
}

// ask asks a core for all windows and results, and for everything of some windows that have ended.
func ask(t *testing.T, core *orcatest.Core, ended []string) (a answers) {
	t.Helper()
	windows, err := core.ListWindows(t.Context(), &pb.ListWindowsRequest{PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range windows.GetWindows() {
		a.Windows = append(a.Windows, w)
	}
	for _, name := range []string{"p Base", "p Own", "p Trend", "odd Odd"} {
		processor, name, _ := strings.Cut(name, " ")
		results, err := core.ListResults(t.Context(), &pb.ListResultsRequest{
			PageSize: 1000, Processor: processor, Name: name, Version: "1.0.0", IncludeFailed: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results.GetResults() {
			a.Results = append(a.Results, r)
		}
	}
	a.Runs, a.Inputs = map[string][]*pb.GetWindowResponse{}, map[string][]*pb.Input{}
	for _, id := range ended {
		a.Runs[id] = revisions(t, core, id)
		a.Inputs[id] = inputsOf(t, core, &pb.ListInputsRequest{Id: id})
	}
	return a
}

// odd gives what the two databases hold differently: NaN, and a reason with characters that a text of PostgreSQL has not.
func odd(_ context.Context, r *pb.ExecutionRequest, _ *pb.ExecuteAlgorithm) (*pb.Result, error) {
	if r.GetWindow().GetOrigin() == "bad" {
		return nil, errors.New("a \x00 and a \x01")
	}
	return orcatest.Value(float32(math.NaN())), nil
}

// A copied ledger gives the same answers, lookbacks included, and a core on it goes on where the other one stopped: with
// runs that wait, with positions, with keys.
func TestCopiedLedger(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	from := "sqlite:" + filepath.Join(t.TempDir(), "orca.db")
	few := func(cfg *config.Config) { cfg.Store, cfg.MaxActiveRuns, cfg.MaxAttempts = from, 4, 1 }
	core, h := startHistory(t, few)
	away := orcatest.NewProcessor(t, "away", plain("Away", "A"))
	if _, err := core.Register(away); err != nil {
		t.Fatal(err)
	}
	core.Processor("odd", orcatest.Algorithm{Algorithm: orcatest.Define("Odd", "Odd"), Run: odd})
	ids := h.play(t, core)
	for i, origin := range []string{"good", "bad", "with \x01 and \x00"} {
		w := window("Odd", i)
		w.Origin = origin
		id, _ := core.Emit(w)
		ids = append(ids, id)
	}
	for _, id := range ids {
		core.Wait(id)
	}
	away.Kill()
	eventually(t, "the core sees that it is away", func() bool { // or the first window fails: it has one attempt
		list, err := core.ListProcessors(t.Context(), &pb.ListProcessorsRequest{})
		return err == nil && slices.ContainsFunc(list.GetProcessors(), func(p *pb.ProcessorInfo) bool {
			return p.GetName() == "away" && p.GetInstances()[0].GetState() == pb.InstanceState_INSTANCE_STATE_UNREACHABLE
		})
	})
	var waiting []string
	for i := range 10 {
		id, _ := core.Emit(window("Away", i))
		waiting = append(waiting, id)
	}
	want := ask(t, core, ids)
	core.Stop()

	copied(t, from, url, schema)
	var nan int
	query(t, url, "SELECT count(*) FROM "+schema+".outcome WHERE result_value = 'NaN'", &nan)
	if nan != 2 {
		t.Errorf("%d results are NaN, want 2", nan)
	}
	after := orcatest.Start(t, few, func(cfg *config.Config) { cfg.Store, cfg.Schema = url, schema })
	if diff := cmp.Diff(want, ask(t, after, ids), protocmp.Transform(), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("what is said of the copy (-before +after):\n%s", diff)
	}
	serveProgram(t, away.Address, succeed)
	for _, id := range waiting {
		after.Wait(id)
	}
	id, _ := after.Emit(h.window("S", "a", "", 13, 1))
	after.Wait(id)
	if rows := h.checkInputs(t, after, id, 20); rows < 20 {
		t.Errorf("only %d rows of the new window were compared", rows)
	}
	if before, _, _ := strings.Cut(ids[0], "-"); !strings.HasPrefix(id, before+"-") {
		t.Errorf("the window after the copy is %s, those before are called %s-…", id, before)
	}
}

func copied(t *testing.T, from, url, schema string) {
	t.Helper()
	r, err := app.Copy(t.Context(), from, url, schema, func(string, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int64{}
	for _, table := range r.Tables {
		rows[table.Name] = table.Rows
	}
	if rows["ledger"] != 1 || rows["window"] < 30 || rows["pending"]+rows["parked"] != 10 || rows["outcome"] < 200 {
		t.Errorf("%v was copied", r)
	}
	if again, err := app.Copy(t.Context(), from, url, schema, func(string, int64) {}); err != nil || !again.Before {
		t.Errorf("a second copy: %+v, %v", again, err)
	}
}

// A copy that was cut off anywhere goes on, and no core sees a part of it.
func TestCopyGoesOn(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	from := "sqlite:" + filepath.Join(t.TempDir(), "orca.db")
	core := orcatest.Start(t, func(cfg *config.Config) { cfg.Store = from })
	core.Processor("p", plain("W", "A"))
	for i := range 20 {
		id, _ := core.Emit(window("W", i))
		core.Wait(id)
	}
	core.Stop()
	cut := errors.New("cut off")
	for steps := 1; ; steps++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		left := steps
		r, err := app.Copy(ctx, from, url, schema, func(string, int64) {
			if left--; left == 0 {
				cancel(cut)
			}
		})
		cancel(nil)
		if err == nil {
			if len(r.Tables) != 16 || steps < 10 {
				t.Errorf("after %d attempts: %+v", steps, r)
			}
			break
		}
		if tables := tablesIn(t, url, schema); tables != 0 {
			t.Fatalf("after a copy that failed with %v there are %d tables", err, tables)
		}
	}
	after := orcatest.Start(t, func(cfg *config.Config) { cfg.Store, cfg.Schema = url, schema })
	windows, err := after.ListWindows(t.Context(), &pb.ListWindowsRequest{})
	if err != nil || len(windows.GetWindows()) != 20 {
		t.Errorf("%d windows after the copy, %v", len(windows.GetWindows()), err)
	}
}

func tablesIn(t *testing.T, url, schema string) (n int) {
	t.Helper()
	query(t, url, "SELECT count(*) FROM pg_tables WHERE schemaname = '"+schema+"'", &n)
	return n
}

func query(t *testing.T, url, statement string, into ...any) {
	t.Helper()
	ctx := context.Background() // it is called at the end, too
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if len(into) == 0 {
		_, err = conn.Exec(ctx, statement)
	} else {
		err = conn.QueryRow(ctx, statement).Scan(into...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What must not be overwritten, or would be half of one and half of another ledger, is refused, and says what to do.
func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	dir := t.TempDir()
	ledger := func(name string, windows int) string {
		from := "sqlite:" + filepath.Join(dir, name)
		core := orcatest.Start(t, func(cfg *config.Config) { cfg.Store = from })
		core.Processor("p", plain("W", "A"))
		for i := range windows {
			id, _ := core.Emit(window("W", i))
			core.Wait(id)
		}
		core.Stop()
		return from
	}
	one, two := ledger("one.db", 1), ledger("two.db", 1)
	refused := func(what, from, to, schema, want string) {
		t.Helper()
		if _, err := app.Copy(t.Context(), from, to, schema, func(string, int64) {}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", what, err, want)
		}
	}
	refused("no file", "sqlite:"+filepath.Join(dir, "none.db"), url, schema, "there is no such file")
	refused("the other way", url, one, schema, "not the other way")

	// A core was started here and never used: its ledger makes room.
	orcatest.Start(t, func(cfg *config.Config) { cfg.Store, cfg.Schema = url, schema }).Stop()
	if _, err := app.Copy(t.Context(), one, url, schema, func(string, int64) {}); err != nil {
		t.Fatal(err)
	}
	refused("another ledger", two, url, schema, "has another ledger, or a core works there")

	foreign := schema + "_foreign"
	query(t, url, "CREATE SCHEMA "+foreign+" CREATE TABLE ledger (id int)")
	t.Cleanup(func() { query(t, url, "DROP SCHEMA "+foreign+" CASCADE") })
	refused("another program", one, url, foreign, "has tables of another program")

	begun := schema + "_begun"
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := app.Copy(ctx, one, url, begun, func(string, int64) { cancel() }); err == nil {
		t.Error("a copy that is cut off ends well")
	}
	t.Cleanup(func() { query(t, url, "DROP SCHEMA "+begun+"_copy CASCADE") })
	refused("another copy", two, url, begun, "holds a part of another ledger")
	ledger("one.db", 1) // it is worked on
	refused("worked on", one, url, begun, "holds a part of this ledger as it was before")
}
