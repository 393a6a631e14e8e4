package wire

import (
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orca"
)

// AnswerOf returns the parts of what a processor streams back that count; all may be missing. Its window and the rest
// of its algorithm are not read, since processors leave them out.
func AnswerOf(msg *pb.ExecutionResult) (execID, name, version string, result *pb.Result) {
	r := msg.GetAlgorithmResult()
	return msg.GetExecId(), r.GetAlgorithm().GetName(), r.GetAlgorithm().GetVersion(), r.GetResult()
}

// Result returns what a processor sent for one algorithm. Errors are of kind orca.Invalid: there is no result, its
// status is unknown, or no reader could take the request that carries it on.
func Result(msg *pb.Result) (orca.Result, error) {
	if msg == nil {
		return orca.Result{}, refuse("", "no result: send one for each algorithm")
	}
	status, err := resultStatus(msg.GetStatus())
	if err != nil {
		return orca.Result{}, within("status", err)
	}
	r := orca.Result{Status: status, Timestamp: msg.GetTimestamp()}
	if r.Encoded, err = encodeResult(msg); err != nil {
		return orca.Result{}, err
	}
	switch data := msg.GetResultData().(type) {
	case nil:
		r.Type = orca.ResultNone
	case *pb.Result_SingleValue:
		r.Type, r.Value = orca.ResultValue, float64(data.SingleValue)
	case *pb.Result_FloatValues:
		r.Type, r.JSON = orca.ResultArray, arrayJSON(data.FloatValues.GetValues())
	case *pb.Result_StructValue:
		r.Type, r.JSON = orca.ResultStruct, objectJSON(data.StructValue, maxJSON)
	}
	if status != orca.StatusSucceeded {
		details := errorDetails(msg)
		r.Error = errorJSON(details)
		r.Failure = failureWords(details, r.Error)
	}
	return r, nil
}

func resultStatus(s pb.ResultStatus) (orca.ResultStatus, error) {
	switch s {
	case pb.ResultStatus_RESULT_STATUS_HANDLED_FAILED:
		return orca.StatusHandledFailed, nil
	case pb.ResultStatus_RESULT_STATUS_UNHANDLED_FAILED:
		return orca.StatusUnhandledFailed, nil
	case pb.ResultStatus_RESULT_STATUS_SUCEEDED:
		return orca.StatusSucceeded, nil
	}
	return 0, refuse("", "%d is no status: send 0 (handled failure), 1 (unhandled failure) or 2 (success)", int32(s))
}

// messageFields are where SDKs put the words for a failure, the most common first.
var messageFields = []string{"message", "error", "reason", "detail"}

// failureWords returns the text that the details of a failure have for people, else all of them.
func failureWords(details *structpb.Struct, all string) string {
	for _, name := range messageFields {
		if text := details.GetFields()[name].GetStringValue(); text != "" {
			return text
		}
	}
	return all
}

// errorDetails returns what a failure says of itself; older SDKs send it as data.
func errorDetails(msg *pb.Result) *structpb.Struct {
	if details := msg.GetError(); len(details.GetFields()) > 0 {
		return details
	}
	return msg.GetStructValue()
}
