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
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6} (.+)$`)
	code    = regexp.MustCompile("`[^`]*`")
	// What GitHub leaves out of a heading's anchor.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

// TestEveryRelativeLinkLeadsSomewhere holds for every Markdown file of the
// repository: the file that a link names is there, and so is its heading.
func TestEveryRelativeLinkLeadsSomewhere(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		for number, line := range prose(t, page) {
			for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(line, ""), -1) {
				if strings.Contains(m[1], ":") {
					continue // https: or mailto:
				}
				links++
				if fault := follow(t, page, m[1]); fault != "" {
					t.Errorf("%s:%d: link to %s: %s", page, number+1, m[1], fault)
				}
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found: is the pattern still right?", links)
	}
}

// pages are the Markdown files that git knows, or would if they were added.
func pages(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var list []string
	for name := range strings.FieldsSeq(string(out)) {
		list = append(list, filepath.Join("..", name))
	}
	return list
}

// prose is a page's lines; those of fenced blocks are empty.
func prose(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence || fenced {
			lines[i] = ""
		}
		fenced = fenced != fence
	}
	return lines
}

// follow says what is wrong with the link, or nothing.
func follow(t *testing.T, page, to string) string {
	t.Helper()
	file, anchor, _ := strings.Cut(to, "#")
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	info, err := os.Stat(target)
	if err != nil {
		return "there is no such file"
	}
	if anchor == "" || info.IsDir() {
		return ""
	}
	for _, line := range prose(t, target) {
		if m := heading.FindStringSubmatch(line); m != nil && anchorOf(m[1]) == anchor {
			return ""
		}
	}
	return "there is no such heading"
}

func anchorOf(title string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

var path = regexp.MustCompile("`([a-z][a-zA-Z0-9_./-]*/[a-zA-Z0-9_.-]+\\.(?:go|conf|md|ts|mjs))`")

// TestEveryFileThatIsNamedExists holds for what stands in backquotes and looks
// like a path of the repository.
func TestEveryFileThatIsNamedExists(t *testing.T) {
	named := 0
	for _, page := range pages(t) {
		for number, line := range prose(t, page) {
			for _, m := range path.FindAllStringSubmatch(line, -1) {
				named++
				if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
					t.Errorf("%s:%d: %s does not exist", page, number+1, m[1])
				}
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d files are named: is the pattern still right?", named)
	}
}
