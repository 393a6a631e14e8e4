package stubs

import (
	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// Exposed reads what a core exposes. It takes what it finds: a core has checked it, and stubs need little of it.
func Exposed(state *pb.InternalState) []Processor {
	var processors []Processor
	for _, p := range state.GetProcessors() {
		known := Processor{Name: p.GetName(), Project: p.GetProjectName()}
		for _, a := range p.GetSupportedAlgorithms() {
			known.Algorithms = append(known.Algorithms, orca.Algorithm{
				ID:          orca.AlgorithmID{Processor: p.GetName(), Name: a.GetName(), Version: a.GetVersion()},
				Description: a.GetDescription(), WindowType: windowTypeOf(a.GetWindowType()), ResultType: resultType(a.GetResultType()),
			})
		}
		processors = append(processors, known)
	}
	return processors
}

func windowTypeOf(t *pb.WindowType) orca.WindowType {
	on := orca.WindowType{ID: orca.WindowTypeID{Name: t.GetName(), Version: t.GetVersion()}, Description: t.GetDescription()}
	for _, f := range t.GetMetadataFields() {
		on.Fields = append(on.Fields, orca.MetadataField{
			Name: f.GetName(), Description: f.GetDescription(), Filter: f.GetFilter(), NoStore: f.GetNoStore(),
		})
	}
	return on
}

// resultType keeps the contract's number. One that is not known here is written as whatever it is.
func resultType(t pb.ResultType) orca.ResultType {
	switch t {
	case pb.ResultType_STRUCT, pb.ResultType_VALUE, pb.ResultType_ARRAY, pb.ResultType_NONE:
		return orca.ResultType(t)
	case pb.ResultType_NOT_SPECIFIED:
	}
	return 0
}
