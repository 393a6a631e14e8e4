package orca

import (
	"cmp"
	"fmt"
	"slices"
)

// WindowTypeID names a category of windows.
type WindowTypeID struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func (id WindowTypeID) String() string { return id.Name + " " + id.Version }

// Compare orders by name, then version, as strings.
func (id WindowTypeID) Compare(o WindowTypeID) int {
	return cmp.Or(cmp.Compare(id.Name, o.Name), cmp.Compare(id.Version, o.Version))
}

// WindowType is a category of windows with the metadata fields that each of them carries.
type WindowType struct {
	ID          WindowTypeID    `json:"id"`
	Description string          `json:"description,omitempty"`
	Fields      []MetadataField `json:"fields,omitempty"`
}

// MetadataField is a field that every window of a type carries.
type MetadataField struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// NoStore fields reach the algorithms of the run and are not part of the stored window.
	NoStore bool `json:"no_store,omitempty"`
	// Filter fields restrict lookbacks to windows with an equal value.
	Filter bool `json:"filter,omitempty"`
}

// HasNoStore reports whether any field is not stored.
func (t WindowType) HasNoStore() bool {
	return slices.ContainsFunc(t.Fields, func(f MetadataField) bool { return f.NoStore })
}

// AlgorithmID names an algorithm. The runtime that serves it is not part of the identity.
type AlgorithmID struct {
	Processor string `json:"processor"`
	Name      string `json:"name"`
	Version   string `json:"version"`
}

// String returns name and version, the form that people use where the processor is clear.
func (id AlgorithmID) String() string { return id.Name + " " + id.Version }

// Full returns name, version and processor.
func (id AlgorithmID) Full() string {
	return fmt.Sprintf("%s %s of processor %q", id.Name, id.Version, id.Processor)
}

// Compare orders by processor, name and version, as strings.
func (id AlgorithmID) Compare(o AlgorithmID) int {
	return cmp.Or(cmp.Compare(id.Processor, o.Processor), cmp.Compare(id.Name, o.Name), cmp.Compare(id.Version, o.Version))
}

// ResultType is the kind of data that an algorithm's results carry.
type ResultType uint8

// The result types, with the numbers of the contract; they are stored and never renumbered.
const (
	ResultStruct ResultType = 1
	ResultValue  ResultType = 2
	ResultArray  ResultType = 3
	ResultNone   ResultType = 4
)

func (t ResultType) String() string {
	switch t {
	case ResultStruct:
		return "struct"
	case ResultValue:
		return "value"
	case ResultArray:
		return "array"
	case ResultNone:
		return "none"
	}
	return fmt.Sprintf("result type %d", uint8(t))
}

// Extent is a number of results or a span of time. At most one of them is not zero; both zero means none.
type Extent struct {
	Count uint32 `json:"count,omitempty"`
	// Span is in nanoseconds.
	Span uint64 `json:"span,omitempty"`
}

// IsZero reports whether nothing was asked for.
func (e Extent) IsZero() bool { return e == Extent{} }

// Lookback says which past results are handed over.
type Lookback struct {
	Range Extent `json:"range,omitzero"`
	// Gap is left out nearest to the present.
	Gap Extent `json:"gap,omitzero"`
}

// Dependency is one algorithm whose results another one needs.
type Dependency struct {
	On AlgorithmID `json:"on"`
	// Runtime is the preference among the instances of On's processor that the announcer wrote down.
	Runtime  string   `json:"runtime,omitempty"`
	Lookback Lookback `json:"lookback,omitzero"`
}

// Algorithm is the definition of an algorithm as it was announced.
type Algorithm struct {
	ID          AlgorithmID `json:"id"`
	Description string      `json:"description,omitempty"`
	// WindowType is what triggers it.
	WindowType WindowType `json:"window_type"`
	ResultType ResultType `json:"result_type"`
	// Dependencies in the order of the announcement.
	Dependencies []Dependency `json:"dependencies,omitempty"`
	// Self is the lookback over its own past results.
	Self Lookback `json:"self,omitzero"`
}
