package torture

import (
	"encoding/json"
	"os"
	"strconv"

	"github.com/orca-telemetry/orca/internal/orca"
)

// What processors in other languages are told of the work, as JSON. Times are nanoseconds as texts.
type (
	sharedWork struct {
		Version    string            `json:"version"`
		Rest       int64             `json:"rest"`
		Types      []sharedType      `json:"types"`
		Algorithms []sharedAlgorithm `json:"algorithms"`
	}
	sharedType struct {
		Name   string        `json:"name"`
		Fields []sharedField `json:"fields"`
	}
	sharedField struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Filter      bool   `json:"filter"`
		NoStore     bool   `json:"noStore"`
	}
	sharedAlgorithm struct {
		Processor  string       `json:"processor"`
		Name       string       `json:"name"`
		WindowType string       `json:"windowType"`
		Needs      []sharedNeed `json:"needs"`
		Self       sharedBack   `json:"self"`
		Takes      string       `json:"takes"`
		Varies     string       `json:"varies"`
		Fails      int64        `json:"fails"`
		Breaks     int64        `json:"breaks"`
	}
	sharedNeed struct {
		Processor string     `json:"processor"`
		Name      string     `json:"name"`
		Back      sharedBack `json:"back"`
	}
	sharedBack struct {
		Count    uint32 `json:"count"`
		Span     string `json:"span"`
		GapCount uint32 `json:"gapCount"`
		GapSpan  string `json:"gapSpan"`
	}
)

// writeWork writes down what every algorithm of a session does, for processors that cannot read Work itself.
func writeWork(path string) error {
	work := sharedWork{Version: Version, Rest: rest}
	for _, name := range []string{Piece, Crate, Shift} {
		t := sharedType{Name: name}
		for _, f := range WindowType(name).Fields {
			t.Fields = append(t.Fields, sharedField{f.Name, f.Description, f.Filter, f.NoStore})
		}
		work.Types = append(work.Types, t)
	}
	for _, a := range Work {
		needs := []sharedNeed{}
		for _, n := range a.Needs {
			needs = append(needs, sharedNeed{n.Processor, n.Name, backOf(n.Back)})
		}
		work.Algorithms = append(work.Algorithms, sharedAlgorithm{
			Processor: a.Processor, Name: a.Name, WindowType: a.WindowType, Needs: needs, Self: backOf(a.Self),
			Takes: strconv.FormatInt(int64(a.Takes), 10), Varies: strconv.FormatInt(int64(a.Varies), 10), Fails: a.Fails, Breaks: a.Breaks,
		})
	}
	b, err := json.MarshalIndent(work, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

func backOf(l orca.Lookback) sharedBack {
	span, gap := strconv.FormatUint(l.Range.Span, 10), strconv.FormatUint(l.Gap.Span, 10)
	return sharedBack{Count: l.Range.Count, Span: span, GapCount: l.Gap.Count, GapSpan: gap}
}
