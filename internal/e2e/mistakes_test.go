package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orca-telemetry/orca/internal/orcatest"
)

// The mistakes that people make: each is refused with a message that says what was wrong and what to do.
func TestMistakes(t *testing.T) {
	t.Parallel()
	c := startCore(t)
	a := orcatest.Algorithm{Algorithm: orcatest.Define("Lap", "Speed")}
	a.WindowType.MetadataFields = append(a.WindowType.MetadataFields, field("car"), field("driver"))
	c.register(orcatest.NewProcessor(t, "racing", a))

	emit := func(args ...string) []string {
		return append([]string{"emit", "--core", c.grpc, "--from", "-1h", "--to", "now", "--origin", "me"}, args...)
	}
	folder, free := t.TempDir(), freePort(t)
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"a wrong version string": {emit("--type", "Lap@one"), 1, []string{"Lap one", "not registered", "1.0.0"}},
		"an unknown window type": {emit("--type", "Lep@1.0.0"), 1, []string{"Lep 1.0.0", "not registered"}},
		"an unknown version":     {emit("--type", "Lap@1.0.1"), 1, []string{"Lap 1.0.1", "not registered", "1.0.0"}},
		"missing metadata":       {emit("--type", "Lap@1.0.0", "--meta", "speed=3"), 1, []string{"car", "driver"}},
		"times the wrong way":    {[]string{"emit", "--core", c.grpc, "--type", "Lap@1.0.0", "--from", "now", "--to", "-1h", "--origin", "me"}, 1, []string{"window.time_ordering", "from 20", " to 20"}},
		"no core":                {[]string{"status", "--core", free}, 1, []string{free, "orca start", "--core"}},
		"a port in use":          {[]string{"serve", "--grpc", c.grpc, "--store", "sqlite:" + filepath.Join(folder, "a.db")}, 1, []string{c.grpc, "in use", "--grpc"}},
		"a second core on the same file": {
			[]string{"serve", "--grpc", "127.0.0.1:0", "--http", "off", "--store", "sqlite:" + c.store}, 1, []string{c.store, "in use by process", "another path"},
		},
		"a store that is a folder":       {[]string{"serve", "--grpc", "127.0.0.1:0", "--http", "off", "--store", "sqlite:" + folder}, 1, []string{folder, "director"}},
		"a store that is something else": {[]string{"serve", "--grpc", "127.0.0.1:0", "--http", "off", "--store", "sqlite:" + textFile(t)}, 1, []string{"not a"}},
		"a store under a file":           {[]string{"serve", "--grpc", "127.0.0.1:0", "--http", "off", "--store", "sqlite:" + textFile(t) + "/orca.db"}, 1, []string{"orca.db"}},
		"an open port":                   {[]string{"serve", "--grpc", "0.0.0.0:0"}, 2, []string{"0.0.0.0:0", "--insecure"}},
		"an unknown verb":                {[]string{"proccessors"}, 2, []string{"proccessors", "processors"}},
		"a window that is not there":     {[]string{"window", "nowhere-1", "--core", c.grpc}, 1, []string{"nowhere-1"}},
		"an algorithm that is not there": {[]string{"results", "Speed@2.0.0", "--core", c.grpc}, 1, []string{"2.0.0", "1.0.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := run(t, nil, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(errs, want) {
					t.Errorf("the message lacks %q", want)
				}
			}
			if strings.Count(strings.TrimSpace(errs), "\n") > 1 || strings.Contains(errs, "rpc error") || strings.Contains(errs, "goroutine") {
				t.Error("the message is not one clear line")
			}
			if t.Failed() {
				t.Logf("orca %s\nstdout: %s\nstderr: %s", strings.Join(tt.args, " "), out, errs)
			}
		})
	}
}

// A store in a folder that may not be written.
func TestStoreNotWritable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o500); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "orca.db")
	code, _, errs := run(t, nil, "serve", "--grpc", "127.0.0.1:0", "--http", "off", "--store", "sqlite:"+path)
	if code != 1 || !strings.Contains(errs, path) || !strings.Contains(errs, "permission") {
		t.Errorf("exit code %d, %q; want 1 and a message that names the path and the permission", code, errs)
	}
}

// A processor at an address that the core cannot reach: the windows are accepted and wait, and every view says for what.
func TestProcessorOutOfReach(t *testing.T) {
	t.Parallel()
	c := startCore(t, "--heartbeat", "200ms")
	p := orcatest.NewProcessor(t, "away", orcatest.Algorithm{Algorithm: orcatest.Define("W", "A")})
	p.Kill()
	c.register(p)
	code, out, errs := run(t, nil, "emit", "--core", c.grpc, "--type", "W@1.0.0", "--from", "-1h", "--to", "now", "--origin", "me", "--json")
	if code != 0 {
		t.Fatalf("emit: exit code %d\n%s%s", code, out, errs)
	}
	for verb, want := range map[string][]string{
		"status":     {"away"},
		"processors": {"away", p.Address, "unreachable", "refused"},
		"windows":    {"open"},
	} {
		eventually(t, func() string {
			_, out, errs := run(t, nil, verb, "--core", c.grpc)
			for _, w := range want {
				if !strings.Contains(out, w) {
					return "orca " + verb + " lacks " + w + ":\n" + out + errs
				}
			}
			return ""
		})
	}
}
