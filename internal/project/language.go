package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Language is one that there is an SDK for.
type Language string

// The languages.
const (
	Go         Language = "go"
	Python     Language = "python"
	TypeScript Language = "typescript"
)

// Languages are all of them, as users write them.
var Languages = []Language{Go, Python, TypeScript}

// ParseLanguage reads what a user wrote.
func ParseLanguage(text string) (Language, error) {
	if l := Language(text); slices.Contains(Languages, l) {
		return l, nil
	}
	return "", errors.New("want go, python or typescript")
}

// marks are the files that tell a folder's language.
var marks = []struct {
	file     string
	language Language
}{
	{"go.mod", Go},
	{"pyproject.toml", Python},
	{"package.json", TypeScript},
	{"tsconfig.json", TypeScript},
}

// ErrNoLanguage is that a folder does not tell its language, or tells several.
var ErrNoLanguage = errors.New("the language is not clear")

// FindLanguage tells the language of the project in a folder by its files.
func FindLanguage(dir string) (Language, error) {
	var found []string
	var languages []Language
	for _, m := range marks {
		_, err := os.Stat(filepath.Join(dir, m.file))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return "", err
		}
		found = append(found, m.file)
		if !slices.Contains(languages, m.language) {
			languages = append(languages, m.language)
		}
	}
	switch len(languages) {
	case 1:
		return languages[0], nil
	case 0:
		return "", fmt.Errorf("%w: there is no go.mod, pyproject.toml, package.json or tsconfig.json in %s", ErrNoLanguage, dir)
	}
	return "", fmt.Errorf("%w: %s has %s", ErrNoLanguage, dir, strings.Join(found, " and "))
}
