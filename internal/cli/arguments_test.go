package cli

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	pb "github.com/orca-telemetry/orca/contract/go"
)

func TestTimes(t *testing.T) {
	t.Parallel()
	now := at("12:00:00.000000001").AsTime()
	const wrong = ""
	for text, want := range map[string]string{
		"now":                            "2026-01-31T12:00:00.000000001Z",
		"-1h":                            "2026-01-31T11:00:00.000000001Z",
		"now-1h":                         "2026-01-31T11:00:00.000000001Z",
		"+1h30m":                         "2026-01-31T13:30:00.000000001Z",
		"-7d":                            "2026-01-24T12:00:00.000000001Z",
		"-1d12h":                         "2026-01-30T00:00:00.000000001Z",
		"-1ns":                           "2026-01-31T12:00:00Z",
		"+0s":                            "2026-01-31T12:00:00.000000001Z",
		"2026-01-31T12:00:00Z":           "2026-01-31T12:00:00Z",
		"2026-01-31T12:00:00.123456789Z": "2026-01-31T12:00:00.123456789Z",
		"2026-01-31T12:00:00+02:00":      "2026-01-31T10:00:00Z",
		"2026-01-31T12:00:00":            wrong,
		"2026-01-31":                     wrong,
		"1h":                             wrong,
		"-1":                             wrong,
		"-":                              wrong,
		"--1h":                           wrong,
		"-d":                             wrong,
		"-1d-1h":                         wrong,
		"-200000d":                       wrong,
		"-99999999999999999999d":         wrong,
		"tomorrow":                       wrong,
		"":                               wrong,
	} {
		got, err := parseTime(text, now)
		if err != nil && want != wrong || err == nil && got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q is %s, %v; want %q", text, got.UTC().Format(time.RFC3339Nano), err, want)
		}
	}
}

func TestRefs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"CpuWindow@1.0.0": "CpuWindow/1.0.0",
		"odd name@v1":     "odd name/v1",
		"a@b@1":           "a@b/1",
		"CpuWindow":       "",
		"CpuWindow@":      "",
		"@1.0.0":          "",
		"@":               "",
		"":                "",
	} {
		got, err := parseRef(text, false)
		if err != nil && want != "" || err == nil && got.Name+"/"+got.Version != want {
			t.Errorf("%q is %+v, %v; want %q", text, got, err, want)
		}
	}
}

func TestMetadataFields(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"host=web-1":              `host "web-1"`,
		"asset=007":               `asset "007"`,
		"empty=":                  `empty ""`,
		"eq=a=b":                  `eq "a=b"`,
		"n:=0.5":                  `n 0.5`,
		"n:=-1e3":                 `n -1000`,
		"t:=true":                 `t true`,
		"z:=null":                 `z null`,
		"s:=\"007\"":              `s "007"`,
		"l:=[1,[2],null]":         `l [1,[2],null]`,
		"o:={\"b\":1,\"a\":\"\"}": `o {"a":"","b":1}`,
		"a b=x":                   `a b "x"`,
		"no":                      "",
		"=x":                      "",
		":=1":                     "",
		"n:=":                     "",
		"n:=word":                 "",
		"n:=1 2":                  "",
		"bad=\xff":                "",
	} {
		name, value, err := parseField(text)
		if got := name + " " + string(appendValue(nil, value)); err != nil && want != "" || err == nil && got != want {
			t.Errorf("%q is %s, %v; want %q", text, got, err, want)
		}
	}
}

func TestNumbersReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.Uint32().Draw(t, "bits")
		want := math.Float32frombits(bits)
		r := &pb.Result{ResultData: &pb.Result_SingleValue{SingleValue: want}}
		text := strings.Trim(string(valueJSON(r)), `"`)
		if text != valueText(r) {
			t.Fatalf("a program is shown %s, people %s", text, valueText(r))
		}
		got, err := strconv.ParseFloat(text, 32)
		if err != nil {
			t.Fatal(err)
		}
		if math.Float32bits(float32(got)) != bits && want == want {
			t.Fatalf("%x is written %s, which reads as %x", bits, text, math.Float32bits(float32(got)))
		}
	})
}

func TestStructsAreJSON(t *testing.T) {
	t.Parallel()
	var value *rapid.Generator[*structpb.Value]
	value = rapid.Custom(func(t *rapid.T) *structpb.Value {
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			return structpb.NewNumberValue(rapid.Float64().Draw(t, "number"))
		case 1:
			return structpb.NewBoolValue(rapid.Bool().Draw(t, "bool"))
		case 2:
			return structpb.NewStringValue(rapid.String().Draw(t, "text"))
		case 3:
			return structpb.NewListValue(&structpb.ListValue{Values: rapid.SliceOfN(rapid.Deferred(func() *rapid.Generator[*structpb.Value] { return value }), 0, 3).Draw(t, "list")})
		case 4:
			return structpb.NewStructValue(&structpb.Struct{Fields: rapid.MapOfN(rapid.String(), rapid.Deferred(func() *rapid.Generator[*structpb.Value] { return value }), 0, 3).Draw(t, "struct")})
		}
		return structpb.NewNullValue()
	})
	rapid.Check(t, func(t *rapid.T) {
		v := value.Draw(t, "value")
		var got any
		if err := json.Unmarshal(appendValue(nil, v), &got); err != nil {
			t.Fatalf("%v: %s", err, appendValue(nil, v))
		}
		if want := fmt.Sprint(v.AsInterface()); fmt.Sprint(got) != want {
			t.Fatalf("got %v, want %s", got, want)
		}
	})
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":                    "plain",
		" two\n\tlines\r\n":        "two lines",
		"\x1b[2Jcleared\x07\u202e": "[2Jcleared",
		"naïve 温度 ←":               "naïve 温度 ←",
		"bad \xff byte":            "bad � byte",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	if got := shorten("温度温度", 3); got != "温度…" {
		t.Errorf("shortened to %q", got)
	}
}
