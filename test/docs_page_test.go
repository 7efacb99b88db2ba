//go:build e2e

package test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// snippet is a fenced block of a page that has a mark, an HTML comment on the
// line before it:
//
//	<!-- file: watch.mjs -->         its text goes into a file of that name
//	<!-- run -->                     it is a shell script that succeeds
//	<!-- run, fails -->              … that fails; other words may follow as well
//	<!-- run in the background -->   … that goes on while the page does
//
// A block marked ```text that follows is what the script prints: each of its lines
// in that order, among others perhaps; … stands for anything.
//
//	<!-- printed in the background -->   what the last background script prints by then
type snippet struct {
	line int // of the fence in the page
	mark string
	text string
	want []string // lines, for what is run
}

var (
	markLine  = regexp.MustCompile(`^<!-- (.+) -->$`)
	fenceLine = regexp.MustCompile("^```([a-z]*)$")
)

// readSnippets returns the marked snippets of a page in their order. All marks
// must be known, so that a slip of the pen does not leave a snippet untested.
func readSnippets(t *testing.T, page string) []snippet {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []snippet
	lines := strings.Split(string(text), "\n")
	mark := ""
	last := "" // mark of the snippet that a text block may belong to
	for i := 0; i < len(lines); i++ {
		if m := markLine.FindStringSubmatch(lines[i]); m != nil {
			mark = m[1]
			if !strings.HasPrefix(mark, "run") && !strings.HasPrefix(mark, "file: ") && mark != "printed in the background" {
				t.Errorf("%s:%d: unknown mark %q", page, i+1, mark)
			}
			continue
		}
		fence := fenceLine.FindStringSubmatch(lines[i])
		if fence == nil {
			if strings.HasPrefix(lines[i], "#") {
				last = ""
			}
			continue
		}
		begin := i
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		body := lines[begin+1 : min(i, len(lines))]
		switch {
		case mark == "" && fence[1] == "text" && strings.HasPrefix(last, "run"):
			all[len(all)-1].want = body
			last = ""
		case mark == "printed in the background":
			all = append(all, snippet{line: begin + 1, mark: mark, want: body})
			last = ""
		case mark != "":
			all = append(all, snippet{line: begin + 1, mark: mark, text: strings.Join(body, "\n") + "\n"})
			last = mark
		default:
			last = ""
		}
		mark = ""
	}
	return all
}

// printed matches output that has the lines in their order.
func printed(lines []string) *regexp.Regexp {
	var parts []string
	for _, line := range lines {
		part := regexp.QuoteMeta(strings.TrimRight(line, " "))
		parts = append(parts, strings.ReplaceAll(part, "…", ".*"))
	}
	return regexp.MustCompile("(?s:.*?)" + strings.Join(parts, "(?s:.*?)"))
}
