package conformance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/orca-telemetry/orca/conformance/script"
	pb "github.com/orca-telemetry/orca/contract/go"
)

// exposed compares what the core shows of a processor with its script.
func (st *stage) exposed(ctx context.Context, name string) error {
	state, err := st.core.Expose(ctx, &pb.ExposeSettings{})
	if err != nil {
		return err
	}
	for _, got := range state.GetProcessors() {
		if got.GetName() != name {
			continue
		}
		if got.GetRuntime() == "" || got.GetConnectionStr() == "" {
			return fmt.Errorf("%s is registered without a runtime or an address: %v", name, got)
		}
		want, err := st.registration(name, got)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got, protocmp.Transform(), protocmp.SortRepeatedFields(&pb.ProcessorRegistration{}, "supported_algorithms")); diff != "" {
			return fmt.Errorf("what the core shows of %s (-want +got):\n%s", name, diff)
		}
		return nil
	}
	return fmt.Errorf("the core does not show %s", name)
}

// registration is what a processor has to announce. Runtime and address are its own business.
func (st *stage) registration(name string, got *pb.ProcessorRegistration) (*pb.ProcessorRegistration, error) {
	s, err := st.script(*st.processor(name), "")
	if err != nil {
		return nil, err
	}
	out := &pb.ProcessorRegistration{Name: name, Runtime: got.GetRuntime(), ConnectionStr: got.GetConnectionStr(), ProjectName: project}
	for _, a := range s.Algorithms {
		out.SupportedAlgorithms = append(out.SupportedAlgorithms, a.Proto(got.GetRuntime()))
	}
	return out, nil
}

// instance compares what the core says of a processor's instance.
func (st *stage) instance(ctx context.Context, want instance) error {
	list, err := st.core.ListProcessors(ctx, &pb.ListProcessorsRequest{})
	if err != nil {
		return err
	}
	for _, p := range list.GetProcessors() {
		if p.GetName() != want.Processor || len(p.GetInstances()) != 1 {
			continue
		}
		got := p.GetInstances()[0]
		metrics := got.GetMetrics()
		switch {
		case words(got.GetState().String(), "INSTANCE_STATE_") != want.State:
		case want.Active == nil:
			return nil
		case metrics.GetActiveTasks() == *want.Active && metrics.GetMemoryBytes() > 0 && metrics.GetCpuPercent() >= 0 && metrics.GetUptimeSeconds() >= 0:
			return nil
		}
		return fmt.Errorf("the instance of %s is %v", want.Processor, got)
	}
	return fmt.Errorf("the core shows no instance of %s: %v", want.Processor, list)
}

// find waits for a window that an algorithm emitted.
func (st *stage) find(ctx context.Context, w window) error {
	want, err := st.window(w)
	if err != nil {
		return err
	}
	return eventually(ctx, func() error {
		list, err := st.core.ListWindows(ctx, &pb.ListWindowsRequest{WindowTypeName: want.Type, WindowTypeVersion: want.Version})
		if err != nil {
			return err
		}
		for _, got := range list.GetWindows() {
			if got.GetWindow().GetOrigin() != w.Window {
				continue
			}
			if diff := cmp.Diff(text(st.stored(want)), text(script.WindowOf(got.GetWindow()))); diff != "" {
				return fmt.Errorf("window %s (-want +got):\n%s", w.Window, diff)
			}
			st.windows[w.Window] = emitted{want, got.GetId()}
			return nil
		}
		return fmt.Errorf("no window has the origin %s", w.Window)
	})
}

// finish waits for the end of a window's run, and compares all that came of it.
func (st *stage) finish(ctx context.Context, f finish) error {
	id := st.windows[f.Window].id
	if err := st.await(ctx, id); err != nil {
		return fmt.Errorf("wait for window %s: %w", f.Window, err)
	}
	got, err := st.core.GetWindow(ctx, &pb.GetWindowRequest{Id: id})
	if err != nil {
		return err
	}
	var errs []error
	if diff := cmp.Diff(text(st.stored(st.windows[f.Window].Window)), text(script.WindowOf(got.GetWindow().GetWindow()))); diff != "" {
		errs = append(errs, fmt.Errorf("the stored window (-want +got):\n%s", diff))
	}
	want := f.State
	if want == "" {
		want = "succeeded"
	}
	if state := words(got.GetRun().GetState().String(), "RUN_STATE_"); state != want {
		errs = append(errs, fmt.Errorf("the run is %s, want %s", state, want))
	}
	missing := maps.Clone(f.Nodes)
	for _, n := range got.GetNodes() {
		name := n.GetAlgorithm().GetName()
		wanted, ok := f.Nodes[name]
		delete(missing, name)
		if !ok {
			errs = append(errs, fmt.Errorf("%s ran, and the scenario does not say what becomes of it", name))
			continue
		}
		if err := st.compare(f.Window, name, wanted, n); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		errs = append(errs, fmt.Errorf("%s did not run", name))
	}
	if len(errs) > 0 {
		return fmt.Errorf("window %s: %w", f.Window, errors.Join(errs...))
	}
	return nil
}

func (st *stage) await(ctx context.Context, id string) error {
	stream, err := st.core.WatchWindow(ctx, &pb.WatchWindowRequest{Id: id})
	for err == nil {
		var event *pb.WatchWindowResponse
		if event, err = stream.Recv(); event.GetFinished() != nil {
			return nil
		}
	}
	return err
}

// compare compares what has become of an algorithm.
func (st *stage) compare(window, name string, want node, got *pb.NodeInfo) error {
	outcome := want.Outcome
	if outcome == "" {
		outcome = "succeeded"
	}
	if o := words(got.GetOutcome().String(), "OUTCOME_"); o != outcome {
		return fmt.Errorf("it %s (%s), want %s", o, got.GetReason(), outcome)
	}
	own := outcome != "skipped" && outcome != "cancelled"
	attempts := int32(want.Attempts)
	if attempts == 0 && own {
		attempts = 1
	}
	var errs []error
	if n := got.GetAttempts(); own && n != attempts && !want.AnyAttempts {
		errs = append(errs, fmt.Errorf("it took %d attempts, want %d", n, attempts))
	}
	wantData, err := want.script()
	if err != nil {
		return err
	}
	if diff := difference(wantData, script.DataOf(got.GetResult())); diff != "" && !want.AnyResult {
		errs = append(errs, fmt.Errorf("result (-want +got):\n%s", diff))
	}
	if !strings.Contains(got.GetReason(), want.Reason) {
		errs = append(errs, fmt.Errorf("its reason is %q, want %q in it", got.GetReason(), want.Reason))
	}
	errs = append(errs, within(want.Error, script.FieldsOf(got.GetResult().GetError())))
	if want.Told != nil {
		errs = append(errs, st.compareTold(window, name, *want.Told))
	}
	return errors.Join(errs...)
}

// within says whether the fields are there: texts contain the wanted ones, all else is equal.
func within(want map[string]any, got script.Fields) error {
	fields, err := fields(want)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		wantText, ok := fields[name].(string)
		gotText, _ := got[name].(string)
		if ok && strings.Contains(gotText, wantText) && gotText != "" {
			continue
		}
		if diff := cmp.Diff(fields[name], got[name]); diff != "" {
			return fmt.Errorf("error field %s (-want +got):\n%s", name, diff)
		}
	}
	return nil
}

// compareTold compares what the algorithm says that it was given, each time that it ran for the window.
func (st *stage) compareTold(window, name string, want told) error {
	owner, _, err := st.ownerOf(name)
	if err != nil {
		return err
	}
	lines, err := toldOf(filepath.Join(st.dir, owner.Name, "told"), name, window)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return fmt.Errorf("it told nothing of window %s", window)
	}
	wanted := script.Told{Algorithm: name, Window: st.windows[window].Window, Needs: [][]script.Row{}}
	for _, rows := range want.Needs {
		need, err := st.rows(rows)
		if err != nil {
			return err
		}
		wanted.Needs = append(wanted.Needs, need)
	}
	if wanted.Self, err = st.rows(want.Self); err != nil {
		return err
	}
	for _, line := range lines {
		if diff := difference(normal(wanted), normal(line)); diff != "" {
			return fmt.Errorf("what it was given (-want +got):\n%s", diff)
		}
	}
	return nil
}

// toldOf reads the lines of an algorithm and a window.
func toldOf(path, algorithm, origin string) (out []script.Told, err error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	reader := bufio.NewScanner(bytes.NewReader(content))
	reader.Buffer(nil, 256<<20)
	for reader.Scan() {
		var line script.Told
		if err := json.Unmarshal(reader.Bytes(), &line); err != nil {
			return nil, fmt.Errorf("%s has the line %.200q: %w", path, reader.Text(), err)
		}
		if line.Algorithm == algorithm && line.Window.Origin == origin {
			out = append(out, line)
		}
	}
	return out, reader.Err()
}

func (st *stage) rows(rows []row) ([]script.Row, error) {
	out := []script.Row{}
	for _, r := range rows {
		d, err := r.script()
		if err != nil {
			return nil, err
		}
		out = append(out, script.Row{Window: st.stored(st.windows[r.Window].Window), Data: d})
	}
	return out, nil
}

// stored is a window without the fields that are not to be stored.
func (st *stage) stored(w script.Window) script.Window {
	t, err := st.windowTypeOf(w.Type + "@" + w.Version)
	if err != nil {
		return w
	}
	w.Metadata = maps.Clone(w.Metadata)
	for _, f := range t.Fields {
		if f.NoStore {
			delete(w.Metadata, f.Name)
		}
	}
	return w
}

// normal makes no difference between lists that are empty and lists that are not there.
func normal(t script.Told) script.Told {
	needs := make([][]script.Row, len(t.Needs))
	for i, rows := range t.Needs {
		needs[i] = append([]script.Row{}, rows...)
	}
	t.Needs, t.Self = needs, append([]script.Row{}, t.Self...)
	return t
}

// difference compares two values as their JSON shows them, to the bit.
func difference(want, got any) string {
	if a, b := text(want), text(got); a != b {
		const most = 4 << 10
		return fmt.Sprintf("-%.*s\n+%.*s", most, a, most, b)
	}
	return ""
}

func text(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}
