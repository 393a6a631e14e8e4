package wire_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/wire"
)

// brokenWindows break one rule each.
func brokenWindows() map[string]*pb.Window {
	broken := map[string]*pb.Window{}
	for what, change := range map[string]func(*pb.Window){
		"no beginning":            func(w *pb.Window) { w.TimeFrom = nil },
		"no end":                  func(w *pb.Window) { w.TimeTo = nil },
		"begins at the epoch":     func(w *pb.Window) { w.TimeFrom = &timestamppb.Timestamp{} },
		"begins before the epoch": func(w *pb.Window) { w.TimeFrom.Seconds = -1 },
		"ends before it begins":   func(w *pb.Window) { w.TimeTo.Seconds = w.TimeFrom.Seconds - 1 },
		"ends a nanosecond before it begins": func(w *pb.Window) {
			w.TimeTo = &timestamppb.Timestamp{Seconds: w.TimeFrom.Seconds, Nanos: w.TimeFrom.Nanos - 1}
		},
		"nanos beyond a second":    func(w *pb.Window) { w.TimeTo.Nanos = 1e9 },
		"seconds beyond year 9999": func(w *pb.Window) { w.TimeTo.Seconds = 1 << 40 },
		"no type":                  func(w *pb.Window) { w.WindowTypeName = "" },
		"no version":               func(w *pb.Window) { w.WindowTypeVersion = "" },
		"no origin":                func(w *pb.Window) { w.Origin = "" },
	} {
		w := secondWindow()
		change(w)
		broken[what] = w
	}
	return broken
}

func TestPlain(t *testing.T) {
	t.Parallel()
	point := secondWindow()
	point.TimeTo = point.TimeFrom
	for what, w := range map[string]*pb.Window{"a window": secondWindow(), "a point": point} {
		if !wire.Plain(w) {
			t.Errorf("%s goes the long way", what)
		}
	}
	for what, w := range brokenWindows() {
		if wire.Plain(w) {
			t.Errorf("%s: taken for a window that keeps all rules", what)
		}
	}
}
