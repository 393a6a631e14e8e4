package orca

import (
	"fmt"
	"regexp"
	"unicode/utf8"
)

// The rules for names and versions. A core takes any non-empty text of up to maxNameBytes; the SDKs are stricter, so
// that names can become identifiers in every language.
var (
	namePattern    = regexp.MustCompile(`^[A-Z][a-zA-Z0-9]*$`)
	versionPattern = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`)
)

const (
	maxNameBytes        = 255
	maxDescriptionRunes = 1000
)

// checkName checks the name of an algorithm or a window type.
func checkName(what, name string) error {
	switch {
	case !namePattern.MatchString(name):
		return invalid("%s name %q: must be PascalCase, such as %q (letters and digits, beginning with A-Z)",
			what, name, "LapSpeed")
	case len(name) > maxNameBytes:
		return invalid("%s name %.20q…: %d bytes long, at most %d are allowed", what, name, len(name), maxNameBytes)
	}
	return nil
}

func checkVersion(what, version string) error {
	switch {
	case !versionPattern.MatchString(version):
		return invalid("%s version %q: must be plain semver, such as %q (three numbers, no prefix or suffix)",
			what, version, "1.0.0")
	case len(version) > maxNameBytes:
		return invalid("%s version %.20q…: %d bytes long, at most %d are allowed",
			what, version, len(version), maxNameBytes)
	}
	return nil
}

// checkText checks what is free text with a length: processor and field names.
func checkText(what, text string) error {
	switch {
	case text == "":
		return invalid("%s: must not be empty", what)
	case !utf8.ValidString(text):
		return invalid("%s %q: must be valid UTF-8", what, text)
	case len(text) > maxNameBytes:
		return invalid("%s %.20q…: %d bytes long, at most %d are allowed", what, text, len(text), maxNameBytes)
	}
	return nil
}

func checkDescription(what, text string) error {
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		return invalid("%s: the description must be valid UTF-8", what)
	case n > maxDescriptionRunes:
		return invalid("%s: the description has %d characters, at most %d are allowed", what, n, maxDescriptionRunes)
	}
	return nil
}

// AlgorithmID identifies an algorithm. It is comparable.
type AlgorithmID struct {
	Processor string
	Name      string
	Version   string
}

// String is for people: "Speed 1.0.0 of racing".
func (id AlgorithmID) String() string {
	return fmt.Sprintf("%s %s of %s", id.Name, id.Version, id.Processor)
}
