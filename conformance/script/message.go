package script

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// Proto is the algorithm as a processor of a runtime announces it.
func (a Algorithm) Proto(runtime string) *pb.Algorithm {
	out := &pb.Algorithm{
		Name: a.Name, Version: a.Version, Description: a.Description,
		ResultType: pb.ResultType(pb.ResultType_value[strings.ToUpper(a.Result)]),
		WindowType: &pb.WindowType{Name: a.WindowType.Name, Version: a.WindowType.Version, Description: a.WindowType.Description},
	}
	for _, f := range a.WindowType.Fields {
		out.WindowType.MetadataFields = append(out.WindowType.MetadataFields, &pb.MetadataField{
			Name: f.Name, Description: f.Description, Filter: f.Filter, NoStore: f.NoStore,
		})
	}
	a.Self.write(out)
	for _, n := range a.Needs {
		d := &pb.AlgorithmDependency{Name: n.Name, Version: n.Version, ProcessorName: n.Processor, ProcessorRuntime: runtime}
		n.Lookback.writeNeed(d)
		out.Dependencies = append(out.Dependencies, d)
	}
	return out
}

// Proto is the window as it is emitted.
func (w Window) Proto() (*pb.Window, error) {
	metadata, err := w.Metadata.Proto()
	if err != nil {
		return nil, err
	}
	return &pb.Window{
		TimeFrom: timestamppb.New(time.Unix(0, w.From)), TimeTo: timestamppb.New(time.Unix(0, w.To)),
		WindowTypeName: w.Type, WindowTypeVersion: w.Version, Origin: w.Origin, Metadata: metadata,
	}, nil
}

// Write puts the data into a result.
func (d Data) Write(r *pb.Result) error {
	switch {
	case d.Value != nil:
		r.ResultData = &pb.Result_SingleValue{SingleValue: float32(*d.Value)}
	case d.Array != nil:
		r.ResultData = &pb.Result_FloatValues{FloatValues: &pb.FloatArray{Values: *d.Array}}
	case d.Struct != nil:
		data, err := d.Struct.Proto()
		if err != nil {
			return err
		}
		r.ResultData = &pb.Result_StructValue{StructValue: data}
	}
	return nil
}

// write sets the lookback over an algorithm's own results.
func (l Lookback) write(a *pb.Algorithm) {
	switch {
	case l.Count > 0:
		a.Lookback = &pb.Algorithm_LookbackNum{LookbackNum: l.Count}
	case l.Span > 0:
		a.Lookback = &pb.Algorithm_LookbackTimeDelta{LookbackTimeDelta: uint64(l.Span)}
	}
	switch {
	case l.GapCount > 0:
		a.LookbackGap = &pb.Algorithm_LookbackGapNum{LookbackGapNum: l.GapCount}
	case l.GapSpan > 0:
		a.LookbackGap = &pb.Algorithm_LookbackGapTimeDelta{LookbackGapTimeDelta: uint64(l.GapSpan)}
	}
}

// writeNeed sets the lookback over a dependency's results.
func (l Lookback) writeNeed(d *pb.AlgorithmDependency) {
	switch {
	case l.Count > 0:
		d.Lookback = &pb.AlgorithmDependency_LookbackNum{LookbackNum: l.Count}
	case l.Span > 0:
		d.Lookback = &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: uint64(l.Span)}
	}
	switch {
	case l.GapCount > 0:
		d.LookbackGap = &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: l.GapCount}
	case l.GapSpan > 0:
		d.LookbackGap = &pb.AlgorithmDependency_LookbackGapTimeDelta{LookbackGapTimeDelta: uint64(l.GapSpan)}
	}
}
