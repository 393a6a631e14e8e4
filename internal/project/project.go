// Package project is a folder of a user's: its file orca.json, the language that it is written in, and the first
// processor that "orca init" puts there.
//
// It knows files and nothing of cores. The file has the fields that the SDKs read.
package project

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File is the name of the project file, which is looked for in the working directory.
const File = "orca.json"

// Project is what the project file says. Empty fields say nothing.
type Project struct {
	// Name is what the processors of the folder register under.
	Name string
	// Core is where the core is: host:port, grpc://host:port or grpcs://host:port.
	Core string
	// ProcessorPort is where processors listen, a number as text.
	ProcessorPort string
	// ProcessorAddress is where the core reaches them.
	ProcessorAddress string
}

// fields are the project file's, in its order.
func (p *Project) fields() []field {
	return []field{
		{"projectName", &p.Name, false},
		{"orcaConnectionString", &p.Core, false},
		{"processorPort", &p.ProcessorPort, true},
		{"processorConnectionString", &p.ProcessorAddress, false},
	}
}

type field struct {
	name   string
	value  *string
	number bool // it may be written as a number, and is
}

// Read reads the project file of a folder. Without one it returns the zero Project. Fields that it does not know are
// left alone: the file may serve other tools too.
func Read(dir string) (Project, error) {
	text, err := os.ReadFile(filepath.Join(dir, File))
	if errors.Is(err, fs.ErrNotExist) {
		return Project{}, nil
	}
	if err != nil {
		return Project{}, err
	}
	p, err := parse(text)
	if err != nil {
		return Project{}, fmt.Errorf("%s: %w; mend it, or write a new one with \"orca init --force\"", File, err)
	}
	return p, nil
}

func parse(text []byte) (Project, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return Project{}, explain(text, err)
	}
	var p Project
	for _, f := range p.fields() {
		value, ok := raw[f.name]
		if !ok || string(value) == "null" {
			continue
		}
		if err := f.read(value); err != nil {
			return Project{}, err
		}
	}
	return p, nil
}

func (f field) read(value json.RawMessage) error {
	if json.Unmarshal(value, f.value) == nil {
		return nil
	}
	var number json.Number
	if f.number && json.Unmarshal(value, &number) == nil {
		*f.value = number.String()
		return nil
	}
	want := "text"
	if f.number {
		want = "a number"
	}
	return fmt.Errorf("%s is %s: want %s", f.name, value, want)
}

// explain says where JSON is broken, as people count.
func explain(text []byte, err error) error {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		before := string(text[:min(int(syntax.Offset), len(text))])
		line := 1 + strings.Count(before, "\n")
		return fmt.Errorf("line %d is not JSON: %w", line, err)
	}
	return errors.New(`want a JSON object such as {"projectName": "racing"}`)
}

// text is the project file with what the project says.
func (p Project) text() string {
	var lines []string
	for _, f := range p.fields() {
		if *f.value == "" {
			continue
		}
		value := *f.value
		if !f.number {
			quoted, _ := json.Marshal(value) // text always can be
			value = string(quoted)
		}
		lines = append(lines, fmt.Sprintf("  %q: %s", f.name, value))
	}
	return "{\n" + strings.Join(lines, ",\n") + "\n}\n"
}
