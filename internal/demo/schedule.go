package demo

import (
	"os"
	"time"

	orca "github.com/orca-telemetry/orca/sdk/go"
)

const (
	// minuteSeconds is how many of the short windows the long one covers, and trendSeconds how many the trend does.
	minuteSeconds, trendSeconds = 60, 60
	// minuteEvery is after how many short windows a long one is emitted, so that nobody waits a minute for the first.
	minuteEvery = 10
)

// schedule says which windows are to be emitted when. They lie on a grid, so that a minute covers whole seconds, and come
// in the order in which they end, a minute after its last second: an algorithm sees nothing that is emitted later.
type schedule struct {
	begin    time.Time
	interval time.Duration // of the short windows
	host     string
	seconds  int // how many intervals are over
	minutes  int // how many were when the last long window was emitted
}

func newSchedule(begin time.Time, interval time.Duration) *schedule {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &schedule{begin: begin.Truncate(time.Millisecond), interval: interval, host: host}
}

// due returns the windows that have ended by now and were not due before. Where several intervals are over at once, the
// last alone counts: the others are of a time in which nobody looked.
func (s *schedule) due(now time.Time) []orca.Window {
	over := int(now.Sub(s.begin) / s.interval)
	if over <= s.seconds {
		return nil
	}
	s.seconds = over
	windows := []orca.Window{s.window(hostSecond, 1)}
	if over-s.minutes >= minuteEvery {
		windows = append(windows, s.rest()...)
	}
	return windows
}

// rest returns the long window over what no long window has covered yet, if there is any.
func (s *schedule) rest() []orca.Window {
	if s.minutes == s.seconds {
		return nil
	}
	s.minutes = s.seconds
	return []orca.Window{s.window(hostMinute, minuteSeconds)}
}

// window returns the window that ends now and lasts so many intervals.
func (s *schedule) window(on orca.WindowType, intervals int) orca.Window {
	to := s.begin.Add(time.Duration(s.seconds) * s.interval)
	return orca.Window{
		Type: on, From: to.Add(-time.Duration(intervals) * s.interval), To: to,
		Origin: "orca demo", Metadata: map[string]any{"host": s.host},
	}
}
