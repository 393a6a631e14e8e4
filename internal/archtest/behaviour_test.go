package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// behaviour is where the pages lie that say what Orca does, rule by rule. Each rule ends with a paragraph of its own,
//
//	Shown by: `package.TestName`, `package.TestName/subtest`
//
// with the package's folder below internal/, or else below the root, and the subtest as `go test -run` takes it.
var behaviour = filepath.Join("..", "..", "docs", "reference", "behaviour")

const shownBy = "Shown by: "

var (
	ruleStart = regexp.MustCompile(`^(\d+)\. `)
	testName  = regexp.MustCompile("^`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)(/[^`]+)?`$")
)

// rule is one entry of a page's numbered list.
type rule struct {
	number int
	lines  []string
}

// Every rule of every page names tests, and each of them exists.
func TestBehaviourIsShown(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(behaviour, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := testIndex{}
	for _, path := range pages {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(path) == "README.md" {
			continue // says how to read the others
		}
		for _, problem := range checkPage(string(page), tests) {
			t.Errorf("%s: %s", filepath.Base(path), problem)
		}
	}
	if len(pages) < 2 {
		t.Errorf("only %d pages were looked at", len(pages))
	}
}

// checkPage returns what is wrong with the rules of a page.
func checkPage(page string, tests testIndex) (problems []string) {
	rules := rulesOf(page)
	if len(rules) == 0 {
		problems = append(problems, "it has no rules")
	}
	for i, r := range rules {
		problem := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("rule %d: ", r.number)+fmt.Sprintf(format, args...))
		}
		if r.number != i+1 {
			problem("it should have the number %d", i+1)
		}
		names, found := namesOf(r)
		if !found {
			problem("it has no paragraph %q at its end", shownBy)
		}
		for _, name := range names {
			if why := tests.lacks(name); why != "" {
				problem("%s: %s", name, why)
			}
		}
	}
	return problems
}

// rulesOf returns the entries of a page's numbered lists; a heading ends one.
func rulesOf(page string) (rules []rule) {
	in := false
	for line := range strings.Lines(page) {
		line = strings.TrimRight(line, "\n")
		if match := ruleStart.FindStringSubmatch(line); match != nil {
			number, _ := strconv.Atoi(match[1]) // digits
			rules = append(rules, rule{number: number})
			in = true
		} else if line != "" && !strings.HasPrefix(line, " ") {
			in = false
		}
		if in {
			last := &rules[len(rules)-1]
			last.lines = append(last.lines, strings.TrimSpace(line))
		}
	}
	return rules
}

// namesOf returns what a rule's last paragraph names, quotes included.
func namesOf(r rule) (names []string, found bool) {
	paragraphs := strings.Split(strings.TrimSpace(strings.Join(r.lines, "\n")), "\n\n")
	list, found := strings.CutPrefix(paragraphs[len(paragraphs)-1], shownBy)
	if !found || len(paragraphs) < 2 {
		return nil, false
	}
	return strings.Split(strings.Join(strings.Fields(list), " "), ", "), true
}

// testIndex knows the tests of the packages that were asked for, by folder.
type testIndex map[string]map[string]*test

// test is a test function with the words that its file, and the suites that the file uses, could name subtests with.
type test struct{ words map[string]bool }

// lacks returns what is wrong with a quoted name; empty when there is such a test.
func (x testIndex) lacks(name string) string {
	match := testName.FindStringSubmatch(name)
	if match == nil {
		return "this is not of the form `package.TestName` or `package.TestName/subtest`"
	}
	tests, err := x.of(match[1])
	if err != nil {
		return err.Error()
	}
	found := tests[match[2]]
	if found == nil {
		return "there is no such test"
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(match[3], "/"), "/") {
		if part != "" && !found.words[part] {
			return fmt.Sprintf("nothing in its file is called %q", part)
		}
	}
	return ""
}

// of returns the tests of a package by name.
func (x testIndex) of(folder string) (map[string]*test, error) {
	if tests, known := x[folder]; known {
		return tests, nil
	}
	var tests map[string]*test
	var err error
	for _, dir := range []string{internal + folder, folder} {
		if tests, err = testsIn(filepath.Join("..", "..", filepath.FromSlash(dir))); err != nil || len(tests) > 0 {
			break
		}
	}
	if err == nil && len(tests) == 0 {
		err = fmt.Errorf("there is no package %s with tests", folder)
	}
	if err != nil {
		return nil, err
	}
	x[folder] = tests
	return tests, nil
}

func testsIn(dir string) (map[string]*test, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}
	tests := map[string]*test{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return nil, err
		}
		words := wordsOf(file)
		if err := addSuites(words, file); err != nil {
			return nil, err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				tests[f.Name.Name] = &test{words: words}
			}
		}
	}
	return tests, nil
}

// wordsOf returns the strings of a file as package testing writes them in names.
func wordsOf(file *ast.File) map[string]bool {
	words := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil {
				words[strings.ReplaceAll(text, " ", "_")] = true
			}
		}
		return true
	})
	return words
}

// addSuites adds the words of the project's suites, packages named …test, that the file imports.
func addSuites(words map[string]bool, file *ast.File) error {
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		folder, ours := strings.CutPrefix(name, module)
		if !ours || !strings.HasSuffix(folder, "test") {
			continue
		}
		paths, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(folder), "*.go"))
		if err != nil {
			return err
		}
		for _, path := range paths {
			suite, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			for word := range wordsOf(suite) {
				words[word] = true
			}
		}
	}
	return nil
}

// The check of pages finds what it is there for.
func TestBehaviourThatIsNotShown(t *testing.T) {
	t.Parallel()
	const page = `# A page

1. It is shown.

   Shown by: ` + "`archtest.TestBehaviourIsShown`, `store/sqlite.TestStore/KeyExpires`,\n   `fleet.TestBackPressure`" + `
2. It names nothing.
3. It names what is not there.

   Shown by: ` + "`archtest.TestNobody`, `nobody.TestStore`, `store/sqlite.TestStore/NoSuchThing`, TestStore" + `

## A heading

5. It has a wrong number, and goes on after its list.

   Shown by: ` + "`archtest.TestImports`" + `

   More.
`
	want := []string{
		`rule 2: it has no paragraph "Shown by: " at its end`,
		"rule 3: `archtest.TestNobody`: there is no such test",
		"rule 3: `nobody.TestStore`: there is no package nobody with tests",
		"rule 3: `store/sqlite.TestStore/NoSuchThing`: nothing in its file is called \"NoSuchThing\"",
		"rule 3: TestStore: this is not of the form `package.TestName` or `package.TestName/subtest`",
		"rule 5: it should have the number 4",
		`rule 5: it has no paragraph "Shown by: " at its end`,
	}
	if diff := cmp.Diff(want, checkPage(page, testIndex{})); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"it has no rules"}, checkPage("# Empty\n", testIndex{})); diff != "" {
		t.Errorf("problems of an empty page (-want +got):\n%s", diff)
	}
}
