package stubs

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// versioned is the name and version of an algorithm or window type, both as the SDKs want them.
type versioned struct{ name, version string }

// identifiers names the algorithms of one processor, or all window types.
//
// A name of one version is spelt as the language does. One of several versions has the version in every identifier, so
// that no identifier changes its meaning when another version comes. Names that the spelling makes equal keep their own
// spelling, and words that the language keeps for itself get an underscore. No two identifiers are equal: the spelling
// of a version has underscores, which no name has.
func (d dialect) identifiers(ids []versioned) map[versioned]string {
	versions, spelt := map[string]int{}, map[string]string{}
	owners := map[string]int{}
	for _, id := range ids {
		versions[id.name]++
		if spelt[id.name] == "" {
			spelt[id.name] = d.spell(id.name)
			owners[spelt[id.name]]++
		}
	}
	names := make(map[versioned]string, len(ids))
	for _, id := range ids {
		name := spelt[id.name]
		if owners[name] > 1 {
			name = id.name
		}
		if versions[id.name] > 1 {
			name += d.versionPrefix + strings.ReplaceAll(id.version, ".", "_")
		}
		if d.words[name] {
			name += "_"
		}
		names[id] = name
	}
	return names
}

// maxModule keeps the names of files below what file systems take.
const maxModule = 100

// modules names the modules of processors, whose names are any text. Where several come out the same, the one whose
// own name it is keeps it, and the others get a few digits that their name alone decides, so that no processor that comes
// or goes renames the rest.
func (d dialect) modules(processors []Processor) []string {
	names, owners := make([]string, len(processors)), map[string]int{}
	for i, p := range processors {
		names[i] = d.module(p.Name)
		owners[names[i]]++
	}
	for i, p := range processors {
		if owners[names[i]] > 1 && names[i] != p.Name {
			names[i] += d.separator + digits(p.Name)
		}
	}
	return names
}

// module makes the name of a module of any text.
func (d dialect) module(text string) string {
	words := wordPattern.FindAllString(boundary.ReplaceAllString(text, "$1$3 $2$4"), -1)
	name := strings.ToLower(strings.Join(words, d.separator))
	switch {
	case name == "":
		return "processor" + d.separator + digits(text)
	case len(name) > maxModule:
		name = name[:maxModule] + d.separator + digits(text)
	}
	if name[0] >= '0' && name[0] <= '9' {
		name = "processor" + d.separator + name
	}
	if d.notModules[name] || d.words[name] || devices[name] {
		name += d.separator + "processor"
	}
	return name
}

var (
	wordPattern = regexp.MustCompile(`[a-zA-Z0-9]+`)
	// boundary is where a word begins inside of PascalCase: before a capital after a small letter, and before the last of
	// several capitals or digits.
	boundary = regexp.MustCompile(`([a-z])([A-Z])|([A-Z0-9])([A-Z][a-z])`)
)

// devices are no names of files on Windows.
var devices = set("aux con nul prn")

// digits tell texts apart.
func digits(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:3])
}

// snake spells PascalCase as Python does: LapSpeed is lap_speed, HTTPRate is http_rate.
func snake(name string) string {
	return strings.ToLower(boundary.ReplaceAllString(name, "${1}${3}_${2}${4}"))
}

// camel spells PascalCase as TypeScript does: LapSpeed is lapSpeed, HTTPRate is httpRate.
func camel(name string) string {
	capitals := 0
	for capitals < len(name) && name[capitals] >= 'A' && name[capitals] <= 'Z' {
		capitals++
	}
	if capitals > 1 && capitals < len(name) && name[capitals] >= 'a' {
		capitals--
	}
	return strings.ToLower(name[:capitals]) + name[capitals:]
}

// set makes a set of words.
func set(words ...string) map[string]bool {
	s := map[string]bool{}
	for _, text := range words {
		for _, w := range strings.Fields(text) {
			s[w] = true
		}
	}
	return s
}
