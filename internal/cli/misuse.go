package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orca-telemetry/orca/internal/config"
)

// misuse is a wrong use of the command, as against something that failed. It has no text where help was shown instead.
type misuse struct{ text string }

func (m *misuse) Error() string { return m.text }

// wrong returns a misuse of a verb that points to the verb's help.
func wrong(c *cobra.Command, format string, args ...any) error {
	return &misuse{fmt.Sprintf(format, args...) + fmt.Sprintf(" (see %q)", c.CommandPath()+" --help")}
}

// noVerb is what the bare command does: it names the verb that was meant, or shows help where there was none.
func noVerb(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		root.SetOut(root.ErrOrStderr())
		return errors.Join(&misuse{}, root.Help())
	}
	return wrong(root, "there is no verb %q%s", args[0], didYouMean(root.SuggestionsFor(args[0]), ""))
}

// wrongFlag says what is wrong with a flag, and which one was meant where it does not exist.
func wrongFlag(c *cobra.Command, err error) error {
	if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
		name, dashes := unknown.GetSpecifiedName(), "--"
		if word := unknown.GetSpecifiedShortnames(); word != "" { // such as -type, which reads as five short flags
			name, dashes = word, "-"
		}
		var known []string
		c.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		return wrong(c, "%q has no flag %s%s%s", c.CommandPath(), dashes, name, didYouMean(closest(name, known), "--"))
	}
	if value := (*pflag.InvalidValueError)(nil); errors.As(err, &value) {
		return wrong(c, "--%s %s: %v", value.GetFlag().Name, config.Quoted(value.GetValue()), wanted(value))
	}
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return wrong(c, "%v", err)
}

// wanted says what a flag's value may be: a setting's error does, those of the flag library's own kinds quote a parser.
func wanted(err *pflag.InvalidValueError) string {
	if text := err.Unwrap().Error(); strings.HasPrefix(text, "want ") {
		return text
	}
	switch err.GetFlag().Value.Type() {
	case "int", "int32":
		return "want a whole number"
	case "duration":
		return "want a duration such as 30s or 5m"
	case "bool":
		return "want true or false"
	}
	return err.Unwrap().Error()
}

func didYouMean(names []string, prefix string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("; did you mean %s%s?", prefix, names[0])
}

// closest returns those of known that name may be a misspelling of, by the rule that verbs are found with.
func closest(name string, known []string) []string {
	index := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		index.AddCommand(&cobra.Command{Use: strings.ReplaceAll(k, " ", ""), Run: func(*cobra.Command, []string) {}})
	}
	return index.SuggestionsFor(name)
}

// noArguments and oneArgument are what may follow a verb.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrong(c, "%q takes no arguments, and was given %q", c.CommandPath(), args[0])
	}
	return nil
}

// oneArgument returns the check that a verb is given exactly one argument: what it is called, and where to find one.
func oneArgument(what, where string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch len(args) {
		case 1:
			return nil
		case 0:
			return wrong(c, "%q needs %s; %q lists them", c.CommandPath(), what, where)
		}
		return wrong(c, "%q takes %s, and was given %q too", c.CommandPath(), what, args[1])
	}
}

// required reports the flags of names that were given nothing.
func required(c *cobra.Command, names ...string) error {
	var missing []string
	for _, n := range names {
		if c.Flags().Lookup(n).Value.String() == "" {
			missing = append(missing, "--"+n)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return wrong(c, "%q needs %s", c.CommandPath(), strings.Join(missing, ", "))
}
