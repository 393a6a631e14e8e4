package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orca-telemetry/orca/internal/config"
)

func TestReferenceIsFresh(t *testing.T) {
	t.Parallel()
	compareFile(t, "../../docs/reference/cli.md", reference((&shell{}).root()))
}

// reference is the command as a page of the documentation.
func reference(root *cobra.Command) string {
	settings := map[string]bool{}
	for _, s := range config.Settings() {
		settings[s.Name] = true
	}
	var b strings.Builder
	b.WriteString(`# The command orca

Exit codes: 0 fine, 1 what was asked failed, 2 wrong use. Errors are one line on stderr. Verbs that ask a core find it
with ` + "`--core`" + `, else in ` + "`ORCA_CORE`" + `, else at 127.0.0.1:33670; ` + "`grpcs://`" + ` before the address asks for TLS. The token
of a core that wants one is in ` + "`ORCA_TOKEN`" + `, or in the file that ` + "`--token-file`" + ` or ` + "`ORCA_TOKEN_FILE`" + ` names.
Times are RFC 3339 in UTC. With ` + "`--json`" + ` every line of stdout is one JSON document: a list prints one per row. Its
fields have the names of ` + "`contract/console.proto`" + `; numbers that JSON does not have are "NaN", "Infinity" and
"-Infinity". This page is made from ` + "`internal/cli`" + `.
`)
	for _, c := range root.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		fmt.Fprintf(&b, "\n## orca %s\n\n%s.\n", c.Use, c.Short)
		if c.Long != "" {
			fmt.Fprintf(&b, "\n%s\n", c.Long)
		}
		fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimSpace(c.Example), "\n  ", "\n"))
		if c.Name() == "serve" {
			b.WriteString("\nIts flags are the [settings](settings.md).\n")
			continue
		}
		if c.Name() == "start" {
			b.WriteString("\nIts flags are the [settings](settings.md), and this one:\n")
		}
		b.WriteString("\n| flag | default | |\n|---|---|---|\n")
		c.Flags().SortFlags = false
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if c.Name() == "start" && settings[f.Name] {
				return
			}
			value, usage := pflag.UnquoteUsage(f)
			preset := ""
			if f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "false" {
				preset = "`" + f.DefValue + "`"
			}
			fmt.Fprintf(&b, "| `--%s` | %s | %s |\n", strings.TrimSpace(f.Name+" "+value), preset, usage)
		})
	}
	return b.String()
}
