package status_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/status"
)

func TestDocsListEveryWireError(t *testing.T) {
	page, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| 2") {
			documented = append(documented, strings.TrimSpace(line))
		}
	}
	var table []string
	for _, e := range status.Errors() {
		table = append(table, fmt.Sprintf("| %d | %d | %s | %s | %s |", e.Error.ErrCode, e.Error.Code, e.Name, e.Error.Description, e.Do))
	}
	if got, want := strings.Join(documented, "\n"), strings.Join(table, "\n"); got != want {
		t.Errorf("docs/errors.md differs from status.Errors().\ndocs:\n%s\n\ntable:\n%s", got, want)
	}
}

func TestWireErrorsHaveTheirOwnCodes(t *testing.T) {
	last := 19999
	names := map[string]bool{}
	for _, e := range status.Errors() {
		if e.Error.ErrCode <= last || e.Error.ErrCode > 65535 {
			t.Errorf("%s: err_code %d must be above %d and fit in 16 bits", e.Name, e.Error.ErrCode, last)
		}
		last = e.Error.ErrCode
		if names[e.Name] {
			t.Errorf("%s is there twice", e.Name)
		}
		names[e.Name] = true
		if e.Error.Description == "" || e.Do == "" {
			t.Errorf("%s: no description or nothing to do", e.Name)
		}
	}
}

func TestAnErrorFromTheWireIsItsSentinel(t *testing.T) {
	sent := status.ErrUnknownCategory.Withf("unknown category %q", "bad")
	var received struct{ Error *status.Error }
	if err := json.Unmarshal(sent.Response(), &received); err != nil {
		t.Fatal(err)
	}
	err := fmt.Errorf("publish: %w", received.Error)
	if !errors.Is(err, status.ErrUnknownCategory) {
		t.Errorf("%v is not ErrUnknownCategory", err)
	}
	if errors.Is(err, status.ErrUnknownConversation) {
		t.Errorf("%v is ErrUnknownConversation", err)
	}
	if want := `unknown category "bad" (err_code 20003)`; received.Error.Error() != want {
		t.Errorf("got %q, want %q", received.Error.Error(), want)
	}
	if status.ErrUnknownCategory.Description != "unknown category" {
		t.Error("Withf changed the sentinel")
	}
}

func TestQuoteCutsBetweenRunes(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"short stays", "abc", `"abc"`},
		{"control characters are escaped", "a\n\x00", `"a\n\x00"`},
		{"long is cut", strings.Repeat("x", 70), `"` + strings.Repeat("x", 64) + `"…`},
		{"no rune is cut in two", strings.Repeat("x", 63) + "éé", `"` + strings.Repeat("x", 63) + `"…`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := status.Quote(c.in); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
