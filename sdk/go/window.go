package orca

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/orca-telemetry/orca/contract/go"
)

// WindowType is a category of windows. Within one version its fields never change: a change needs a new version.
type WindowType struct {
	// Name is PascalCase, such as "Lap".
	Name string
	// Version is plain semver, such as "1.0.0".
	Version     string
	Description string
	// Fields are the metadata that every window of this type carries. Windows may carry more.
	Fields []Field
}

// Field is one metadata field of a window type.
type Field struct {
	Name        string
	Description string
	// Filter makes lookbacks take only the windows that have the same value in this field, such as the same car.
	Filter bool
	// NoStore hands the value to the algorithms and keeps it nowhere else: it is in no result, query or log.
	NoStore bool
}

// String is for people: "Lap 1.0.0".
func (t WindowType) String() string { return t.Name + " " + t.Version }

func (t WindowType) validate() error {
	errs := []error{
		checkName("window type", t.Name),
		checkVersion("window type", t.Version),
		checkDescription("window type "+t.Name, t.Description),
	}
	seen := map[string]bool{}
	for _, field := range t.Fields {
		errs = append(errs, checkText("field name of window type "+t.Name, field.Name))
		if seen[field.Name] {
			errs = append(errs, invalid("window type %s: the field %q is there twice", t, field.Name))
		}
		seen[field.Name] = true
	}
	return errors.Join(errs...)
}

// sameFields says whether two window types declare the same fields. Order and descriptions do not count.
func (t WindowType) sameFields(other WindowType) bool {
	flags := func(t WindowType) map[string]Field {
		fields := make(map[string]Field, len(t.Fields))
		for _, field := range t.Fields {
			field.Description = ""
			fields[field.Name] = field
		}
		return fields
	}
	return maps.Equal(flags(t), flags(other))
}

func (t WindowType) proto() *pb.WindowType {
	fields := make([]*pb.MetadataField, len(t.Fields))
	for i, f := range t.Fields {
		fields[i] = &pb.MetadataField{Name: f.Name, Description: f.Description, NoStore: f.NoStore, Filter: f.Filter}
	}
	return &pb.WindowType{Name: t.Name, Version: t.Version, Description: t.Description, MetadataFields: fields}
}

// Window is one interval of event time, of a type.
type Window struct {
	// ID is the core's name for the window. It is known for windows that a [Client] reads back, and ignored by Emit.
	ID string
	// Type is the window's type. Windows that come from a core know its name and version only.
	Type WindowType
	// From and To bound the interval; equal times make a point window. Both lie after the epoch and before 2262-04-11.
	From, To time.Time
	// Origin says who emitted it, in the emitter's own words.
	Origin string
	// Metadata holds every field that the type declares, and whatever else the algorithms shall know: null (nil),
	// booleans, numbers, strings, lists and maps of these. Numbers arrive as float64.
	Metadata map[string]any
}

// Duration is the length of the interval.
func (w Window) Duration() time.Duration { return w.To.Sub(w.From) }

// lastTime is the last second that a window may reach: what an int64 of nanoseconds holds.
var lastTime = time.Date(2262, 4, 11, 0, 0, 0, 0, time.UTC)

// validate checks what the core would refuse, so that mistakes show where they are made.
func (w Window) validate() error {
	errs := []error{
		checkName("window type", w.Type.Name),
		checkVersion("window type", w.Type.Version),
		checkText("origin of the window", w.Origin),
	}
	for _, bound := range []struct {
		name string
		time time.Time
	}{{"from", w.From}, {"to", w.To}} {
		if !bound.time.After(time.Unix(0, 0)) || bound.time.After(lastTime) {
			errs = append(errs, invalid("%s time %s: must lie between 1970-01-01 and 2262-04-11",
				bound.name, bound.time.Format(time.RFC3339Nano)))
		}
	}
	if w.To.Before(w.From) {
		errs = append(errs, invalid("window: it ends (%s) before it begins (%s)",
			w.To.Format(time.RFC3339Nano), w.From.Format(time.RFC3339Nano)))
	}
	if missing := w.missing(); len(missing) > 0 {
		errs = append(errs, invalid("metadata: window type %s declares %s, which this window lacks",
			w.Type, strings.Join(missing, ", ")))
	}
	return errors.Join(errs...)
}

// missing returns the declared fields that the metadata lacks, sorted. A nil value is not missing.
func (w Window) missing() []string {
	var missing []string
	for _, field := range w.Type.Fields {
		if _, ok := w.Metadata[field.Name]; !ok {
			missing = append(missing, field.Name)
		}
	}
	slices.Sort(missing)
	return missing
}

func (w Window) proto() (*pb.Window, error) {
	metadata, err := structOf(w.Metadata)
	if err != nil {
		return nil, invalid("metadata: %v", err)
	}
	return &pb.Window{
		TimeFrom:          timestamppb.New(w.From),
		TimeTo:            timestamppb.New(w.To),
		WindowTypeName:    w.Type.Name,
		WindowTypeVersion: w.Type.Version,
		Origin:            w.Origin,
		Metadata:          metadata,
	}, nil
}

// windowOf reads a window that came from a core. A window that was left out is the zero window.
func windowOf(w *pb.Window, id string) Window {
	if w == nil {
		return Window{ID: id}
	}
	return Window{
		ID:       id,
		Type:     WindowType{Name: w.GetWindowTypeName(), Version: w.GetWindowTypeVersion()},
		From:     w.GetTimeFrom().AsTime(),
		To:       w.GetTimeTo().AsTime(),
		Origin:   w.GetOrigin(),
		Metadata: mapOf(w.GetMetadata()),
	}
}

// sameInterval says whether two windows have one type and one interval. A window of a run and the past windows of its
// own type never do.
func sameInterval(a, b *pb.Window) bool {
	return a.GetWindowTypeName() == b.GetWindowTypeName() &&
		a.GetWindowTypeVersion() == b.GetWindowTypeVersion() &&
		a.GetTimeFrom().AsTime().Equal(b.GetTimeFrom().AsTime()) &&
		a.GetTimeTo().AsTime().Equal(b.GetTimeTo().AsTime())
}
