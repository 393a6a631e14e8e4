package rpc

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/wire"
)

func (s *consoleService) ListWindows(ctx context.Context, msg *pb.ListWindowsRequest) (*pb.ListWindowsResponse, error) {
	before, err := readToken[orca.WindowID](msg.GetPageToken())
	if err != nil {
		return nil, err
	}
	types, err := s.windowTypes(msg.GetWindowTypeName(), msg.GetWindowTypeVersion())
	if err != nil {
		return nil, err
	}
	from, to, err := interval(msg.GetTimeFrom(), msg.GetTimeTo())
	if err != nil {
		return nil, err
	}
	state, hasState, err := stateFilter(msg.GetState())
	if err != nil {
		return nil, err
	}
	size := pageSize(msg.GetPageSize())
	var found []orca.WindowRecord
	for _, t := range types {
		page, err := s.cfg.Ledger.Windows(ctx, orca.WindowQuery{
			Type: t, From: from, To: to, State: state, HasState: hasState, Before: before, Limit: size + 1,
		})
		if err != nil {
			return nil, err
		}
		found = append(found, page...)
	}
	slices.SortFunc(found, func(a, b orca.WindowRecord) int { return int(b.ID - a.ID) })
	out := &pb.ListWindowsResponse{}
	if len(found) > size {
		found = found[:size]
		out.PageToken = token(found[size-1].ID)
	}
	var room pageBytes
	for i, w := range found {
		info, err := s.windowInfo(w)
		if err != nil {
			return nil, err
		}
		if !room.take(info) {
			out.PageToken = token(found[i-1].ID)
			break
		}
		out.Windows = append(out.Windows, info)
	}
	return out, nil
}

// windowTypes returns the types that a filter selects: one zero value for any.
func (s *consoleService) windowTypes(name, version string) ([]orca.WindowTypeID, error) {
	if name == "" && version == "" {
		return []orca.WindowTypeID{{}}, nil
	}
	of, err := typeFilter(name, version)
	if err != nil {
		return nil, err
	}
	var types []orca.WindowTypeID
	for _, t := range s.cfg.Registry.Snapshot().WindowTypes() {
		if of(t.ID) {
			types = append(types, t.ID)
		}
	}
	if len(types) == 0 {
		return nil, orca.Errorf(orca.NotFound, "no window type %s is registered: ListAlgorithms (orca algorithms) has those that are",
			strings.TrimSpace(orca.Shown(name)+" "+orca.Shown(version)))
	}
	return types, nil
}

func stateFilter(s pb.RunState) (state orca.RunState, has bool, err error) {
	switch s {
	case pb.RunState_RUN_STATE_UNSPECIFIED:
		return 0, false, nil
	case pb.RunState_RUN_STATE_OPEN:
		return orca.RunOpen, true, nil
	case pb.RunState_RUN_STATE_SUCCEEDED:
		return orca.RunSucceeded, true, nil
	case pb.RunState_RUN_STATE_FAILED:
		return orca.RunFailed, true, nil
	case pb.RunState_RUN_STATE_INCOMPLETE:
		return orca.RunIncomplete, true, nil
	case pb.RunState_RUN_STATE_CANCELLED:
		return orca.RunCancelled, true, nil
	}
	return 0, false, orca.Errorf(orca.Invalid, "state: %d is no state of a run: send one of RunState, or none for any", int32(s))
}

// interval reads the two ends of a time filter; zero is unbounded.
func interval(from, to *timestamppb.Timestamp) (orca.Time, orca.Time, error) {
	for _, t := range []*timestamppb.Timestamp{from, to} {
		if t != nil && !t.IsValid() {
			return 0, 0, orca.Errorf(orca.Invalid, "time_from, time_to: %d seconds and %d nanos are no time between the years 1 and 9999: send one, or leave it out",
				t.GetSeconds(), t.GetNanos())
		}
	}
	f, t := instant(from), instant(to)
	if f != 0 && t != 0 && t < f {
		return 0, 0, orca.Errorf(orca.Invalid, "time_to %v is before time_from %v: swap them", t, f)
	}
	return f, t, nil
}

// instant reads one end of a time filter; windows lie between the epoch and orca.MaxTime, so that an end outside of
// these selects what one at them would.
func instant(t *timestamppb.Timestamp) orca.Time {
	switch {
	case t == nil:
		return 0
	case t.GetSeconds() < 0 || t.GetSeconds() == 0 && t.GetNanos() == 0:
		return 1
	case t.GetSeconds() > orca.MaxTime.Std().Unix()-1:
		return orca.MaxTime
	}
	return orca.TimeOf(t.AsTime())
}

const (
	// maxScannedPages bounds how many pages of the ledger one ListResults reads for its metadata filter; the answer then
	// has fewer results than asked for, and a token to go on.
	maxScannedPages = 20
	// firstRead is how many results are read at first, then more each time: of large results few are needed to fill a
	// page, and the others would be read in vain.
	firstRead = 16
)

func (s *consoleService) ListResults(ctx context.Context, msg *pb.ListResultsRequest) (*pb.ListResultsResponse, error) {
	algorithm, err := s.algorithm(msg.GetProcessor(), msg.GetName(), msg.GetVersion())
	if err != nil {
		return nil, err
	}
	from, to, err := interval(msg.GetTimeFrom(), msg.GetTimeTo())
	if err != nil {
		return nil, err
	}
	before, err := readToken[*orca.ResultKey](msg.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(msg.GetPageSize())
	q := orca.ResultQuery{Algorithm: algorithm, From: from, To: to, Failed: msg.GetIncludeFailed(), Before: before, Limit: min(firstRead, size)}
	out := &pb.ListResultsResponse{}
	var room pageBytes
	for scanned := 0; scanned < maxScannedPages*size; {
		records, err := s.cfg.Ledger.History(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			matches, err := wire.MetadataMatches(r.Window.Window.Metadata, msg.GetMetadata())
			if err != nil {
				return nil, err
			}
			if !matches {
				continue
			}
			info, err := s.resultInfo(r)
			if err != nil {
				return nil, err
			}
			if !room.take(info) {
				out.PageToken = token(*q.Before)
				return out, nil
			}
			out.Results = append(out.Results, info)
			if len(out.Results) == size {
				out.PageToken = token(r.Key())
				return out, nil
			}
			q.Before = new(r.Key())
		}
		if len(records) < q.Limit {
			return out, nil
		}
		scanned += len(records)
		q.Before, q.Limit = new(records[len(records)-1].Key()), min(4*q.Limit, size)
	}
	out.PageToken = token(*q.Before)
	return out, nil
}

// algorithm finds the algorithm that a name, a version and perhaps a processor mean.
func (s *consoleService) algorithm(processor, name, version string) (orca.AlgorithmID, error) {
	if name == "" || version == "" {
		return orca.AlgorithmID{}, orca.Errorf(orca.Invalid, "name is %q and version %q: give both", orca.Shown(name), orca.Shown(version))
	}
	var found []orca.AlgorithmID
	var versions []string
	for _, a := range s.cfg.Registry.Snapshot().Algorithms() {
		id := a.Algorithm.ID
		if id.Name != name || (processor != "" && id.Processor != processor) {
			continue
		}
		versions = append(versions, id.Version)
		if id.Version == version {
			found = append(found, id)
		}
	}
	of := ""
	if processor != "" {
		of = fmt.Sprintf(" of processor %q", orca.Shown(processor))
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		names := make([]string, len(found))
		for i, id := range found {
			names[i] = id.Processor
		}
		return orca.AlgorithmID{}, orca.Errorf(orca.Invalid, "%s %s is an algorithm of several processors: say which, of %s", name, version, strings.Join(names, ", "))
	case len(versions) > 0:
		return orca.AlgorithmID{}, orca.Errorf(orca.NotFound, "algorithm %s has no version %s; there is %s", name, orca.Shown(version), strings.Join(versions, ", "))
	}
	return orca.AlgorithmID{}, orca.Errorf(orca.NotFound, "no algorithm %s %s%s was ever announced: ListAlgorithms (orca algorithms) has all of them",
		orca.Shown(name), orca.Shown(version), of)
}
