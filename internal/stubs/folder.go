package stubs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Change is how one file of a folder differs from what it should be.
type Change struct {
	Path string
	// Kind is missing, stale or leftover: of a processor that is not there any more.
	Kind ChangeKind
	// Lines are those that differ, "- " before what is there and "+ " before what should be.
	Lines []string
}

// ChangeKind says in what way a file differs.
type ChangeKind string

// The kinds of changes.
const (
	Missing  ChangeKind = "missing"
	Stale    ChangeKind = "stale"
	Leftover ChangeKind = "leftover"
)

// ErrForeign is that a file stands in the way that was not made here.
var ErrForeign = errors.New("it was not made by orca sync")

// Compare returns what differs between a folder and its stubs, by path. Files of a user's own are none of its business,
// except where the stubs have one of the same name.
func Compare(dir string, s Stubs) ([]Change, error) {
	made, err := madeHere(dir, s.Extension)
	if err != nil {
		return nil, err
	}
	var changes []Change
	for _, f := range s.Files {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.Path)))
		_, ours := made[f.Path]
		delete(made, f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			changes = append(changes, Change{Path: f.Path, Kind: Missing})
		case err != nil:
			return nil, err
		case !ours && f.Optional:
		case !ours:
			return nil, fmt.Errorf("%s is in the way: %w", filepath.Join(dir, f.Path), ErrForeign)
		case unified(text) != f.Text:
			changes = append(changes, Change{f.Path, Stale, difference(unified(text), f.Text)})
		}
	}
	for path := range made {
		changes = append(changes, Change{Path: path, Kind: Leftover})
	}
	slices.SortFunc(changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return changes, nil
}

// Write makes the changes that Compare found.
func Write(dir string, s Stubs, changes []Change) error {
	texts := map[string]string{}
	for _, f := range s.Files {
		texts[f.Path] = f.Text
	}
	for _, c := range changes {
		path := filepath.Join(dir, filepath.FromSlash(c.Path))
		if c.Kind == Leftover {
			if err := os.Remove(path); err != nil {
				return err
			}
			_ = os.Remove(filepath.Dir(path)) // in Go the package's folder, if nothing else is in it
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(texts[c.Path]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// madeHere returns the files of one language in a folder, and in those in it, that carry the mark.
func madeHere(dir, extension string) (map[string]struct{}, error) {
	made := map[string]struct{}{}
	for _, pattern := range []string{"*" + extension, "*/*" + extension} {
		paths, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			carries, err := marked(filepath.Join(dir, filepath.FromSlash(p)))
			if err != nil {
				return nil, err
			}
			if carries {
				made[p] = struct{}{}
			}
		}
	}
	return made, nil
}

// markWithin is how far into a file the mark is looked for, in bytes.
const markWithin = 256

func marked(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, nil // what cannot be looked at, such as a broken link, was not made here
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, markWithin)
	n, err := f.Read(head)
	if err != nil && n == 0 {
		return false, nil // an empty file has no mark
	}
	return bytes.Contains(head[:n], []byte(mark)), nil
}

// unified undoes what checking out on Windows does to the ends of lines.
func unified(text []byte) string { return strings.ReplaceAll(string(text), "\r\n", "\n") }

// difference returns the lines that only one of two texts has.
func difference(is, want string) []string {
	gone, come := strings.Split(is, "\n"), strings.Split(want, "\n")
	counts := map[string]int{}
	for _, l := range come {
		counts[l]++
	}
	var lines []string
	for _, l := range gone {
		if counts[l] > 0 {
			counts[l]--
		} else {
			lines = append(lines, "- "+l)
		}
	}
	for _, l := range come {
		if counts[l] > 0 {
			counts[l]--
			lines = append(lines, "+ "+l)
		}
	}
	if lines == nil {
		lines = []string{"  the same lines in another order"}
	}
	return lines
}
