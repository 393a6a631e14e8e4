package wire

import (
	"unicode/utf8"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// Limits of the contract.
const (
	maxName        = 255  // bytes of a name or version
	maxDescription = 1000 // characters of an algorithm's description
)

// Registration returns what a processor announces. It checks what can be seen in the message alone; errors are of kind
// orca.Invalid. Lookbacks and gaps of zero come out as none, whichever kind of zero was sent. With an error, what else is
// returned means nothing.
func Registration(msg *pb.ProcessorRegistration) (orca.Registration, error) {
	r := orca.Registration{
		Processor:  msg.GetName(),
		Project:    msg.GetProjectName(),
		Runtime:    msg.GetRuntime(),
		Connection: msg.GetConnectionStr(),
	}
	if err := checkName("name", r.Processor, "the processor"); err != nil {
		return r, err
	}
	if r.Project != "" {
		if err := checkName("project_name", r.Project, "the project"); err != nil {
			return r, err
		}
	}
	if err := checkText("runtime", r.Runtime); err != nil {
		return r, err
	}
	if _, _, err := Address(r.Connection); err != nil {
		return r, within("connection_str", err)
	}
	var err error
	r.Algorithms, err = algorithms(r.Processor, msg.GetSupportedAlgorithms())
	return r, err
}

func algorithms(processor string, msgs []*pb.Algorithm) ([]orca.Algorithm, error) {
	const field = "supported_algorithms"
	if len(msgs) == 0 {
		return nil, nil
	}
	all := make([]orca.Algorithm, 0, len(msgs))
	first := make(map[orca.AlgorithmID]int, len(msgs))
	for i, msg := range msgs {
		a, err := algorithm(processor, msg)
		if err != nil {
			return nil, within(element(field, i), err)
		}
		if at, twice := first[a.ID]; twice {
			return nil, refuse(element(field, i), "the algorithm %s %s is announced twice, first in %s: announce it once",
				quote(a.ID.Name), quote(a.ID.Version), element(field, at))
		}
		first[a.ID] = i
		all = append(all, a)
	}
	return all, nil
}

func algorithm(processor string, msg *pb.Algorithm) (orca.Algorithm, error) {
	a := orca.Algorithm{
		ID:          orca.AlgorithmID{Processor: processor, Name: msg.GetName(), Version: msg.GetVersion()},
		Description: msg.GetDescription(),
		Self:        selfLookback(msg),
	}
	if err := checkNameVersion(a.ID.Name, a.ID.Version, "the algorithm"); err != nil {
		return a, err
	}
	if err := checkText("description", a.Description); err != nil {
		return a, err
	}
	if n := utf8.RuneCountInString(a.Description); n > maxDescription {
		return a, refuse("description", "%s has %d characters: shorten it to %d", quote(a.Description), n, maxDescription)
	}
	var err error
	if a.ResultType, err = resultType(msg.GetResultType()); err != nil {
		return a, within("result_type", err)
	}
	if a.WindowType, err = windowType(msg.GetWindowType()); err != nil {
		return a, within("window_type", err)
	}
	a.Dependencies, err = dependencies(msg.GetDependencies())
	return a, err
}

func resultType(t pb.ResultType) (orca.ResultType, error) {
	switch t {
	case pb.ResultType_STRUCT:
		return orca.ResultStruct, nil
	case pb.ResultType_VALUE:
		return orca.ResultValue, nil
	case pb.ResultType_ARRAY:
		return orca.ResultArray, nil
	case pb.ResultType_NONE:
		return orca.ResultNone, nil
	case pb.ResultType_NOT_SPECIFIED:
	}
	return 0, refuse("", "%s is no kind of result: say STRUCT, VALUE, ARRAY or NONE", t)
}

func windowType(msg *pb.WindowType) (orca.WindowType, error) {
	t := orca.WindowType{
		ID:          orca.WindowTypeID{Name: msg.GetName(), Version: msg.GetVersion()},
		Description: msg.GetDescription(),
	}
	if msg == nil {
		return t, refuse("", "unset: say which type of window triggers the algorithm")
	}
	if err := checkNameVersion(t.ID.Name, t.ID.Version, "the window type"); err != nil {
		return t, err
	}
	if err := checkText("description", t.Description); err != nil {
		return t, err
	}
	var err error
	t.Fields, err = metadataFields(msg.GetMetadataFields())
	return t, err
}

func metadataFields(msgs []*pb.MetadataField) ([]orca.MetadataField, error) {
	const field = "metadataFields"
	if len(msgs) == 0 {
		return nil, nil
	}
	all := make([]orca.MetadataField, 0, len(msgs))
	first := make(map[string]int, len(msgs))
	for i, msg := range msgs {
		f := orca.MetadataField{
			Name: msg.GetName(), Description: msg.GetDescription(), NoStore: msg.GetNoStore(), Filter: msg.GetFilter(),
		}
		if err := checkName("name", f.Name, "the metadata field"); err != nil {
			return nil, within(element(field, i), err)
		}
		if err := checkText("description", f.Description); err != nil {
			return nil, within(element(field, i), err)
		}
		if at, twice := first[f.Name]; twice {
			return nil, refuse(element(field, i), "the metadata field %s is declared twice, first in %s: declare it once",
				quote(f.Name), element(field, at))
		}
		first[f.Name] = i
		all = append(all, f)
	}
	return all, nil
}

func dependencies(msgs []*pb.AlgorithmDependency) ([]orca.Dependency, error) {
	const field = "dependencies"
	type need struct {
		on       orca.AlgorithmID
		lookback orca.Lookback
	}
	if len(msgs) == 0 {
		return nil, nil
	}
	all := make([]orca.Dependency, 0, len(msgs))
	first := make(map[need]int, len(msgs))
	for i, msg := range msgs {
		d, err := dependency(msg)
		if err != nil {
			return nil, within(element(field, i), err)
		}
		key := need{d.On, d.Lookback}
		if at, twice := first[key]; twice {
			return nil, refuse(element(field, i),
				"%s %s is needed twice with the same lookback, first in %s: list it once, or with another lookback",
				quote(d.On.Name), quote(d.On.Version), element(field, at))
		}
		first[key] = i
		all = append(all, d)
	}
	return all, nil
}

func dependency(msg *pb.AlgorithmDependency) (orca.Dependency, error) {
	d := orca.Dependency{
		On:       orca.AlgorithmID{Processor: msg.GetProcessorName(), Name: msg.GetName(), Version: msg.GetVersion()},
		Runtime:  msg.GetProcessorRuntime(),
		Lookback: dependencyLookback(msg),
	}
	if err := checkNameVersion(d.On.Name, d.On.Version, "the algorithm that is needed"); err != nil {
		return d, err
	}
	if err := checkName("processor_name", d.On.Processor, "the processor that has it"); err != nil {
		return d, err
	}
	return d, checkText("processor_runtime", d.Runtime)
}

func dependencyLookback(msg *pb.AlgorithmDependency) orca.Lookback {
	return orca.Lookback{
		Range: orca.Extent{Count: msg.GetLookbackNum(), Span: msg.GetLookbackTimeDelta()},
		Gap:   orca.Extent{Count: msg.GetLookbackGapNum(), Span: msg.GetLookbackGapTimeDelta()},
	}
}

func selfLookback(msg *pb.Algorithm) orca.Lookback {
	return orca.Lookback{
		Range: orca.Extent{Count: msg.GetLookbackNum(), Span: msg.GetLookbackTimeDelta()},
		Gap:   orca.Extent{Count: msg.GetLookbackGapNum(), Span: msg.GetLookbackGapTimeDelta()},
	}
}

func checkNameVersion(name, version, what string) error {
	if err := checkName("name", name, what); err != nil {
		return err
	}
	if version == "" {
		return refuse("version", `"" is no version: give %s a version, such as "1.0.0"`, what)
	}
	return checkIdentifier("version", version)
}

func checkName(field, name, what string) error {
	if name == "" {
		return refuse(field, `"" is no name: give %s a name`, what)
	}
	return checkIdentifier(field, name)
}

func checkIdentifier(field, s string) error {
	if len(s) > maxName {
		return refuse(field, "%s is too long: shorten it to %d bytes", quote(s), maxName)
	}
	return checkText(field, s)
}

// checkText refuses what protobuf could not carry on: a decoded message never holds it, one made in this process may.
func checkText(field, s string) error {
	if !utf8.ValidString(s) {
		return refuse(field, "%s is not UTF-8: send text", quote(s))
	}
	return nil
}
