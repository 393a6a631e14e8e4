package wire

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// plain reports whether a window obviously keeps all rules of the contract. It may miss one that does; that is left to
// the rules themselves. They cost 30 µs a window, a tenth of all that a core spends on a window of one algorithm, and
// this costs nothing; fuzzing holds that what is plain breaks no rule.
func plain(w *pb.Window) bool {
	from, to := w.GetTimeFrom(), w.GetTimeTo()
	return isInstant(from) && isInstant(to) && (from.Seconds < to.Seconds || from.Seconds == to.Seconds && from.Nanos <= to.Nanos) &&
		w.WindowTypeName != "" && w.WindowTypeVersion != "" && w.Origin != ""
}

// isInstant reports whether t is set, after the epoch and in the range of a Timestamp.
func isInstant(t *timestamppb.Timestamp) bool { return t.IsValid() && t.Seconds > 0 }
