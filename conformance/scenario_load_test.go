package conformance

import (
	"strings"
	"testing"
)

// A scenario with a mistake is refused, with words that show it.
func TestScenariosAreReadStrictly(t *testing.T) {
	t.Parallel()
	const head = "about: x\ntypes: [{name: T}]\nprocessors: [{name: main, algorithms: [{name: A, on: T, result: value, do: [{give: {value: 1}}]}]}]\n"
	if _, err := parse("fine", []byte(head+"steps: [{emit: {window: w, type: T}}, {finish: {window: w, nodes: {A: {value: 1}}}}]")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"word":      {head + "stpes: []", "field stpes not found"},
		"two words": {head + "steps: [{start: main, stop: main}]", "it says 2 things (Start, Stop)"},
		"processor": {head + "steps: [{start: mian}]", `"mian" is neither core nor one of the processors`},
		"window":    {head + "steps: [{finish: {window: w}}]", `window "w" is not emitted before`},
		"algorithm": {head + "steps: [{emit: {window: w, type: T}}, {finish: {window: w, nodes: {B: {}}}}]", `algorithm "B" is none`},
		"type":      {head + "steps: [{emit: {window: w, type: U}}]", `window type "U" is none`},
		"time":      {head + "steps: [{emit: {window: w, type: T, at: soon}}]", `"soon" is no length of time`},
		"result":    {strings.Replace(head, "result: value", "result: text", 1), `result is "text"`},
		"about":     {"steps: []", "about: say what the scenario shows"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parse(name, []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
