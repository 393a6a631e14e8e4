package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// ProcessorRegistrationMessage returns the registration as a message; Registration turns it back into an equal one.
func ProcessorRegistrationMessage(r orca.Registration) *pb.ProcessorRegistration {
	msg := &pb.ProcessorRegistration{
		Name:          r.Processor,
		Runtime:       r.Runtime,
		ConnectionStr: r.Connection,
		ProjectName:   r.Project,
	}
	for i := range r.Algorithms {
		msg.SupportedAlgorithms = append(msg.SupportedAlgorithms, AlgorithmMessage(&r.Algorithms[i]))
	}
	return msg
}

// AlgorithmMessage returns the full definition of an algorithm. The processor that has it is not part of the message.
func AlgorithmMessage(a *orca.Algorithm) *pb.Algorithm {
	msg := &pb.Algorithm{
		Name:        a.ID.Name,
		Version:     a.ID.Version,
		WindowType:  WindowTypeMessage(a.WindowType),
		ResultType:  pb.ResultType(a.ResultType), // the numbers are those of the contract
		Description: a.Description,
	}
	for _, d := range a.Dependencies {
		msg.Dependencies = append(msg.Dependencies, dependencyMessage(d))
	}
	switch r := a.Self.Range; {
	case r.Count != 0:
		msg.Lookback = &pb.Algorithm_LookbackNum{LookbackNum: r.Count}
	case r.Span != 0:
		msg.Lookback = &pb.Algorithm_LookbackTimeDelta{LookbackTimeDelta: r.Span}
	}
	switch g := a.Self.Gap; {
	case g.Count != 0:
		msg.LookbackGap = &pb.Algorithm_LookbackGapNum{LookbackGapNum: g.Count}
	case g.Span != 0:
		msg.LookbackGap = &pb.Algorithm_LookbackGapTimeDelta{LookbackGapTimeDelta: g.Span}
	}
	return msg
}

func dependencyMessage(d orca.Dependency) *pb.AlgorithmDependency {
	msg := &pb.AlgorithmDependency{
		Name:             d.On.Name,
		Version:          d.On.Version,
		ProcessorName:    d.On.Processor,
		ProcessorRuntime: d.Runtime,
	}
	switch r := d.Lookback.Range; {
	case r.Count != 0:
		msg.Lookback = &pb.AlgorithmDependency_LookbackNum{LookbackNum: r.Count}
	case r.Span != 0:
		msg.Lookback = &pb.AlgorithmDependency_LookbackTimeDelta{LookbackTimeDelta: r.Span}
	}
	switch g := d.Lookback.Gap; {
	case g.Count != 0:
		msg.LookbackGap = &pb.AlgorithmDependency_LookbackGapNum{LookbackGapNum: g.Count}
	case g.Span != 0:
		msg.LookbackGap = &pb.AlgorithmDependency_LookbackGapTimeDelta{LookbackGapTimeDelta: g.Span}
	}
	return msg
}

// WindowTypeMessage returns the definition of a window type.
func WindowTypeMessage(t orca.WindowType) *pb.WindowType {
	msg := &pb.WindowType{Name: t.ID.Name, Version: t.ID.Version, Description: t.Description}
	for _, f := range t.Fields {
		msg.MetadataFields = append(msg.MetadataFields, &pb.MetadataField{
			Name: f.Name, Description: f.Description, NoStore: f.NoStore, Filter: f.Filter,
		})
	}
	return msg
}

// WindowMessage returns a window for people and programs that read the ledger. An error means that the metadata is not
// what this package encoded.
func WindowMessage(w orca.Window) (*pb.Window, error) {
	msg := &pb.Window{
		TimeFrom:          timestamp(w.From),
		TimeTo:            timestamp(w.To),
		WindowTypeName:    w.Type.Name,
		WindowTypeVersion: w.Type.Version,
		Origin:            w.Origin,
	}
	if w.Metadata == nil {
		return msg, nil
	}
	msg.Metadata = new(structpb.Struct)
	if err := proto.Unmarshal(w.Metadata, msg.Metadata); err != nil {
		return nil, fmt.Errorf("decode the metadata of a %v window of %v: %w", w.Type, w.From, err)
	}
	return msg, nil
}

func timestamp(t orca.Time) *timestamppb.Timestamp { return timestamppb.New(t.Std()) }

// ResultMessage returns the message that a processor sent, from orca.Result.Encoded.
func ResultMessage(encoded []byte) (*pb.Result, error) {
	msg := new(pb.Result)
	if err := proto.Unmarshal(encoded, msg); err != nil {
		return nil, fmt.Errorf("decode a result of %d bytes: %w", len(encoded), err)
	}
	return msg, nil
}
