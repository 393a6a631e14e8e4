package orca

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// resolved is what settings come down to.
type resolved struct {
	Core, Listen, Announced, Project string
	TLS                              bool
}

func TestSettings(t *testing.T) {
	t.Parallel()
	type env map[string]string
	file := project{Name: "filed", Core: "file:1", ProcessorPort: json.RawMessage(`"7000"`), ProcessorAddress: "box:7001"}
	bound := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4242}
	anywhere := &net.TCPAddr{IP: net.IPv6unspecified, Port: 4242}
	for name, tc := range map[string]struct {
		config processorConfig
		env    env
		file   project
		bound  net.Addr
		want   resolved
	}{
		"nothing":          {want: resolved{"127.0.0.1:33670", "127.0.0.1:5377", "127.0.0.1:4242", "", false}},
		"file":             {file: file, want: resolved{"file:1", ":7000", "box:7001", "filed", false}},
		"file with number": {file: project{ProcessorPort: json.RawMessage(`7000`)}, want: resolved{"127.0.0.1:33670", "127.0.0.1:7000", "127.0.0.1:4242", "", false}},
		"environment over file": {
			env:  env{"ORCA_CORE": "grpc://core:1", "PROCESSOR_ADDRESS": "me:2", "PROCESSOR_PORT": "3", "PROJECT_NAME": "env"},
			file: file, want: resolved{"core:1", ":3", "me:2", "env", false},
		},
		"options over environment": {
			config: processorConfig{coreConfig: coreConfig{core: "opt:1"}, listen: "127.0.0.1:5", address: "opt:2", project: "opt"},
			env:    env{"ORCA_CORE": "core:1", "PROCESSOR_ADDRESS": "me:2", "PROCESSOR_PORT": "3", "PROJECT_NAME": "env"},
			want:   resolved{"opt:1", "127.0.0.1:5", "opt:2", "opt", false},
		},
		"host and ports":         {env: env{"PROCESSOR_HOST": "me", "PROCESSOR_EXTERNAL_PORT": "80", "PROCESSOR_PORT": "90"}, want: resolved{"127.0.0.1:33670", ":90", "me:80", "", false}},
		"host without external":  {env: env{"PROCESSOR_HOST": "me", "PROCESSOR_PORT": "90"}, want: resolved{"127.0.0.1:33670", ":90", "me:90", "", false}},
		"host alone":             {env: env{"PROCESSOR_HOST": "me"}, want: resolved{"127.0.0.1:33670", ":5377", "me:5377", "", false}},
		"external alone":         {env: env{"PROCESSOR_EXTERNAL_PORT": "80"}, want: resolved{"127.0.0.1:33670", "127.0.0.1:80", "127.0.0.1:80", "", false}},
		"address over host":      {env: env{"PROCESSOR_ADDRESS": "you:1", "PROCESSOR_HOST": "me"}, want: resolved{"127.0.0.1:33670", ":1", "you:1", "", false}},
		"local address":          {env: env{"PROCESSOR_ADDRESS": "localhost:81"}, want: resolved{"127.0.0.1:33670", "127.0.0.1:81", "localhost:81", "", false}},
		"local IPv6":             {env: env{"PROCESSOR_ADDRESS": "[::1]:81"}, want: resolved{"127.0.0.1:33670", "127.0.0.1:81", "[::1]:81", "", false}},
		"port of the listener":   {env: env{"PROCESSOR_ADDRESS": "me:0"}, bound: anywhere, want: resolved{"127.0.0.1:33670", ":5377", "me:4242", "", false}},
		"free port":              {env: env{"PROCESSOR_PORT": "0"}, want: resolved{"127.0.0.1:33670", "127.0.0.1:0", "127.0.0.1:4242", "", false}},
		"listening everywhere":   {config: processorConfig{listen: ":0"}, bound: anywhere, want: resolved{"127.0.0.1:33670", ":0", "127.0.0.1:4242", "", false}},
		"TLS by scheme":          {env: env{"ORCA_CORE": "grpcs://core:1", "PROCESSOR_ADDRESS": "grpcs://me:443"}, want: resolved{"grpcs://core:1", ":443", "grpcs://me:443", "", true}},
		"TLS by option":          {config: processorConfig{coreConfig: coreConfig{tls: &tls.Config{}}}, want: resolved{"127.0.0.1:33670", "127.0.0.1:5377", "127.0.0.1:4242", "", true}},
		"TLS in production":      {env: env{"ENV": "production"}, want: resolved{"127.0.0.1:33670", "127.0.0.1:5377", "127.0.0.1:4242", "", true}},
		"TLS in Orca production": {env: env{"ENV": "test", "ORCA_ENV": "production"}, want: resolved{"127.0.0.1:33670", "127.0.0.1:5377", "127.0.0.1:4242", "", true}},
		"Orca not in production": {env: env{"ENV": "production", "ORCA_ENV": "test"}, want: resolved{"127.0.0.1:33670", "127.0.0.1:5377", "127.0.0.1:4242", "", false}},
		"certificate":            {config: processorConfig{serverTLS: &tls.Config{}}, want: resolved{"127.0.0.1:33670", "127.0.0.1:5377", "grpcs://127.0.0.1:4242", "", false}},
		"listener is not TCP":    {config: processorConfig{address: "me:9"}, bound: &net.UnixAddr{Name: "/x", Net: "unix"}, want: resolved{"127.0.0.1:33670", ":9", "me:9", "", false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := tc.config.resolve(surroundings{env: func(name string) string { return tc.env[name] }, file: tc.file})
			if err != nil {
				t.Fatal(err)
			}
			if tc.bound == nil {
				tc.bound = bound
			}
			announced := s.announce(tc.bound, tc.config.serverTLS != nil).String()
			if diff := cmp.Diff(tc.want, resolved{s.core.String(), s.listen, announced, s.project, s.tls}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSettingsThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"core without port":      {"ORCA_CORE": "core"},
		"core with another kind": {"ORCA_CORE": "http://core:1"},
		"core with port 0":       {"ORCA_CORE": "core:0"},
		"core with a name":       {"ORCA_CORE": "core:grpc"},
		"address":                {"PROCESSOR_ADDRESS": "me:99999"},
		"external port":          {"PROCESSOR_EXTERNAL_PORT": "-1"},
		"port":                   {"PROCESSOR_PORT": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := processorConfig{}.resolve(surroundings{env: func(name string) string { return env[name] }})
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestTheTokenIsShownToWhomItMay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	empty := filepath.Join(t.TempDir(), "empty")
	for name, text := range map[string]string{file: "filed\n", empty: " \n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type env map[string]string
	type answer struct{ Token, Err string }
	inClear := func(core string) answer {
		return answer{Err: "invalid token for the core at " + core + ": it would cross the network in plain text; use TLS" +
			" (a grpcs:// address or WithTLS), or insist with WithTokenInClear"}
	}
	for name, tc := range map[string]struct {
		config coreConfig
		env    env
		want   answer
	}{
		"none":                  {coreConfig{core: "core:1"}, nil, answer{}},
		"option":                {coreConfig{token: "opt"}, env{"ORCA_TOKEN": "env", "ORCA_TOKEN_FILE": file}, answer{Token: "opt"}},
		"environment":           {coreConfig{}, env{"ORCA_TOKEN": "env", "ORCA_TOKEN_FILE": file}, answer{Token: "env"}},
		"file":                  {coreConfig{}, env{"ORCA_TOKEN_FILE": file}, answer{Token: "filed"}},
		"empty file":            {coreConfig{}, env{"ORCA_TOKEN_FILE": empty}, answer{Err: "invalid token from ORCA_TOKEN_FILE " + empty + ": the file is empty"}},
		"two words":             {coreConfig{token: "s3 cret"}, nil, answer{Err: "invalid token from WithToken: must be visible ASCII characters without a space, at most 4096"}},
		"too long":              {coreConfig{}, env{"ORCA_TOKEN": strings.Repeat("x", 4097)}, answer{Err: "invalid token from ORCA_TOKEN: must be visible ASCII characters without a space, at most 4096"}},
		"longest":               {coreConfig{token: strings.Repeat("x", 4096)}, nil, answer{Token: strings.Repeat("x", 4096)}},
		"this machine":          {coreConfig{token: "t", core: "localhost:1"}, nil, answer{Token: "t"}},
		"this machine, IPv6":    {coreConfig{token: "t", core: "[::1]:1"}, nil, answer{Token: "t"}},
		"another":               {coreConfig{token: "t", core: "core:1"}, nil, inClear("core:1")},
		"another, by number":    {coreConfig{token: "t", core: "grpc://10.0.0.1:1"}, nil, inClear("10.0.0.1:1")},
		"another, environment":  {coreConfig{}, env{"ORCA_CORE": "core:1", "ORCA_TOKEN": "t"}, inClear("core:1")},
		"another, insisted":     {coreConfig{token: "t", core: "core:1", inClear: true}, nil, answer{Token: "t"}},
		"another, TLS":          {coreConfig{token: "t", core: "grpcs://core:1"}, nil, answer{Token: "t"}},
		"another, TLS set":      {coreConfig{token: "t", core: "core:1", tls: &tls.Config{}}, nil, answer{Token: "t"}},
		"another, production":   {coreConfig{token: "t", core: "core:1"}, env{"ORCA_ENV": "production"}, answer{Token: "t"}},
		"named like a loopback": {coreConfig{token: "t", core: "localhost.example:1"}, nil, inClear("localhost.example:1")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := tc.config.resolve(surroundings{env: func(name string) string { return tc.env[name] }})
			got := answer{Token: s.token}
			if err != nil {
				got = answer{Err: err.Error()}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := (coreConfig{}).resolve(surroundings{env: func(name string) string { return map[string]string{"ORCA_TOKEN_FILE": file + "x"}[name] }}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: got %v", err)
	}
}

// These tests change the environment or the working directory, so they are not parallel.
func TestLookReadsTheSurroundings(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("ORCA_CORE", "core:1")
	around, err := look(false)
	if err != nil || around.env("ORCA_CORE") != "core:1" {
		t.Errorf("without a file: %v, %q", err, around.env("ORCA_CORE"))
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(".", projectFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"projectName":"p","orcaConnectionString":"c:1","processorPort":5377,"processorConnectionString":"m:2","more":1}`)
	around, err = look(false)
	want := project{Name: "p", Core: "c:1", ProcessorPort: json.RawMessage("5377"), ProcessorAddress: "m:2"}
	if diff := cmp.Diff(want, around.file); diff != "" || err != nil {
		t.Error(err, diff)
	}
	write(`{"projectName":`)
	if _, err := look(false); !errors.Is(err, ErrInvalid) {
		t.Errorf("a broken file: got %v, want ErrInvalid", err)
	}
	if around, err := look(true); err != nil || around.env("ORCA_CORE") != "" {
		t.Errorf("hermetic: got %v, %q", err, around.env("ORCA_CORE"))
	}
}
