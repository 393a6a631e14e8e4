package engine

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// recent keeps the newest past of the algorithms that somebody looks back at, so that most lookbacks need no read. It
// holds what was accepted since a plan that looks back was first followed, and never more than the ledger could say:
//
//	(to, from) of windows   ········ floor ············· newest
//	                        the ledger    | all of them here
//
// Whatever makes it uncertain that all windows above a floor are here raises the floor: a window that was dropped for
// want of room, a commit whose end was not seen, a revision. A walk that would have to go below is left to the ledger.
// Where the ledger has found nothing below, as of a machine that is new, the floor is the beginning of time.
//
// The loop writes, requests read.
type recent struct {
	mu     sync.RWMutex
	tracks map[orca.AlgorithmID]*track
	byType map[orca.WindowTypeID][]*track
	// newest is the highest (to, from) of each window type, in the ledger too.
	newest map[orca.WindowTypeID]orca.Interval
	// doubtful is the highest one of a commit whose end was not seen.
	doubtful map[orca.WindowTypeID]orca.Interval
	plans    map[*plan.Plan]bool // that are followed
	// told is the newest run that it was told of.
	told  orca.Position
	size  int64 // bytes, about
	limit int64
	// spare windows are kept beyond those that a lookback asks for, since windows do not end in the order in which they
	// are settled.
	spare int
}

const (
	// trackOverhead is what a window takes beside its payload, about, in bytes.
	trackOverhead = 200
	// mostWindows of a group are kept at most.
	spareWindows, mostWindows = 64, 2048
)

// track is the recent past of one algorithm.
type track struct {
	of     orca.AlgorithmID
	typ    orca.WindowTypeID
	fields int // that the type marks filter
	// base is the floor of groups that begin now, raised one that holds for all groups.
	base, raised orca.Interval
	// late is not below any run that memory was told of and that lies below the floor of its group: a read that was made
	// for an earlier run may not have seen it.
	late orca.Position
	// keep is how many windows of a group are of use.
	keep   int
	groups map[string]*group // by the hashes of the filters
	// open has the groups of the runs that are not settled.
	open map[orca.Position]*group
	size int64
}

// group are the windows with the same values in all filter fields, ascending by (to, from, position).
type group struct {
	floor   orca.Interval
	windows []recentWindow
}

// recentWindow is a window with its first run.
type recentWindow struct {
	run    orca.PastRun
	window orca.Window // as it is stored
	result []byte
}

func newRecent(limit int64) recent {
	return recent{
		plans: map[*plan.Plan]bool{}, tracks: map[orca.AlgorithmID]*track{}, byType: map[orca.WindowTypeID][]*track{},
		newest: map[orca.WindowTypeID]orca.Interval{}, doubtful: map[orca.WindowTypeID]orca.Interval{}, limit: limit, spare: spareWindows,
	}
}

// begin takes note of what is in the ledger.
func (c *recent) begin(told orca.Position, newest map[orca.WindowTypeID]orca.Interval) {
	c.told = told
	for t, i := range newest {
		c.newest[t] = i
	}
}

// accept takes the window of an emit, which is in the ledger or, in doubt, may be.
func (c *recent) accept(x *emit, doubt bool) {
	w := &x.emission.Window
	if x.revision != nil {
		w = &x.window
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := w.Interval()
	c.follow(x.plan) // before the window counts: what looks back at its own type then knows all of it
	c.told = max(c.told, x.accepted.Position)
	if at.Compare(c.newest[w.Type]) > 0 {
		c.newest[w.Type] = at
	}
	if doubt && at.Compare(c.doubtful[w.Type]) > 0 {
		c.doubtful[w.Type] = at
	}
	for _, t := range c.byType[w.Type] {
		if doubt || x.revision != nil {
			t.raise(at)
			continue
		}
		if _, ok := x.plan.Index(t.of); ok {
			c.add(t, x)
		}
	}
}

// raise leaves what is up to an interval to the ledger.
func (t *track) raise(floor orca.Interval) {
	if floor.Compare(t.raised) > 0 {
		t.raised = floor
	}
}

// floor of a group, which need not be there yet.
func (t *track) floor(g *group) orca.Interval {
	floor := t.base
	if g != nil {
		floor = g.floor
	}
	if t.raised.Compare(floor) > 0 {
		return t.raised
	}
	return floor
}

// group returns the group of a key.
func (t *track) group(key string) *group {
	g := t.groups[key]
	if g == nil {
		g = &group{floor: t.base}
		t.groups[key] = g
	}
	return g
}

// add puts a window that was accepted into its group.
func (c *recent) add(t *track, x *emit) {
	em := &x.emission
	p := x.accepted.Position
	if len(em.Filters) != t.fields {
		t.raise(em.Window.Interval())
		return
	}
	g := t.group(filterKey(em.Filters))
	if em.Window.Interval().Compare(t.floor(g)) <= 0 {
		t.late = p
		return
	}
	w := recentWindow{window: em.Window, run: orca.PastRun{Window: p, From: em.Window.From, To: em.Window.To, Position: p}}
	for i := range em.Outcomes {
		if em.Outcomes[i].Algorithm == t.of {
			w.run.Kind = em.Outcomes[i].Kind // skipped: it can never run
		}
	}
	g.insert(w)
	if !w.run.Settled() {
		t.open[p] = g
	}
	c.grow(t, trackOverhead+int64(len(w.window.Metadata)+len(w.window.Origin)))
	c.trim(t, g)
}

// settle takes an outcome that is durable.
func (c *recent) settle(p orca.Position, o *orca.Outcome) {
	if len(c.tracks) == 0 { // only the loop writes it
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tracks[o.Algorithm]
	if t == nil {
		return
	}
	g := t.open[p]
	if g == nil {
		return
	}
	delete(t.open, p)
	for i := range slices.Backward(g.windows) {
		if w := &g.windows[i]; w.run.Position == p {
			w.run.Kind = o.Kind
			if o.Kind == orca.Succeeded {
				w.result = o.Result.Encoded
				c.grow(t, int64(len(w.result)))
			}
			return
		}
	}
}

// grow counts bytes, and lets go of everything of the largest track when there are too many.
func (c *recent) grow(t *track, bytes int64) {
	t.size += bytes
	if c.size += bytes; c.size <= c.limit {
		return
	}
	for _, other := range c.tracks {
		if other.size > t.size || other.size == t.size && other.of.Compare(t.of) < 0 {
			t = other
		}
	}
	c.size -= t.size
	t.size, t.base, t.late = 0, c.newest[t.typ], c.told
	t.groups, t.open = map[string]*group{}, map[orca.Position]*group{}
}

// trim drops the oldest windows of a group that are more than are of use.
func (c *recent) trim(t *track, g *group) {
	if len(g.windows) <= t.keep+t.keep/4 { // a quarter at once
		return
	}
	for _, w := range g.windows[:len(g.windows)-t.keep] {
		g.floor, t.late = w.run.Interval(), max(t.late, w.run.Position)
		bytes := trackOverhead + int64(len(w.window.Metadata)+len(w.window.Origin)+len(w.result))
		t.size, c.size = t.size-bytes, c.size-bytes
		delete(t.open, w.run.Position)
	}
	g.windows = slices.Clone(g.windows[len(g.windows)-t.keep:])
}

// insert keeps the windows in order; most come last.
func (g *group) insert(w recentWindow) {
	i := len(g.windows)
	for i > 0 && compareRuns(g.windows[i-1].run, w.run) > 0 {
		i--
	}
	g.windows = slices.Insert(g.windows, i, w)
}

func compareRuns(a, b orca.PastRun) int {
	return cmp.Or(a.Interval().Compare(b.Interval()), cmp.Compare(a.Position, b.Position))
}

// filterKey is equal for equal values of the same fields.
func filterKey(filters []orca.FilterValue) string {
	if len(filters) == 0 {
		return ""
	}
	var b strings.Builder
	for i := range filters {
		b.Write(filters[i].Hash[:])
	}
	return b.String()
}

// maxPlans bounds the plans that are known.
const maxPlans = 1024

// watch follows a plan, of a run that was accepted before. Only the loop calls it.
func (c *recent) watch(p *plan.Plan) {
	if !c.plans[p] {
		c.mu.Lock()
		c.follow(p)
		c.mu.Unlock()
	}
}

// follow begins to follow what the nodes of a plan look back at, from the next window on. The lock is held.
func (c *recent) follow(p *plan.Plan) {
	if c.plans[p] || c.limit < 0 {
		return
	}
	if len(c.plans) >= maxPlans {
		clear(c.plans)
	}
	c.plans[p] = true
	for i := range p.Nodes {
		for _, d := range p.Directions(i) {
			c.track(&d)
		}
	}
}

// track begins to follow one algorithm. The lock is held.
func (c *recent) track(d *lookback.Direction) {
	keep, of := mostWindows, d.Of()
	if n, bounded := d.Most(); bounded && n < uint64(mostWindows-c.spare) {
		keep = int(n) + c.spare
	}
	t := c.tracks[of.ID]
	if t == nil {
		t = &track{of: of.ID, typ: of.WindowType.ID, base: c.newest[of.WindowType.ID], late: c.told, raised: c.doubtful[of.WindowType.ID],
			groups: map[string]*group{}, open: map[orca.Position]*group{}}
		for _, f := range of.WindowType.Fields {
			if f.Filter {
				t.fields++
			}
		}
		c.tracks[of.ID] = t
		c.byType[t.typ] = append(c.byType[t.typ], t)
	}
	t.keep = max(t.keep, keep)
}

// sight is what somebody sees who looks back.
type sight struct {
	runs []orca.PastRun
	rows []orca.Row
	open *orca.PastRun
}

// read walks a look of a run whose window has these filters, and reports whether memory knows all of it. The rows come
// with it when they are asked for.
func (c *recent) read(l *lookback.Look, filters []orca.FilterValue, before orca.Position, available, rows bool) (s sight, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	t := c.tracks[l.Of]
	if t == nil || t.fields != len(l.Fields) {
		return s, false
	}
	key, ok := keyOf(filters, l.Fields)
	if !ok {
		return s, false
	}
	g := t.groups[key]
	floor := t.floor(g)
	var windows []recentWindow
	if g != nil {
		windows = g.windows
	}
	walk := l.Walk()
	for i := range slices.Backward(windows) {
		w := &windows[i]
		if w.run.Interval().Compare(floor) <= 0 {
			break
		}
		if w.run.Position >= before {
			continue
		}
		switch walk.Next(w.run) {
		case lookback.Take:
			s.runs = append(s.runs, w.run)
			if rows {
				s.rows = append(s.rows, orca.Row{Window: w.window, Result: w.result})
			}
		case lookback.Wait:
			if !available {
				run := w.run
				s.open = &run
				return s, true
			}
		case lookback.Pass, lookback.Full:
		}
		if walk.Full() {
			return s, true
		}
	}
	return s, floor == orca.Interval{} || walk.Begins() > floor.To
}

// nothing takes note that the ledger had nothing at all for a look of the run at a position.
func (c *recent) nothing(l *lookback.Look, filters []orca.FilterValue, at orca.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tracks[l.Of]
	key, ok := keyOf(filters, l.Fields)
	if t == nil || !ok || t.fields != len(l.Fields) || t.late >= at {
		return
	}
	g := t.group(key)
	if len(g.windows) == 0 {
		c.grow(t, trackOverhead)
	}
	// What is above the floor is here, and the ledger has looked below it.
	if l.Begins() == orca.MinTime && l.Ends().Compare(g.floor) >= 0 {
		g.floor = orca.Interval{}
	}
}

// keyOf returns the group of windows that have the values of some filters.
func keyOf(filters []orca.FilterValue, fields []string) (key string, ok bool) {
	if len(fields) == 0 {
		return "", true
	}
	some := make([]orca.FilterValue, 0, len(fields))
	for i := range filters {
		if slices.Contains(fields, filters[i].Field) {
			some = append(some, filters[i])
		}
	}
	return filterKey(some), len(some) == len(fields)
}
