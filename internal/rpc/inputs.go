package rpc

import (
	"context"
	"fmt"
	"slices"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
	"github.com/orca-telemetry/orca/internal/wire"
)

// shownRun is a run of a window as it is shown.
type shownRun struct {
	window orca.WindowRecord
	orca.RunRecord
	plan     *plan.Plan
	outcomes map[orca.AlgorithmID]*orca.Outcome
}

// run reads a run of the window that a client means.
func (s *consoleService) run(ctx context.Context, id string, revision int32) (r shownRun, err error) {
	key, err := s.ids.parse(id)
	if err != nil {
		return r, err
	}
	if r.window, err = s.cfg.Ledger.Window(ctx, key); err != nil {
		return r, s.noWindow(err, id)
	}
	if r.RunRecord, err = s.cfg.Ledger.Run(ctx, key, int(revision)); err != nil {
		return r, s.noRevision(err, r.window, revision)
	}
	r.outcomes = outcomesOf(r.RunRecord)
	r.plan, err = planOf(r.RunRecord) // its own for good
	return r, err
}

// given reports whether a node was handed its inputs, or will be, and to a run at which position.
func (r *shownRun) given(node int) (at orca.Position, given, open bool) {
	o := r.outcomes[r.plan.Nodes[node].Algorithm.ID]
	switch {
	case o == nil:
		return r.Run.Position, true, true
	case o.Kind == orca.Succeeded || o.Kind.Failed():
		return producedAt(r.Run.Position, o), true, false
	}
	return 0, false, false
}

// looks returns where a node looks back at.
func (r *shownRun) looks(node int) []lookback.Look {
	return r.plan.Looks(node, r.window.Window)
}

// input is what a node is given in one place.
type input struct {
	inputPlace // its beginning
	algorithm  orca.AlgorithmID
	of         *orca.Algorithm
	lookback   orca.Lookback
	at         orca.Position
	open       bool
	// current: there is a result of the run's own.
	current bool
	// look is nil where nothing of the past is given.
	look *lookback.Look
}

// inputPlace is how far somebody has read: the place of an input, and in it.
type inputPlace struct {
	Node, Dependency int
	// Current: the current window's result was read.
	Current bool
	lookback.Place
}

// before orders inputs by node and dependency, where the own past comes last.
func (p inputPlace) before(q inputPlace) bool {
	last := func(dependency int) uint { return uint(dependency) } // Self is -1
	return p.Node < q.Node || p.Node == q.Node && last(p.Dependency) < last(q.Dependency)
}

// inputs returns what the wanted nodes of a run are given, in order.
func (r *shownRun) inputs(wanted func(orca.AlgorithmID) bool) (list []input) {
	for node := range r.plan.Nodes {
		n := &r.plan.Nodes[node]
		at, given, open := r.given(node)
		if !given || !wanted(n.Algorithm.ID) {
			continue
		}
		looks := r.looks(node)
		add := func(in input, dependency int) {
			in.Node, in.Dependency, in.algorithm, in.at, in.open = node, dependency, n.Algorithm.ID, at, open
			if i := slices.IndexFunc(looks, func(l lookback.Look) bool { return l.Dependency == dependency }); i >= 0 {
				in.look = &looks[i]
			}
			if dependency != lookback.Self || in.look != nil {
				list = append(list, in)
			}
		}
		for d := range n.Inputs {
			of := n.Inputs[d].Algorithm
			current := n.Inputs[d].Node >= 0 && r.outcomes[of.ID] != nil && r.outcomes[of.ID].Kind == orca.Succeeded
			add(input{of: of, lookback: n.Algorithm.Dependencies[d].Lookback, current: current}, d)
		}
		add(input{of: &n.Algorithm, lookback: n.Algorithm.Self}, lookback.Self)
	}
	return list
}

func (s *consoleService) ListInputs(ctx context.Context, msg *pb.ListInputsRequest) (*pb.ListInputsResponse, error) {
	from, err := readToken[inputPlace](msg.GetPageToken())
	if err != nil {
		return nil, err
	}
	if msg.GetRowsPerInput() < 0 {
		return nil, orca.Errorf(orca.Invalid, "rows_per_input is %d: send how many rows of each input you want, or 0 for all", msg.GetRowsPerInput())
	}
	run, err := s.run(ctx, msg.GetId(), msg.GetRevision())
	if err != nil {
		return nil, err
	}
	wanted, err := run.wanted(msg.GetAlgorithms())
	if err != nil {
		return nil, err
	}
	p := inputsPage{service: s, run: &run, left: pageSize(msg.GetPageSize()), most: int(msg.GetRowsPerInput())}
	for _, in := range run.inputs(wanted) {
		place := in.inputPlace
		if place.before(from) {
			continue
		}
		if !from.before(place) {
			place = from
		}
		ended, err := p.add(ctx, &in, &place)
		if err != nil {
			return nil, err
		}
		if !ended {
			p.out.PageToken = token(place)
			break
		}
	}
	return &p.out, nil
}

// wanted returns a test for the algorithms that a client asks for.
func (r *shownRun) wanted(asked []*pb.AlgorithmRef) (func(orca.AlgorithmID) bool, error) {
	ids := map[orca.AlgorithmID]bool{}
	for _, a := range asked {
		id := orca.AlgorithmID{Processor: a.GetProcessor(), Name: a.GetName(), Version: a.GetVersion()}
		if _, there := r.plan.Index(id); !there {
			return nil, orca.Errorf(orca.NotFound, "algorithms: %s %s of processor %q is no part of this run: GetWindow (orca window) shows all that are",
				orca.Shown(id.Name), orca.Shown(id.Version), orca.Shown(id.Processor))
		}
		ids[id] = true
	}
	return func(id orca.AlgorithmID) bool { return len(ids) == 0 || ids[id] }, nil
}

// inputsPage is a page that is being filled.
type inputsPage struct {
	service *consoleService
	run     *shownRun
	// left is how many rows there is room for, and most how many past rows an input has; 0 means all.
	left, most int
	room       pageBytes
	out        pb.ListInputsResponse
}

// add adds an input from a place in it, which it moves on, and reports whether it came to its end.
func (p *inputsPage) add(ctx context.Context, in *input, at *inputPlace) (ended bool, err error) {
	if p.left == 0 {
		return false, nil
	}
	m := in.message()
	if in.current && !at.Current {
		rows, err := p.rows(ctx, in.of.ID, []orca.Position{in.at})
		if err != nil {
			return false, err
		}
		rows[0].Current = true
		if at.Current = p.take(m, rows[0]); !at.Current {
			return false, nil
		}
	}
	if ended = in.look == nil; !ended && p.left > 0 {
		if ended, err = p.past(ctx, in, m, &at.Place); err != nil {
			return false, err
		}
	}
	if len(m.GetRows()) == 0 && ended {
		p.left--
	}
	if len(m.GetRows()) > 0 || ended {
		p.out.Inputs = append(p.out.Inputs, m)
	}
	return ended, nil
}

// take adds a row, if there is room for it.
func (p *inputsPage) take(to *pb.Input, row *pb.InputRow) bool {
	if p.left == 0 || !p.room.take(row) {
		return false
	}
	p.left--
	to.Rows = append(to.Rows, row)
	return true
}

// past adds what is left of the past rows of an input.
func (p *inputsPage) past(ctx context.Context, in *input, m *pb.Input, at *lookback.Place) (ended bool, err error) {
	limit := p.left
	if p.most > 0 {
		limit = max(0, min(limit, p.most-int(at.Taken)))
	}
	s := p.service
	view := lookback.View{Window: p.run.window.ID, At: in.at, Available: !in.open || s.cfg.Available}
	part, err := in.look.Part(ctx, s.cfg.Ledger, view, *at, limit)
	if err != nil {
		return false, fmt.Errorf("look back from run %d: %w", in.at, err)
	}
	for some := range slices.Chunk(part.Rows, firstRead) {
		positions := make([]orca.Position, len(some))
		for i := range some {
			positions[i] = some[i].Position
		}
		rows, err := p.rows(ctx, in.of.ID, positions)
		if err != nil {
			return false, err
		}
		for i, row := range rows {
			if !p.take(m, row) {
				return false, nil
			}
			*at = at.Next(some[i])
		}
	}
	if part.Open != nil {
		m.AwaitedPosition, m.AwaitedWindowId = int64(part.Open.Position), s.ids.text(part.Open.Window)
	}
	m.More = part.More && p.most > 0 && at.Taken >= uint64(p.most)
	return m.More || !part.More, nil
}

// rows reads results with their windows.
func (p *inputsPage) rows(ctx context.Context, of orca.AlgorithmID, at []orca.Position) ([]*pb.InputRow, error) {
	s := p.service
	records, err := s.cfg.Ledger.PastRows(ctx, of, at)
	if err != nil {
		return nil, fmt.Errorf("read what run %d was given: %w", p.run.Run.Position, err)
	}
	rows := make([]*pb.InputRow, len(records))
	for i, r := range records {
		window, err := wire.WindowMessage(r.Window)
		if err != nil {
			return nil, fmt.Errorf("read window %d: %w", r.WindowID, err)
		}
		result, err := wire.ResultMessage(r.Result)
		if err != nil {
			return nil, fmt.Errorf("read the result of %s in run %d: %w", of, r.Position, err)
		}
		rows[i] = &pb.InputRow{
			WindowId: s.ids.text(r.WindowID), Window: window, Position: int64(r.Position), Revision: int32(r.Revision),
			Result: result, ProducedAt: int64(r.ProducedAt),
		}
	}
	return rows, nil
}

// message is the input without rows.
func (in *input) message() *pb.Input {
	return &pb.Input{
		Algorithm: ref(in.algorithm), Dependency: int32(in.Dependency), Of: ref(in.of.ID), WindowType: typeRef(in.of.WindowType.ID),
		LookbackNum: in.lookback.Range.Count, LookbackTimeDelta: in.lookback.Range.Span,
		LookbackGapNum: in.lookback.Gap.Count, LookbackGapTimeDelta: in.lookback.Gap.Span, Position: int64(in.at),
	}
}

func typeRef(id orca.WindowTypeID) *pb.WindowTypeRef {
	return &pb.WindowTypeRef{Name: id.Name, Version: id.Version}
}
