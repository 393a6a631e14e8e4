package project

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// templates are programs as they are, so that compilers check them where they lie. In their text my-project stands for
// the project's name.
//
//go:embed templates
var templates embed.FS

const (
	placeholder = "my-project"
	// DefaultCore and DefaultPort are where a core and a processor are unless somebody says otherwise.
	DefaultCore = "127.0.0.1:33670"
	DefaultPort = "5377"
)

// Plan is what Init is to do.
type Plan struct {
	Dir     string
	Project Project
	// Template is the language of a first processor; empty for none.
	Template Language
	// SDK is where the language's SDK comes from.
	SDK Source
	// Force writes over files that are there, those that manage dependencies excepted.
	Force bool
}

// Source is where an SDK comes from: a clone of Orca's repository, or a release where that is empty.
type Source struct {
	Clone   string // an absolute path
	Version string // of the release, such as v1.2.3; empty for the newest
}

// Written is what Init did.
type Written struct {
	Files []string
	// Kept are files that were there and were left as they are.
	Kept []string
	// Next are the commands that come next, each for a shell.
	Next []string
}

// ErrExists is that a file is there that Init would write over.
var ErrExists = errors.New("it is there already")

// file is one that Init writes.
type file struct {
	name, text string
	// manages dependencies: it is never written over, since it says more than Init knows.
	manages bool
}

// Init writes a project file, and a first processor if asked to. Either all is written that is not there, or nothing.
func Init(p Plan) (Written, error) {
	files, err := p.files()
	if err != nil {
		return Written{}, err
	}
	var w Written
	var todo []file
	for _, f := range files {
		_, err := os.Stat(filepath.Join(p.Dir, f.name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			todo = append(todo, f)
		case err != nil:
			return Written{}, err
		case f.manages || f.name == File && p.Template != "" && !p.Force:
			w.Kept = append(w.Kept, f.name)
		case !p.Force:
			return Written{}, fmt.Errorf("%s: %w, and nothing was written; --force writes over it", f.name, ErrExists)
		default:
			todo = append(todo, f)
		}
	}
	for _, f := range todo {
		path := filepath.Join(p.Dir, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return w, err
		}
		if err := os.WriteFile(path, []byte(f.text), 0o644); err != nil {
			return w, err
		}
		w.Files = append(w.Files, f.name)
	}
	w.Next = p.next(w.Kept)
	return w, nil
}

// files are all that there should be, the project file first.
func (p Plan) files() ([]file, error) {
	files := []file{{name: File, text: p.Project.text()}}
	if p.Template == "" {
		return files, nil
	}
	root := path.Join("templates", string(p.Template))
	err := fs.WalkDir(templates, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := templates.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, root+"/")
		files = append(files, file{
			name: filepath.FromSlash(name), text: strings.ReplaceAll(string(text), placeholder, p.Slug()), manages: name == "tsconfig.json",
		})
		return nil
	})
	return append(files, p.manifest()), err
}

// Slug is the project's name as every language takes it.
func (p Plan) Slug() string {
	slug := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(p.Project.Name), "-"), "-")
	if slug == "" {
		return placeholder
	}
	return slug
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// manifest is the file that names the SDK as a dependency.
func (p Plan) manifest() file {
	switch p.Template {
	case Go:
		text := "module " + p.Slug() + "\n\ngo 1.26.0\n"
		if p.SDK.Clone != "" {
			text += "\nrequire github.com/orca-telemetry/orca v0.0.0\n\nreplace github.com/orca-telemetry/orca => " + goPath(p.SDK.Clone) + "\n"
		}
		return file{name: "go.mod", text: text, manages: true}
	case Python:
		sdk := "orca-sdk"
		if p.SDK.Clone != "" {
			sdk += " @ file://" + path.Join(filepath.ToSlash(p.SDK.Clone), "sdk", "python")
		}
		return file{name: "pyproject.toml", manages: true, text: fmt.Sprintf(
			"[project]\nname = %q\nversion = \"0.1.0\"\nrequires-python = \">=3.10\"\ndependencies = [%q]\n", p.Slug(), sdk)}
	case TypeScript:
		sdk := ">=0.1.0"
		if p.SDK.Clone != "" {
			sdk = "file:" + path.Join(filepath.ToSlash(p.SDK.Clone), "sdk", "nodejs")
		}
		return file{name: "package.json", manages: true, text: fmt.Sprintf(`{
  "name": %q,
  "private": true,
  "type": "module",
  "scripts": {
    "start": "tsc && node dist/processor.js"
  },
  "dependencies": {
    "@orca-telemetry/sdk": %q
  },
  "devDependencies": {
    "@types/node": "^20.19.0",
    "typescript": ">=5.9.0"
  }
}
`, p.Slug(), sdk)}
	}
	panic(fmt.Sprintf("no template for %q", p.Template)) // Languages and templates are one list
}

// goPath quotes a path for go.mod where it has to be.
func goPath(text string) string {
	if strings.ContainsAny(text, " \"'`()[]{},") {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// next are the commands that lead to a first result.
func (p Plan) next(kept []string) []string {
	var get, run []string
	switch p.Template {
	case Go:
		get, run = p.getGo(slices.Contains(kept, "go.mod")), []string{"go run ."}
	case Python:
		sdk := "orca-sdk"
		if p.SDK.Clone != "" {
			sdk = filepath.Join(p.SDK.Clone, "sdk", "python")
		}
		get, run = []string{"python3 -m venv .venv", ".venv/bin/pip install " + sdk}, []string{".venv/bin/python processor.py"}
	case TypeScript:
		get, run = p.getTypeScript(slices.Contains(kept, "package.json"))
	default:
		return nil
	}
	all := append(get, "orca start")
	all = append(all, run...)
	return append(all, "orca emit --type Lap@1.0.0 --from -88s --to now --origin me --wait   # in another terminal")
}

func (p Plan) getGo(kept bool) []string {
	switch {
	case p.SDK.Clone == "":
		return []string{"go get github.com/orca-telemetry/orca/sdk/go" + at(p.SDK.Version)}
	case kept:
		const module = "github.com/orca-telemetry/orca"
		return []string{"go mod edit -require=" + module + "@v0.0.0 -replace=" + module + "=" + p.SDK.Clone, "go mod tidy"}
	}
	return []string{"go mod tidy"}
}

func (p Plan) getTypeScript(kept bool) (get, run []string) {
	sdk := "@orca-telemetry/sdk"
	if p.SDK.Clone != "" {
		get = []string{"make -C " + p.SDK.Clone + " sdk-nodejs"} // builds what is installed then
		sdk = filepath.Join(p.SDK.Clone, "sdk", "nodejs")
	}
	if kept {
		return append(get, "npm install "+sdk, "npm install --save-dev typescript @types/node"), []string{"npx tsc && node dist/processor.js"}
	}
	return append(get, "npm install"), []string{"npm start"}
}

// at asks for a version of a Go module.
func at(version string) string {
	if version == "" {
		return ""
	}
	return "@" + version
}
