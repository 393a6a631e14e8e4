package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/project"
)

// initFlags are what orca init is told.
type initFlags struct {
	name, core, port, address string
	template, clone           string
	force                     bool
}

func (s *shell) init() *cobra.Command {
	var f initFlags
	c := &cobra.Command{
		Use:   "init",
		Short: "Make this folder a project, with a first processor if asked",
		Long: "Writes orca.json, where processors, clients and the verbs of this command find the project's name and the core.\n" +
			"The name is that of go.mod, pyproject.toml or package.json, else the folder's. With --template it writes a first\n" +
			"processor that runs, and says what to type next. Nothing that is there is written over without --force, and\n" +
			"what manages dependencies (go.mod, pyproject.toml, package.json) not even with it.",
		Example: "  orca init\n  orca init --template python\n  orca init --project plant --core grpcs://orca.example:33670",
		Args:    noArguments,
		RunE:    func(c *cobra.Command, _ []string) error { return s.runInit(c, &f) },
	}
	c.Flags().StringVar(&f.template, "template", "", "write a first processor in this `LANGUAGE`: go, python or typescript")
	c.Flags().StringVar(&f.name, "project", "", "the project's `NAME`; default that of the folder's project")
	c.Flags().StringVar(&f.core, "core", "", "where the core is, `host:port`; default what ORCA_CORE says, else "+project.DefaultCore)
	c.Flags().StringVar(&f.port, "processor-port", project.DefaultPort, "where processors listen, `PORT`; 0 takes a free one")
	c.Flags().StringVar(&f.address, "processor-address", "", "where the core reaches them, `host:port`; default where they listen")
	c.Flags().StringVar(&f.clone, "sdk-path", "", "take the SDK from the clone of Orca's repository in `DIR`; default that which this command was built in, else the released one")
	c.Flags().BoolVar(&f.force, "force", false, "write over what is there")
	return c
}

func (s *shell) runInit(c *cobra.Command, f *initFlags) error {
	plan, err := s.initPlan(c, f)
	if err != nil {
		return err
	}
	written, err := project.Init(plan)
	if errors.Is(err, project.ErrExists) && plan.Template == "" {
		return fmt.Errorf("%w, and --template adds a processor to it", err)
	}
	if err != nil {
		return err
	}
	for _, name := range written.Files {
		fmt.Fprintf(s.out, "wrote %s\n", name)
	}
	for _, name := range written.Kept {
		fmt.Fprintf(s.out, "kept %s as it is\n", name)
	}
	if len(written.Next) > 0 {
		fmt.Fprintf(s.out, "\nNext:\n\n    %s\n", strings.Join(written.Next, "\n    "))
	}
	return nil
}

// initPlan says what to do: what was asked for, and what can be told from the folder.
func (s *shell) initPlan(c *cobra.Command, f *initFlags) (project.Plan, error) {
	p := project.Plan{Dir: s.workdir(), Force: f.force}
	if f.template != "" {
		var err error
		if p.Template, err = project.ParseLanguage(f.template); err != nil {
			return p, wrong(c, "--template %q: %v", f.template, err)
		}
	}
	var err error
	if p.SDK, err = sdkSource(f.clone); err != nil {
		return p, err
	}
	if p.Template != "" && !f.force { // the file that is there is kept
		if p.Project, err = project.Read(p.Dir); err != nil {
			return p, err
		}
	}
	p.Project.Core = cmp.Or(f.core, p.Project.Core, s.getenv("ORCA_CORE"), project.DefaultCore)
	p.Project.ProcessorPort, p.Project.ProcessorAddress = f.port, f.address
	for _, a := range []struct{ flag, value string }{{"core", p.Project.Core}, {"processor-address", p.Project.ProcessorAddress}} {
		if a.value != "" && !addressForm.MatchString(a.value) {
			return p, wrong(c, "--%s %q: want host:port, grpc://host:port or grpcs://host:port, such as %s", a.flag, a.value, project.DefaultCore)
		}
	}
	if _, err := strconv.ParseUint(f.port, 10, 16); err != nil {
		return p, wrong(c, "--processor-port %q: want a number from 0 to 65535", f.port)
	}
	p.Project.Name = cmp.Or(f.name, p.Project.Name)
	if p.Project.Name == "" {
		p.Project.Name, err = project.InferName(p.Dir)
	}
	return p, err
}

var addressForm = regexp.MustCompile(`^(grpcs?://)?([^\s:/]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$`)

// sdkSource says where SDKs come from: a clone of the repository, or the release of this command.
func sdkSource(clone string) (project.Source, error) {
	if clone != "" {
		path, err := filepath.Abs(clone)
		if err == nil {
			_, err = os.Stat(filepath.Join(path, "sdk", "go"))
		}
		if err != nil {
			return project.Source{}, fmt.Errorf("--sdk-path %s: it is no clone of Orca's repository: %w", clone, err)
		}
		return project.Source{Clone: path}, nil
	}
	program, err := os.Executable()
	if err != nil {
		return project.Source{}, err
	}
	if clone := project.CloneOf(program); clone != "" {
		return project.Source{Clone: clone}, nil
	}
	if version := app.Version(); releaseForm.MatchString(version) {
		return project.Source{Version: version}, nil
	}
	return project.Source{}, nil
}

// releaseForm is the version of a release, as against that of a commit.
var releaseForm = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)
