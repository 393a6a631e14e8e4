package orca

import (
	"context"
	"fmt"
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// ResultsOption narrows what [Algorithm.Results] reads.
type ResultsOption func(*resultsConfig)

type resultsConfig struct{ metadata map[string]any }

// Where takes only windows whose metadata holds all these fields with these values.
func Where(metadata map[string]any) ResultsOption {
	return func(c *resultsConfig) { c.metadata = metadata }
}

// resultsPage is how many results are fetched at once.
const resultsPage = 500

// Results reads the algorithm's results from a core, the newest window first: those of windows that end after from
// and begin before to. A zero time is no bound. They are fetched in pages while the loop runs; breaking out of the
// loop stops that. An error ends the sequence and comes with a zero row.
//
//	for row, err := range speed.Results(ctx, client, time.Now().Add(-time.Hour), time.Time{}) {
func (a *Algorithm[T]) Results(ctx context.Context, c *Client, from, to time.Time, opts ...ResultsOption,
) iter.Seq2[Row[T], error] {
	return func(yield func(Row[T], error) bool) {
		request, err := a.resultsRequest(from, to, opts)
		for err == nil {
			var page *pb.ListResultsResponse
			err = c.try(ctx, fmt.Sprintf("read results of %v", a.id), func(ctx context.Context) (err error) {
				page, err = c.console.ListResults(ctx, request)
				return err
			})
			for _, info := range page.GetResults() {
				row, err := rowOf[T](info)
				if !yield(row, err) || err != nil {
					return
				}
			}
			if request.PageToken = page.GetPageToken(); err == nil && request.PageToken == "" {
				return
			}
		}
		yield(Row[T]{}, err)
	}
}

func (a *Algorithm[T]) resultsRequest(from, to time.Time, opts []ResultsOption) (*pb.ListResultsRequest, error) {
	var config resultsConfig
	for _, opt := range opts {
		opt(&config)
	}
	request := &pb.ListResultsRequest{
		PageSize:  resultsPage,
		Name:      a.id.Name,
		Version:   a.id.Version,
		Processor: a.id.Processor,
		TimeFrom:  bound(from),
		TimeTo:    bound(to),
	}
	if len(config.metadata) == 0 {
		return request, nil
	}
	metadata, err := structOf(config.metadata)
	if err != nil {
		return nil, fmt.Errorf("read results of %v: %w", a.id, invalid("metadata: %v", err))
	}
	request.Metadata = metadata
	return request, nil
}

func bound(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func rowOf[T any](info *pb.ResultInfo) (Row[T], error) {
	value, err := decode[T](info.GetNode().GetResult())
	if err != nil {
		return Row[T]{}, fmt.Errorf("result for window %s: %w", info.GetWindowId(), err)
	}
	return Row[T]{
		Window:   windowOf(info.GetWindow(), info.GetWindowId()),
		Value:    value,
		Computed: time.Unix(info.GetNode().GetResult().GetTimestamp(), 0).UTC(),
	}, nil
}
