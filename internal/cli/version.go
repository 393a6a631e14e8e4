package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/orca-telemetry/orca/internal/app"
)

// buildView is what orca version prints.
type buildView struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (s *shell) version() *cobra.Command {
	var asJSON jsonFlag
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print which build this is",
		Long:    "Prints which build this command is. Which one the core is, \"orca status\" tells.",
		Example: "  orca version",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			b := build(app.Version(), info)
			if asJSON.json {
				return printJSON(s.out, b)
			}
			_, err := fmt.Fprintln(s.out, b)
			return err
		},
	}
	asJSON.add(c)
	return c
}

// build gathers what is known; info may be nil.
func build(version string, info *debug.BuildInfo) buildView {
	b := buildView{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		return b
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.time":
			b.Time = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

func (b buildView) String() string {
	text := "orca " + b.Version
	if b.Commit != "" {
		text += fmt.Sprintf(" (commit %.12s", b.Commit)
		if b.Modified {
			text += " with changes"
		}
		if b.Time != "" {
			text += " of " + b.Time
		}
		text += ")"
	}
	return fmt.Sprintf("%s %s %s", text, b.Go, b.Platform)
}
