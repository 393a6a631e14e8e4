package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/project"
	"github.com/orca-telemetry/orca/internal/stubs"
)

// syncFlags are what orca sync is told.
type syncFlags struct {
	at         coreFlag
	sdk, out   string
	project    string
	check, all bool
	processors []string
}

func (s *shell) sync() *cobra.Command {
	var f syncFlags
	c := &cobra.Command{
		Use:   "sync",
		Short: "Write typed stubs of other projects' algorithms and window types",
		Long: "Writes source code that names the algorithms of other projects with the types of their results, one module for\n" +
			"each processor, and their window types, so that the type checker sees a wrong use. What the project itself\n" +
			"registers is left out; its name comes from PROJECT_NAME or orca.json where --project does not say it. Files\n" +
			"that sync made and that nothing corresponds to any more are removed; others in the folder are not touched.\n\n" +
			"The output is the same whenever the core knows the same, so it belongs into version control. With --check\n" +
			"nothing is written: it prints what differs and exits 1 when there is something.\n\n" +
			"An algorithm of one version is called as it is (Speed, speed); one of several versions has them in its names\n" +
			"(SpeedV1_0_0, speed_v1_0_0), so that no name changes its meaning when a version comes. Processors have modules\n" +
			"of their own, so the same name in two of them is no conflict. Words of the language get an underscore.",
		Example: "  orca sync\n  orca sync --sdk python --out src/plant/stubs\n  orca sync --check",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return s.runSync(c, &f) },
	}
	c.Flags().StringVar(&f.sdk, "sdk", "", "write for this `LANGUAGE`: go, python or typescript; default that of the project in this folder")
	c.Flags().StringVar(&f.out, "out", "stubs", "write into this folder, `DIR`")
	c.Flags().StringVar(&f.project, "project", "", "leave out the processors of this project, `NAME`, the own one")
	c.Flags().StringArrayVar(&f.processors, "processor", nil, "take only the processor `NAME`; repeatable, and to be said with --check too")
	c.Flags().BoolVar(&f.all, "all", false, "leave out no project")
	c.Flags().BoolVar(&f.check, "check", false, "write nothing, and exit 1 if something is not as it would be written")
	f.at.add(c)
	return c
}

func (s *shell) runSync(c *cobra.Command, f *syncFlags) error {
	if f.all && f.project != "" {
		return wrong(c, "--all and --project exclude each other")
	}
	language, err := s.language(c, f.sdk)
	if err != nil {
		return err
	}
	own, err := s.ownProject(f)
	if err != nil {
		return err
	}
	processors, err := s.exposed(c, f, own)
	if err != nil {
		return err
	}
	made := stubs.Generate(language, processors)
	for _, what := range made.LeftOut {
		fmt.Fprintf(s.errs, "left out: %s\n", oneLine(what))
	}
	dir := filepath.Join(s.dir, f.out)
	if filepath.IsAbs(f.out) {
		dir = f.out
	}
	changes, err := stubs.Compare(dir, made)
	if errors.Is(err, stubs.ErrForeign) {
		return fmt.Errorf("%w; move it, or choose another folder with --out", err)
	}
	if err != nil {
		return err
	}
	if f.check {
		return s.reportStale(f, changes)
	}
	if err := stubs.Write(dir, made, changes); err != nil {
		return err
	}
	s.reportSync(f.out, made, changes)
	return nil
}

// only returns the processors of some names; all where no name is given.
func only(processors []stubs.Processor, names []string) ([]stubs.Processor, error) {
	if len(names) == 0 {
		return processors, nil
	}
	var known []string
	for _, p := range processors {
		known = append(known, p.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("no other project has a processor %s%s; \"orca processors\" lists them", config.Quoted(name), didYouMean(closest(name, known), ""))
		}
	}
	return slices.DeleteFunc(processors, func(p stubs.Processor) bool { return !slices.Contains(names, p.Name) }), nil
}

// language returns the one that was asked for, else that of the project in the working directory.
func (s *shell) language(c *cobra.Command, asked string) (project.Language, error) {
	if asked != "" {
		language, err := project.ParseLanguage(asked)
		if err != nil {
			return "", wrong(c, "--sdk %q: %v", asked, err)
		}
		return language, nil
	}
	language, err := project.FindLanguage(s.workdir())
	if errors.Is(err, project.ErrNoLanguage) {
		return "", wrong(c, "%v: say --sdk go, --sdk python or --sdk typescript", err)
	}
	return language, err
}

// ownProject returns the name of the project whose processors are left out; empty for none.
func (s *shell) ownProject(f *syncFlags) (string, error) {
	if f.all || f.project != "" {
		return f.project, nil
	}
	if name := s.getenv("PROJECT_NAME"); name != "" {
		return name, nil
	}
	p, err := project.Read(s.workdir())
	if err == nil && p.Name == "" {
		fmt.Fprintln(s.errs, "no project is left out: name the own one with --project, PROJECT_NAME or \"orca init\"")
	}
	return p.Name, err
}

// exposed asks for the processors that were asked for, without those of a project.
func (s *shell) exposed(c *cobra.Command, f *syncFlags, except string) ([]stubs.Processor, error) {
	core, err := s.open(c, &f.at)
	if err != nil {
		return nil, err
	}
	defer core.close()
	state, err := ask(c.Context(), core, core.windows.Expose, &pb.ExposeSettings{ExcludeProject: except})
	if err != nil {
		return nil, err
	}
	return only(stubs.Exposed(state), f.processors)
}

// reportSync says what was done.
func (s *shell) reportSync(out string, made stubs.Stubs, changes []stubs.Change) {
	what := fmt.Sprintf("%s and %s", plural(made.Algorithms, "algorithm"), plural(made.WindowTypes, "window type"))
	if len(changes) == 0 {
		fmt.Fprintf(s.out, "%s is up to date: %s\n", out, what)
		return
	}
	for _, change := range changes {
		verb := map[stubs.ChangeKind]string{stubs.Missing: "wrote", stubs.Stale: "changed", stubs.Leftover: "removed"}[change.Kind]
		fmt.Fprintf(s.out, "%s %s\n", verb, filepath.Join(out, change.Path))
	}
	fmt.Fprintf(s.out, "%s has %s\n", out, what)
}

// reportStale prints what differs, which is an error if there is something.
func (s *shell) reportStale(f *syncFlags, changes []stubs.Change) error {
	if len(changes) == 0 {
		fmt.Fprintf(s.out, "%s is up to date\n", f.out)
		return nil
	}
	for _, change := range changes {
		meaning := map[stubs.ChangeKind]string{
			stubs.Missing: "is missing", stubs.Stale: "is stale:", stubs.Leftover: "is left over: its processor is not exposed any more",
		}[change.Kind]
		fmt.Fprintf(s.out, "%s %s\n", filepath.Join(f.out, change.Path), meaning)
		for _, l := range change.Lines {
			fmt.Fprintf(s.out, "  %s\n", strings.TrimRight(l, " "))
		}
	}
	return fmt.Errorf("%s is not what the core exposes: %s; \"orca sync\" writes it", f.out, plural(len(changes), "difference"))
}
