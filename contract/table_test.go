package contract

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The public contract, written down by hand. It says what peers in the field rely on, so a change here is a change
// that breaks them; only new numbers may be added.

// A file is what service.proto declares. Messages and enums are by full name, fields and values by number.
type file struct {
	Package   string
	Syntax    string
	GoPackage string
	Imports   []string
	Services  map[string]map[string]method
	Messages  map[string]message
	Enums     map[string]map[int32]string
}

type method struct {
	Path            string
	Request         string
	Response        string
	ClientStreaming bool
	ServerStreaming bool
}

type message struct {
	Fields map[int32]field
	Rules  *validate.MessageRules
}

type field struct {
	Name string
	// Type is the name of the scalar, message or enum, after "repeated" for lists and "optional" for proto3 optionals.
	Type       string
	Oneof      string
	Deprecated bool
	Rules      *validate.FieldRules
}

const (
	timestampType = "google.protobuf.Timestamp"
	structType    = "google.protobuf.Struct"
)

func published() file {
	return file{
		Syntax:    "proto3",
		GoPackage: "github.com/orca-telemetry/interface/protobufs/go",
		Imports: []string{
			"google/protobuf/struct.proto",
			"google/protobuf/timestamp.proto",
			"vendor/validate.proto",
		},
		Services: map[string]map[string]method{
			"OrcaCore": {
				"RegisterProcessor": {Path: "/OrcaCore/RegisterProcessor", Request: "ProcessorRegistration", Response: "Status"},
				"EmitWindow":        {Path: "/OrcaCore/EmitWindow", Request: "Window", Response: "WindowEmitStatus"},
				"Expose":            {Path: "/OrcaCore/Expose", Request: "ExposeSettings", Response: "InternalState"},
			},
			"OrcaProcessor": {
				"ExecuteDagPart": {Path: "/OrcaProcessor/ExecuteDagPart", Request: "ExecutionRequest", Response: "ExecutionResult", ServerStreaming: true},
				"HealthCheck":    {Path: "/OrcaProcessor/HealthCheck", Request: "HealthCheckRequest", Response: "HealthCheckResponse"},
			},
		},
		Messages: publishedMessages(),
		Enums: map[string]map[int32]string{
			"WindowEmitStatus.StatusEnum": {
				0: "TRIGGERING_FAILED",
				1: "NO_TRIGGERED_ALGORITHMS",
				2: "PROCESSING_TRIGGERED",
			},
			"ResultType": {
				0: "NOT_SPECIFIED",
				1: "STRUCT",
				2: "VALUE",
				3: "ARRAY",
				4: "NONE",
			},
			"ResultStatus": {
				0: "RESULT_STATUS_HANDLED_FAILED",
				1: "RESULT_STATUS_UNHANDLED_FAILED",
				2: "RESULT_STATUS_SUCEEDED",
			},
			"HealthCheckResponse.Status": {
				0: "STATUS_UNKNOWN",
				1: "STATUS_SERVING",
				2: "STATUS_TRANSITIONING",
				3: "STATUS_NOT_SERVING",
			},
		},
	}
}

func publishedMessages() map[string]message {
	return map[string]message{
		"ExposeSettings": {Fields: map[int32]field{
			1: {Name: "exclude_project", Type: "string"},
		}},
		"Window": {
			Rules: &validate.MessageRules{Cel: []*validate.Rule{{
				Id:         proto.String("window.time_ordering"),
				Message:    proto.String("time_to must not be before time_from"),
				Expression: proto.String("this.time_to >= this.time_from"),
			}}},
			Fields: map[int32]field{
				1: {Name: "time_from", Type: timestampType, Rules: afterEpoch()},
				2: {Name: "time_to", Type: timestampType, Rules: afterEpoch()},
				3: {Name: "window_type_name", Type: "string", Rules: notEmpty()},
				4: {Name: "window_type_version", Type: "string", Rules: notEmpty()},
				5: {Name: "origin", Type: "string", Rules: notEmpty()},
				6: {Name: "metadata", Type: structType},
			},
		},
		"MetadataField": {Fields: map[int32]field{
			1: {Name: "name", Type: "string", Rules: required()},
			2: {Name: "description", Type: "string", Rules: required()},
			3: {Name: "noStore", Type: "bool"},
			4: {Name: "filter", Type: "bool"},
		}},
		"WindowType": {Fields: map[int32]field{
			1: {Name: "name", Type: "string", Rules: required()},
			2: {Name: "version", Type: "string", Rules: required()},
			3: {Name: "description", Type: "string", Rules: required()},
			4: {Name: "metadataFields", Type: "repeated MetadataField"},
		}},
		"WindowEmitStatus": {Fields: map[int32]field{
			1: {Name: "status", Type: "WindowEmitStatus.StatusEnum", Rules: required()},
		}},
		"AlgorithmDependency": {Fields: map[int32]field{
			1: {Name: "name", Type: "string", Rules: required()},
			2: {Name: "version", Type: "string", Rules: required()},
			3: {Name: "processor_name", Type: "string", Rules: required()},
			4: {Name: "processor_runtime", Type: "string", Rules: required()},
			5: {Name: "lookback_num", Type: "uint32", Oneof: "lookback"},
			6: {Name: "lookback_time_delta", Type: "uint64", Oneof: "lookback"},
			7: {Name: "lookback_gap_num", Type: "uint32", Oneof: "lookback_gap"},
			8: {Name: "lookback_gap_time_delta", Type: "uint64", Oneof: "lookback_gap"},
		}},
		"Algorithm": {Fields: map[int32]field{
			1:  {Name: "name", Type: "string", Rules: required()},
			2:  {Name: "version", Type: "string", Rules: required()},
			3:  {Name: "window_type", Type: "WindowType", Rules: required()},
			4:  {Name: "dependencies", Type: "repeated AlgorithmDependency"},
			5:  {Name: "result_type", Type: "ResultType", Rules: required()},
			6:  {Name: "description", Type: "string", Rules: atMost(1000)},
			7:  {Name: "lookback_num", Type: "uint32", Oneof: "lookback"},
			8:  {Name: "lookback_time_delta", Type: "uint64", Oneof: "lookback"},
			9:  {Name: "lookback_gap_num", Type: "uint32", Oneof: "lookback_gap"},
			10: {Name: "lookback_gap_time_delta", Type: "uint64", Oneof: "lookback_gap"},
		}},
		"FloatArray": {Fields: map[int32]field{
			1: {Name: "values", Type: "repeated float"},
		}},
		"Result": {Fields: map[int32]field{
			1: {Name: "status", Type: "ResultStatus", Rules: required()},
			2: {Name: "single_value", Type: "float", Oneof: "result_data"},
			3: {Name: "float_values", Type: "FloatArray", Oneof: "result_data"},
			4: {Name: "struct_value", Type: structType, Oneof: "result_data"},
			5: {Name: "timestamp", Type: "int64", Rules: required()},
			6: {Name: "error", Type: structType},
		}},
		"ProcessorRegistration": {Fields: map[int32]field{
			1: {Name: "name", Type: "string", Rules: required()},
			2: {Name: "runtime", Type: "string", Rules: required()},
			3: {Name: "connection_str", Type: "string", Rules: required()},
			// Not required, unlike in the published file: an empty list withdraws all.
			4: {Name: "supported_algorithms", Type: "repeated Algorithm"},
			5: {Name: "project_name", Type: "string"},
		}},
		"AlgorithmDependencyResultRow": {Fields: map[int32]field{
			1: {Name: "result", Type: "Result", Rules: required()},
			2: {Name: "window", Type: "Window", Rules: required()},
		}},
		"AlgorithmDependencyResult": {Fields: map[int32]field{
			1: {Name: "algorithm", Type: "Algorithm", Rules: required()},
			// Not required, unlike in the published file: a lookback may find nothing.
			2: {Name: "result", Type: "repeated AlgorithmDependencyResultRow"},
		}},
		"ExecuteAlgorithm": {Fields: map[int32]field{
			1: {Name: "algorithm", Type: "Algorithm", Rules: required()},
			2: {Name: "dependencies", Type: "repeated AlgorithmDependencyResult"},
			3: {Name: "selfResults", Type: "repeated AlgorithmDependencyResultRow"},
		}},
		"ExecutionRequest": {Fields: map[int32]field{
			1: {Name: "exec_id", Type: "string", Rules: required()},
			2: {Name: "window", Type: "Window", Rules: required()},
			3: {Name: "algorithm_results", Type: "repeated AlgorithmResult", Deprecated: true},
			4: {Name: "algorithms", Type: "repeated Algorithm", Deprecated: true},
			5: {Name: "algorithm_executions", Type: "repeated ExecuteAlgorithm", Rules: required()},
		}},
		// Number 2 of ExecutionResult is unused.
		"ExecutionResult": {Fields: map[int32]field{
			1: {Name: "exec_id", Type: "string", Rules: required()},
			3: {Name: "algorithm_result", Type: "AlgorithmResult", Rules: required()},
		}},
		"AlgorithmResult": {Fields: map[int32]field{
			1: {Name: "algorithm", Type: "Algorithm", Rules: required()},
			2: {Name: "result", Type: "Result", Rules: required()},
			3: {Name: "window", Type: "Window", Rules: required()},
		}},
		"Status": {Fields: map[int32]field{
			1: {Name: "received", Type: "bool"},
			2: {Name: "message", Type: "string"},
		}},
		"HealthCheckRequest": {Fields: map[int32]field{
			1: {Name: "timestamp", Type: "int64", Rules: required()},
		}},
		"HealthCheckResponse": {Fields: map[int32]field{
			1: {Name: "status", Type: "HealthCheckResponse.Status", Rules: required()},
			2: {Name: "message", Type: "string"},
			3: {Name: "metrics", Type: "ProcessorMetrics"},
		}},
		"ProcessorMetrics": {Fields: map[int32]field{
			1: {Name: "active_tasks", Type: "int32"},
			2: {Name: "memory_bytes", Type: "int64"},
			3: {Name: "cpu_percent", Type: "float"},
			4: {Name: "uptime_seconds", Type: "int64"},
		}},
		"InternalState": {Fields: map[int32]field{
			1: {Name: "processors", Type: "repeated ProcessorRegistration"},
		}},
	}
}

func required() *validate.FieldRules {
	return &validate.FieldRules{Required: proto.Bool(true)}
}

// notEmpty is required with a shortest length of one.
func notEmpty() *validate.FieldRules {
	r := required()
	r.Type = &validate.FieldRules_String_{String_: &validate.StringRules{MinLen: proto.Uint64(1)}}
	return r
}

// atMost is required with a longest length, in code points.
func atMost(n uint64) *validate.FieldRules {
	r := required()
	r.Type = &validate.FieldRules_String_{String_: &validate.StringRules{MaxLen: proto.Uint64(n)}}
	return r
}

// afterEpoch is required and later than the epoch.
func afterEpoch() *validate.FieldRules {
	r := required()
	r.Type = &validate.FieldRules_Timestamp{Timestamp: &validate.TimestampRules{
		GreaterThan: &validate.TimestampRules_Gt{Gt: &timestamppb.Timestamp{}},
	}}
	return r
}
