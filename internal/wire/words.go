package wire

import (
	"fmt"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// requiredAdvice says what to do about a required field that is missing, for each that the contract has.
var requiredAdvice = map[protoreflect.FullName]string{
	"Window.time_from":           "say when the window begins",
	"Window.time_to":             "say when the window ends",
	"Window.window_type_name":    "name the window's type",
	"Window.window_type_version": `give the version of the window's type, such as "1.0.0"`,
	"Window.origin":              "say who emits the window",

	"MetadataField.name":        "give the metadata field a name",
	"MetadataField.description": "describe the metadata field",

	"WindowType.name":        "give the window type a name",
	"WindowType.version":     `give the window type a version, such as "1.0.0"`,
	"WindowType.description": "describe the window type",

	"WindowEmitStatus.status": "say what became of the window",

	"AlgorithmDependency.name":              "name the algorithm that is needed",
	"AlgorithmDependency.version":           `give the version of the algorithm that is needed, such as "1.0.0"`,
	"AlgorithmDependency.processor_name":    "name the processor that has the algorithm",
	"AlgorithmDependency.processor_runtime": "say which runtime of that processor is preferred, as it registers it",

	"Algorithm.name":        "give the algorithm a name",
	"Algorithm.version":     `give the algorithm a version, such as "1.0.0"`,
	"Algorithm.window_type": "say which type of window triggers the algorithm",
	"Algorithm.result_type": "say STRUCT, VALUE, ARRAY or NONE",
	"Algorithm.description": "describe the algorithm",

	"Result.status":    "say whether the algorithm succeeded",
	"Result.timestamp": "say when it was computed, in seconds since the epoch",

	"ProcessorRegistration.name":           "give the processor a name",
	"ProcessorRegistration.runtime":        `say what the processor runs on, such as "python3.12" or "go1.26"`,
	"ProcessorRegistration.connection_str": `say where the core reaches the processor, such as "10.0.0.7:5377"`,

	"AlgorithmDependencyResultRow.result": "send the row's result",
	"AlgorithmDependencyResultRow.window": "send the row's window",
	"AlgorithmDependencyResult.algorithm": "say whose results these are",
	"ExecuteAlgorithm.algorithm":          "say which algorithm to run",

	"ExecutionRequest.exec_id":              "give the call an id",
	"ExecutionRequest.window":               "send the window to process",
	"ExecutionRequest.algorithm_executions": "name at least one algorithm to run",

	"ExecutionResult.exec_id":          "repeat the exec_id of the request",
	"ExecutionResult.algorithm_result": "send the result of one algorithm",

	"AlgorithmResult.algorithm": "say whose result it is: at least name and version",
	"AlgorithmResult.result":    "send what the algorithm computed, or how it failed",
	"AlgorithmResult.window":    "repeat the window",

	"HealthCheckRequest.timestamp": "say when it was sent, in milliseconds since the epoch",
	"HealthCheckResponse.status":   "say whether the processor is serving",
}

// fieldText shows the value of a field, shortened where it is long.
func fieldText(msg protoreflect.Message, field protoreflect.FieldDescriptor) string {
	value := msg.Get(field)
	switch {
	case field.IsList():
		return fmt.Sprintf("a list of %d", value.List().Len())
	case field.Kind() == protoreflect.MessageKind && !msg.Has(field):
		return "unset"
	case field.Kind() == protoreflect.MessageKind:
		return messageText(value.Message())
	case field.Kind() == protoreflect.StringKind:
		return stringText(value.String())
	case field.Kind() == protoreflect.EnumKind:
		return enumText(field.Enum(), value.Enum())
	}
	return value.String()
}

func stringText(s string) string {
	text, whole := excerpt(s)
	if !whole {
		text = fmt.Sprintf("%s… (%d characters)", text, utf8.RuneCountInString(s))
	}
	return text
}

func enumText(enum protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	if value := enum.Values().ByNumber(n); value != nil {
		return string(value.Name())
	}
	return fmt.Sprint(n)
}

// messageText shows a message in the few words that tell its fault.
func messageText(msg protoreflect.Message) string {
	switch m := msg.Interface().(type) {
	case *timestamppb.Timestamp:
		return timeText(m)
	case *pb.Window:
		return fmt.Sprintf("a window from %s to %s", timeText(m.GetTimeFrom()), timeText(m.GetTimeTo()))
	}
	return fmt.Sprintf("a %s", msg.Descriptor().Name())
}

func timeText(ts *timestamppb.Timestamp) string {
	if ts == nil {
		return "unset"
	}
	if ts.CheckValid() != nil { // a year that RFC 3339 cannot write, or nanos outside a second
		return fmt.Sprintf("%d seconds and %d nanos", ts.GetSeconds(), ts.GetNanos())
	}
	return ts.AsTime().Format(time.RFC3339Nano)
}
