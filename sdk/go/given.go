package orca

import (
	"context"
	"fmt"
	"iter"
	"time"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Input is a row that an algorithm was given in a run.
type Input struct {
	// Algorithm was given the row.
	Algorithm AlgorithmID
	// Dependency is the place in what [Needs] says, from 0, or -1 for its own past results.
	Dependency int
	// Of is whose result it is, and Lookback how far back the algorithm looks for it.
	Of       AlgorithmID
	Lookback Lookback
	// Row has the result like [Node] has it: float32, []float32, map[string]any, or nil for none.
	Row Row[any]
	// Current is set for the result of the run's own window.
	Current bool
	// Position and Revision are of the run that the row is taken from.
	Position int64
	Revision int
	// ProducedAt is the position of the run in which the result came about: an earlier one where a retry kept it.
	ProducedAt int64
}

// inputsPage is how many rows are fetched at once.
const inputsPage = 500

// Inputs reads the rows that algorithms were given in a run of a window by its revision, 0 for the newest: only those
// that are named, or all. They come in the order of the run's algorithms, of each in the order of what it needs, then
// its own past, and as they were handed over: the current window's first, then the newest. What nothing was given of is
// not mentioned. They are fetched in pages while the loop runs; breaking out of the loop stops that. An error ends the
// sequence and comes with a zero row.
//
//	for in, err := range client.Inputs(ctx, windowID, 0, speed.ID()) {
func (c *Client) Inputs(ctx context.Context, windowID string, revision int, algorithms ...AlgorithmID) iter.Seq2[Input, error] {
	return func(yield func(Input, error) bool) {
		op := "read inputs of window " + windowID
		request := &pb.ListInputsRequest{PageSize: inputsPage, Id: windowID, Revision: int32(revision)}
		for _, id := range algorithms {
			request.Algorithms = append(request.Algorithms, &pb.AlgorithmRef{Processor: id.Processor, Name: id.Name, Version: id.Version})
		}
		err := checkRevision(op, windowID, revision)
		for err == nil {
			var page *pb.ListInputsResponse
			err = c.try(ctx, op, func(ctx context.Context) (err error) {
				page, err = c.console.ListInputs(ctx, request)
				return err
			})
			for _, in := range page.GetInputs() {
				for _, row := range in.GetRows() {
					if !yield(inputOf(in, row), nil) {
						return
					}
				}
			}
			if request.PageToken = page.GetPageToken(); err == nil && request.PageToken == "" {
				return
			}
		}
		yield(Input{}, err)
	}
}

// checkRevision refuses what cannot be a run.
func checkRevision(op, windowID string, revision int) error {
	if err := checkWindowID(windowID); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if revision < 0 || int(int32(revision)) != revision {
		return fmt.Errorf("%s: %w", op, invalid("revision %d: want 1 or more, or 0 for the newest", revision))
	}
	return nil
}

func inputOf(in *pb.Input, row *pb.InputRow) Input {
	return Input{
		Algorithm: idOf(in.GetAlgorithm()), Dependency: int(in.GetDependency()), Of: idOf(in.GetOf()),
		Lookback: Lookback{
			count: int(in.GetLookbackNum()), span: duration(in.GetLookbackTimeDelta()),
			gapCount: int(in.GetLookbackGapNum()), gapSpan: duration(in.GetLookbackGapTimeDelta()),
		},
		Row: Row[any]{
			Window:   windowOf(row.GetWindow(), row.GetWindowId()),
			Value:    decodeAny(row.GetResult()),
			Computed: time.Unix(row.GetResult().GetTimestamp(), 0).UTC(),
		},
		Current: row.GetCurrent(), Position: row.GetPosition(), Revision: int(row.GetRevision()), ProducedAt: row.GetProducedAt(),
	}
}

func idOf(ref *pb.AlgorithmRef) AlgorithmID {
	return AlgorithmID{Processor: ref.GetProcessor(), Name: ref.GetName(), Version: ref.GetVersion()}
}

// Freshness says whether the past results that an algorithm was given are those that it would be given now. What is not
// settled yet does not make them stale.
type Freshness int

const (
	// InputsCurrent: it would be given the same results of the same windows.
	InputsCurrent Freshness = iota + 1
	// InputsStale: windows that came late, or later runs, would change what it is given. Its result stays as it is;
	// [Client.Reprocess] makes it anew.
	InputsStale
	// InputsNotCompared: there are too many of them for the core to compare.
	InputsNotCompared
)

// String is for people: "stale".
func (f Freshness) String() string {
	switch f {
	case InputsCurrent:
		return "current"
	case InputsStale:
		return "stale"
	case InputsNotCompared:
		return "not compared"
	}
	return fmt.Sprintf("Freshness(%d)", int(f))
}

// Freshness returns, for a run of a window by its revision, 0 for the newest, whether its results are stale: of the
// algorithms that look back and have succeeded or failed. It does not wait for others.
func (c *Client) Freshness(ctx context.Context, windowID string, revision int) (map[AlgorithmID]Freshness, error) {
	op := "read the freshness of window " + windowID
	if err := checkRevision(op, windowID, revision); err != nil {
		return nil, err
	}
	var window *pb.GetWindowResponse
	err := c.try(ctx, op, func(ctx context.Context) (err error) {
		window, err = c.console.GetWindow(ctx, &pb.GetWindowRequest{Id: windowID, Revision: int32(revision)})
		return err
	})
	if err != nil {
		return nil, err
	}
	found := map[AlgorithmID]Freshness{}
	for _, node := range window.GetNodes() {
		f, known, err := freshnessOf(node.GetFreshness())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		if known {
			found[idOf(node.GetAlgorithm())] = f
		}
	}
	return found, nil
}

func freshnessOf(f pb.Freshness) (found Freshness, known bool, err error) {
	switch f {
	case pb.Freshness_FRESHNESS_UNSPECIFIED:
		return 0, false, nil
	case pb.Freshness_FRESHNESS_CURRENT:
		return InputsCurrent, true, nil
	case pb.Freshness_FRESHNESS_STALE:
		return InputsStale, true, nil
	case pb.Freshness_FRESHNESS_NOT_COMPARED:
		return InputsNotCompared, true, nil
	}
	return 0, false, fmt.Errorf("%v is no freshness that this SDK knows", f)
}
