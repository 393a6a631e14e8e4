package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// maxHintNames bounds how many names are compared for one hint.
const maxHintNames = 1000

// notRegistered is the answer to a window type that nobody has announced, with what was probably meant.
func (s *Snapshot) notRegistered(id orca.WindowTypeID) error {
	return orca.Errorf(orca.NotFound, "window type %s %s is not registered; %s", orca.Shown(id.Name), orca.Shown(id.Version), s.hint(id))
}

func (s *Snapshot) hint(id orca.WindowTypeID) string {
	if len(s.windowTypes) == 0 {
		return "no window type is: start a processor whose algorithms are triggered by it"
	}
	versions := map[string][]string{}
	var names []string
	for _, t := range s.WindowTypes() {
		if versions[t.ID.Name] == nil {
			names = append(names, t.ID.Name)
		}
		versions[t.ID.Name] = append(versions[t.ID.Name], t.ID.Version)
	}
	known := func(name string) string { return name + " " + strings.Join(cut(versions[name]), ", ") }
	if versions[id.Name] != nil {
		return fmt.Sprintf("known versions of %s: %s", id.Name, strings.Join(cut(versions[id.Name]), ", "))
	}
	if near := nearest(id.Name, names); near != "" {
		return "did you mean " + known(near) + "?"
	}
	var all []string
	for _, name := range cut(names) {
		if versions[name] == nil { // what was cut off
			all = append(all, name)
			continue
		}
		all = append(all, known(name))
	}
	return "known are " + strings.Join(all, "; ")
}

// nearest returns the name that differs least, upper and lower case aside, when it could be a slip of the keyboard: at
// most a third of it.
func nearest(name string, names []string) string {
	if len(names) > maxHintNames {
		names = names[:maxHintNames]
	}
	best, least := "", len([]rune(name))/3+1
	for _, candidate := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate), least); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two strings, or limit when it is not smaller.
func distance(a, b string, limit int) int {
	from, to := []rune(a), []rune(b)
	if max(len(from)-len(to), len(to)-len(from)) >= limit {
		return limit
	}
	row := make([]int, len(to)+1) // row[j]: distance of what is read of from to to[:j]
	for j := range row {
		row[j] = j
	}
	for i, r := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, c := range to {
			replaced := diagonal
			if r != c {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
		if slices.Min(row) >= limit {
			return limit
		}
	}
	return min(row[len(to)], limit)
}
