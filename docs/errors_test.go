package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// verb is a place in a text that varies.
var verb = regexp.MustCompile(`%[a-z]`)

// TestErrorsPageHasEveryTextOfTheGateway looks for the texts that a browser can be
// told, those of three or more words, in the files that hold them all.
func TestErrorsPageHasEveryTextOfTheGateway(t *testing.T) {
	page, err := os.ReadFile("errors.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../internal/refusal/closing.go", "../internal/refusal/upgrade.go", "../internal/refusal/reasons.go", "../internal/identity/errors.go"} {
		texts := literals(t, file)
		if len(texts) < 10 {
			t.Errorf("%s has only %d texts: is it still the place?", file, len(texts))
		}
		for _, text := range texts {
			if !has(string(page), text) {
				t.Errorf("errors.md does not have %q of %s", text, file)
			}
		}
	}
}

// has looks for the pieces of the text around its verbs.
func has(page, text string) bool {
	var pieces []string
	for _, piece := range verb.Split(text, -1) {
		pieces = append(pieces, regexp.QuoteMeta(strings.TrimSpace(piece)))
	}
	return regexp.MustCompile(strings.Join(pieces, `[^|\n]*`)).MatchString(page)
}

func literals(t *testing.T, file string) []string {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			text, err := strconv.Unquote(n.Value)
			if err == nil && n.Kind == token.STRING && strings.Count(strings.TrimSpace(text), " ") > 1 {
				texts = append(texts, strings.TrimSpace(text))
			}
		}
		return true
	})
	return texts
}
