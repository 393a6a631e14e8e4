package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
)

// inputView is what orca window --inputs prints as JSON of one place in which an algorithm was given results.
type inputView struct {
	Algorithm refView `json:"algorithm"`
	// Dependency is the place among the algorithm's dependencies, or -1 for its own past.
	Dependency int32         `json:"dependency"`
	Of         refView       `json:"of"`
	WindowType typeView      `json:"window_type"`
	Lookback   *lookbackView `json:"lookback,omitempty"`
	Position   int64         `json:"position"`
	Rows       []rowView     `json:"rows"`
	More       bool          `json:"more,omitempty"`
	Awaited    *awaitedView  `json:"awaited,omitempty"`

	// other: of another window type than the window's.
	other bool
}

// awaitedView is what has to be settled before an open node is given the next row.
type awaitedView struct {
	WindowID string `json:"window_id"`
	Position int64  `json:"position"`
}

type rowView struct {
	WindowID string     `json:"window_id"`
	Window   windowView `json:"window"`
	Position int64      `json:"position"`
	Revision int32      `json:"revision"`
	// Value is null when the algorithm succeeded with no value.
	Value     json.RawMessage `json:"value,omitempty"`
	Timestamp int64           `json:"timestamp,omitempty"`
	// Current: the result for the window itself. It has no age.
	Current    bool   `json:"current,omitempty"`
	Age        *int64 `json:"age_nanoseconds,omitempty"`
	ProducedAt int64  `json:"produced_at,omitempty"`

	result *pb.Result
}

// inputs walks what the algorithms of a run were given, with at most so many past rows of each; 0 is all.
func (c *core) inputs(ctx context.Context, w *pb.GetWindowResponse, limit int) ([]inputView, error) {
	l := list[*pb.ListInputsRequest, *pb.ListInputsResponse, *pb.Input]{
		method: c.console.ListInputs,
		page: func(size int32, token string) *pb.ListInputsRequest {
			return &pb.ListInputsRequest{
				PageSize: size, PageToken: token, Id: w.GetWindow().GetId(), Revision: w.GetRun().GetRevision(), RowsPerInput: int32(min(limit, math.MaxInt32)),
			}
		},
		rows: (*pb.ListInputsResponse).GetInputs,
	}
	inputs := []inputView{}
	for in, err := range l.walk(ctx, c, 0) {
		if err != nil {
			return nil, err
		}
		v := viewInput(in, w.GetWindow().GetWindow())
		if last := len(inputs) - 1; last >= 0 && inputs[last].Algorithm == v.Algorithm && inputs[last].Dependency == v.Dependency {
			v.Rows = append(inputs[last].Rows, v.Rows...) // it went on on the next page
			inputs = inputs[:last]
		}
		inputs = append(inputs, v)
	}
	return inputs, nil
}

func viewInput(in *pb.Input, of *pb.Window) inputView {
	v := inputView{
		Algorithm: viewRef(in.GetAlgorithm()), Dependency: in.GetDependency(), Of: viewRef(in.GetOf()),
		WindowType: typeView{in.GetWindowType().GetName(), in.GetWindowType().GetVersion()},
		Lookback:   viewLookback(in.GetLookbackNum(), in.GetLookbackTimeDelta(), in.GetLookbackGapNum(), in.GetLookbackGapTimeDelta()),
		Position:   in.GetPosition(), Rows: []rowView{}, More: in.GetMore(),
	}
	if at := in.GetAwaitedPosition(); at != 0 {
		v.Awaited = &awaitedView{in.GetAwaitedWindowId(), at}
	}
	v.other = v.WindowType != typeView{of.GetWindowTypeName(), of.GetWindowTypeVersion()}
	for _, r := range in.GetRows() {
		v.Rows = append(v.Rows, viewRow(r, of.GetTimeTo()))
	}
	return v
}

func viewRow(r *pb.InputRow, end *timestamppb.Timestamp) rowView {
	v := rowView{
		WindowID: r.GetWindowId(), Window: viewWindow(r.GetWindow()), Position: r.GetPosition(), Revision: r.GetRevision(),
		Value: valueJSON(r.GetResult()), Timestamp: r.GetResult().GetTimestamp(), Current: r.GetCurrent(), ProducedAt: r.GetProducedAt(),
		result: r.GetResult(),
	}
	if !r.GetCurrent() {
		v.Age = new(int64(end.AsTime().Sub(r.GetWindow().GetTimeTo().AsTime())))
	}
	return v
}

var inputsHead = []string{"ALGORITHM", "OF", "LOOKBACK", "FROM", "TO", "AGE", "RESULT", "WINDOW", "REVISION", "POSITION", "ORIGIN"}

// printInputs prints a table of all rows. Limit is how many past rows of each input were asked for.
func (s *shell) printInputs(inputs []inputView, limit int) error {
	var lines [][]string
	more := false
	for _, in := range inputs {
		lines = append(lines, in.lines()...)
		more = more || in.More
	}
	if len(lines) == 0 {
		s.sayNone(0, nil, "no algorithm of this run was given any results")
		return nil
	}
	fmt.Fprintln(s.out)
	err := printTable(s.out, inputsHead, lines)
	s.sayMore(more && err == nil, limit)
	return err
}

// lines are the cells of all rows, and of what else there is to say.
func (in inputView) lines() (lines [][]string) {
	add := func(cells ...string) {
		line := append([]string{in.Algorithm.String(), in.ofText(), in.Lookback.over(in.other)}, cells...)
		lines = append(lines, append(line, make([]string, len(inputsHead)-len(line))...))
	}
	for _, r := range in.Rows {
		add(r.Window.TimeFrom, r.Window.TimeTo, r.ageText(), valueText(r.result), r.WindowID, strconv.Itoa(int(r.Revision)),
			positionText(r.Position, r.ProducedAt), r.Window.Origin)
	}
	switch {
	case in.Awaited != nil:
		add(fmt.Sprintf("waits for run %d, of window %s", in.Awaited.Position, in.Awaited.WindowID))
	case in.More:
		add("and more")
	case len(in.Rows) == 0:
		add("none")
	}
	return lines
}

func (in inputView) ofText() string {
	switch {
	case in.Dependency < 0:
		return "itself"
	case in.Of.Processor != in.Algorithm.Processor:
		return in.Of.String() + " of " + in.Of.Processor
	}
	return in.Of.String()
}

// ageText is how long before the end of this window that of the row ended.
func (r rowView) ageText() string {
	if r.Age == nil {
		return "current"
	}
	return config.FormatDuration(time.Duration(*r.Age))
}

// positionText is a row's position, and that of the run whose result a retry kept.
func positionText(position, producedAt int64) string {
	if producedAt == 0 || producedAt == position {
		return strconv.FormatInt(position, 10)
	}
	return fmt.Sprintf("%d (kept from %d)", position, producedAt)
}
