package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// parseRef reads Name@Version. The version may be absent where versionless is set.
func parseRef(text string, versionless bool) (typeView, error) {
	at := strings.LastIndex(text, "@")
	if at < 0 && versionless && text != "" {
		return typeView{Name: text}, nil
	}
	if at < 1 || at == len(text)-1 {
		form := "Name@Version, such as CpuWindow@1.0.0"
		if versionless {
			form = "Name or " + form
		}
		return typeView{}, errors.New("want " + form)
	}
	return typeView{text[:at], text[at+1:]}, nil
}

// relative is a time by its distance from now: -1h, +5m, -7d12h, now, now-90s.
var relative = regexp.MustCompile(`^(?:now)?([+-])(?:(\d+)d)?(.*)$`)

// parseTime reads an RFC 3339 time, or one relative to now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if m := relative.FindStringSubmatch(text); m != nil {
		if d, ok := distance(m[2], m[3]); ok {
			if m[1] == "-" {
				d = -d
			}
			return now.Add(d), nil
		}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, errors.New("want RFC 3339 with a zone, such as 2026-01-31T12:00:00Z, or a time from now, such as now, -90s, -1h or -7d")
	}
	return t, nil
}

// distance adds days to a duration without sign; one of them may be absent.
func distance(days, rest string) (time.Duration, bool) {
	const day, mostDays = 24 * time.Hour, 100_000
	n, err := strconv.Atoi("0" + days)
	if err != nil || n > mostDays {
		return 0, false
	}
	if days != "" && rest == "" {
		return time.Duration(n) * day, true
	}
	d, err := time.ParseDuration(rest)
	if err != nil || strings.ContainsAny(rest, "+-") || d > mostDays*day {
		return 0, false
	}
	return time.Duration(n)*day + d, true
}

// rangeFlags choose a range of event time. Both ends are relative to the same now.
type rangeFlags struct{ from, to string }

func (f *rangeFlags) add(c *cobra.Command, from, to string) {
	c.Flags().StringVar(&f.from, "from", "", from+", `TIME`: RFC 3339, now, or from now such as -1h or -7d")
	c.Flags().StringVar(&f.to, "to", "", to+", `TIME`")
}

// parse returns the two ends; nil for one that was not given.
func (f *rangeFlags) parse(c *cobra.Command, now time.Time) (from, to *timestamppb.Timestamp, err error) {
	if from, err = parseStamp(c, "--from", f.from, now); err != nil {
		return nil, nil, err
	}
	to, err = parseStamp(c, "--to", f.to, now)
	return from, to, err
}

func parseStamp(c *cobra.Command, name, text string, now time.Time) (*timestamppb.Timestamp, error) {
	if text == "" {
		return nil, nil
	}
	t, err := parseTime(text, now)
	if err != nil {
		return nil, wrong(c, "%s %q: %v", name, text, err)
	}
	return timestamppb.New(t), nil
}

// metaFlag is metadata, one field per use.
type metaFlag struct{ fields []string }

func (f *metaFlag) add(c *cobra.Command, usage string) {
	c.Flags().StringArrayVar(&f.fields, "meta", nil, usage+", `FIELD=TEXT`, or FIELD:=JSON for a number, true, null, a list, an object; repeatable")
}

// parse returns the metadata; nil when there is none.
func (f *metaFlag) parse(c *cobra.Command) (*structpb.Struct, error) {
	if len(f.fields) == 0 {
		return nil, nil
	}
	fields := map[string]*structpb.Value{}
	for _, text := range f.fields {
		name, value, err := parseField(text)
		if err != nil {
			return nil, wrong(c, "--meta %q: %v", text, err)
		}
		if fields[name] != nil {
			return nil, wrong(c, "--meta %q: the field %q is given twice", text, name)
		}
		fields[name] = value
	}
	return &structpb.Struct{Fields: fields}, nil
}

// parseField reads name=text and name:=json. Text stays text, whatever it looks like: an asset called 007 is no number.
func parseField(text string) (string, *structpb.Value, error) {
	name, value, ok := strings.Cut(text, "=")
	name, isJSON := strings.CutSuffix(name, ":")
	if !ok || name == "" {
		return "", nil, errors.New("want FIELD=TEXT, such as asset=pump-7, or FIELD:=JSON, such as load:=0.5")
	}
	if !isJSON {
		v, err := structpb.NewValue(value)
		return name, v, err
	}
	var decoded any
	if err := json.Unmarshal([]byte(value), &decoded); err != nil {
		return "", nil, fmt.Errorf("what follows := is not JSON (%w); for text write %s=%s", err, name, value)
	}
	v, err := structpb.NewValue(decoded)
	return name, v, err
}
