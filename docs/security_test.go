package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest   = regexp.MustCompile("`((?:Test|Fuzz)[A-Z]\\w*)`")
	definedTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
)

// TestEveryTestThatIsNamedExists holds for what a page has in backquotes and looks like
// the name of a test.
func TestEveryTestThatIsNamedExists(t *testing.T) {
	defined := definedTests(t)
	names := 0
	for _, page := range pages(t) {
		for number, line := range prose(t, page) {
			for _, m := range namedTest.FindAllStringSubmatch(line, -1) {
				names++
				if !defined[m[1]] {
					t.Errorf("%s:%d: there is no test %s", page, number+1, m[1])
				}
			}
		}
	}
	if names < 50 {
		t.Errorf("only %d names were found: is the pattern still right?", names)
	}
}

func definedTests(t *testing.T) map[string]bool {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*_test.go")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	defined := map[string]bool{}
	for name := range strings.FieldsSeq(string(out)) {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range definedTest.FindAllStringSubmatch(string(text), -1) {
			defined[m[1]] = true
		}
	}
	return defined
}

// TestEachClaimHasItsTest holds that no threat of the page on security and no claim of
// the one on the audit is without a test.
func TestEachClaimHasItsTest(t *testing.T) {
	for _, table := range []struct {
		page, from, to string
		rows           int
	}{
		{"security.md", "## Threat by threat", "## What does not hold", 30},
		{"audit.md", "## What shows it", "", 10},
	} {
		text, err := os.ReadFile(table.page)
		if err != nil {
			t.Fatal(err)
		}
		_, claims, _ := strings.Cut(string(text), table.from)
		if table.to != "" {
			claims, _, _ = strings.Cut(claims, table.to)
		}
		rows := 0
		for line := range strings.Lines(claims) {
			if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| threat ") || strings.HasPrefix(line, "| claim ") {
				continue
			}
			rows++
			if !namedTest.MatchString(line) {
				t.Errorf("%s: no test is named in: %s", table.page, line)
			}
		}
		if rows < table.rows {
			t.Errorf("%s: %d rows were found: is the page still what it was?", table.page, rows)
		}
	}
}
