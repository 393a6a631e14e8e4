// Package script is what a conformance test processor is told to be: which algorithms to announce and what each of them
// does with a window, as JSON. README.md of conformance says it in words, for programs in other languages. It knows
// neither core nor SDKs.
package script

import (
	"encoding/json"
	"fmt"
	"os"
)

// Env names the variable of the environment that has the path of the script.
const Env = "ORCA_CONFORMANCE_SCRIPT"

// Unsupported is the exit code of a program that cannot do what its script says.
const Unsupported = 3

// Script is what one program is to be.
type Script struct {
	Processor string `json:"processor"`
	// Dir is the folder of the files that program and runner leave for each other. It is there.
	Dir        string      `json:"dir"`
	Algorithms []Algorithm `json:"algorithms"`
}

// Algorithm is announced as it stands here. Texts that are not given are empty.
type Algorithm struct {
	Name        string     `json:"name"`
	Version     string     `json:"version"`
	Description string     `json:"description"`
	WindowType  WindowType `json:"window_type"`
	// Result is value, array, struct or none.
	Result string   `json:"result"`
	Needs  []Need   `json:"needs"`
	Self   Lookback `json:"self"`
	// Do is what it does with a window, unless the window's metadata has a field "play" that names one of Plays.
	Do    []Step            `json:"do"`
	Plays map[string][]Step `json:"plays"`
}

// Steps are what the algorithm does with a window whose metadata has this text in the field "play".
func (a Algorithm) Steps(play string) []Step {
	if steps, ok := a.Plays[play]; ok {
		return steps
	}
	return a.Do
}

// WindowType is a window type.
type WindowType struct {
	Name        string  `json:"name"`
	Version     string  `json:"version"`
	Description string  `json:"description"`
	Fields      []Field `json:"fields"`
}

// Field is a metadata field.
type Field struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Filter      bool   `json:"filter"`
	NoStore     bool   `json:"no_store"`
}

// Need is a dependency.
type Need struct {
	Processor string `json:"processor"`
	Name      string `json:"name"`
	Version   string `json:"version"`
	Lookback
}

// Lookback has at most one of the first two and one of the others. Zero is none. Times are in nanoseconds, written as
// text.
type Lookback struct {
	Count    uint32 `json:"count"`
	Span     int64  `json:"span,string"`
	GapCount uint32 `json:"gap_count"`
	GapSpan  int64  `json:"gap_span,string"`
}

// Step is one thing that an algorithm does; one field of it is set. The last step of an algorithm ends it.
type Step struct {
	// Mark leaves an empty file of this name in the folder.
	Mark string `json:"mark,omitempty"`
	// Await goes on when there is a file of this name. An execution that is cancelled meanwhile marks "cancelled".
	Await string `json:"await,omitempty"`
	// Tell adds what the algorithm was given to the file "told" as a line, a [Told].
	Tell bool `json:"tell,omitempty"`
	// Emit emits a window by the means of the SDK.
	Emit *Window `json:"emit,omitempty"`
	// Give ends with a result, GiveField with the number in a field of the window's metadata, as a value.
	Give      *Data  `json:"give,omitempty"`
	GiveField string `json:"give_field,omitempty"`
	// Fail ends with a handled failure, Break with an unhandled one, Panic with what is not caught.
	Fail  *Failure `json:"fail,omitempty"`
	Break string   `json:"break,omitempty"`
	Panic string   `json:"panic,omitempty"`
	// Silent ends the stream without a result of the algorithm.
	Silent bool `json:"silent,omitempty"`
}

// Failure is a handled failure.
type Failure struct {
	Reason  string `json:"reason"`
	Details Fields `json:"details,omitempty"`
}

// Window is a window. Times are in nanoseconds since the epoch, written as text.
type Window struct {
	Type     string `json:"type"`
	Version  string `json:"version"`
	From     int64  `json:"from,string"`
	To       int64  `json:"to,string"`
	Origin   string `json:"origin"`
	Metadata Fields `json:"metadata"`
}

// Row is a result that an algorithm was given.
type Row struct {
	Window Window `json:"window"`
	Data
}

// Told is what an algorithm was given: the rows of each dependency, in the order of the script, and of its own past.
type Told struct {
	Algorithm string  `json:"algorithm"`
	Window    Window  `json:"window"`
	Needs     [][]Row `json:"needs"`
	Self      []Row   `json:"self"`
}

// Load reads the script that the environment names.
func Load() (Script, error) {
	var s Script
	path := os.Getenv(Env)
	if path == "" {
		return s, fmt.Errorf("%s is not set; it names the script", Env)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return s, fmt.Errorf("read the script: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read the script %s: %w", path, err)
	}
	return s, nil
}
