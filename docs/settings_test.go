package docs_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/conf"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/config"
)

// row is one line of the table of settings in operate.md:
//
//	| `limits.subscriptions` | `64` | 1 to 100000 | what it does |
var row = regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `([^`]*)` \\| ([^|]+) \\| ([^|]+) \\|$")

// TestOperatePageHasEverySetting holds the table against the shipped file, which
// config holds against what the program reads: the same keys in the same order,
// the same defaults, and the range that the program itself tells.
func TestOperatePageHasEverySetting(t *testing.T) {
	page, err := os.ReadFile("operate.md")
	if err != nil {
		t.Fatal(err)
	}
	shipped := settings(t)
	var documented, all []string
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		key, value, allowed := m[1], m[2], m[3]
		documented = append(documented, key)
		if want, ok := shipped.byKey[key]; ok && value != want {
			t.Errorf("operate.md: the default of %s is %s, not %s", key, want, value)
		}
		if want := allowedBy(key); want != "" && want != allowed {
			t.Errorf("operate.md: %s may be %q, not %q", key, want, allowed)
		}
	}
	all = shipped.keys
	if !slices.Equal(documented, all) {
		t.Errorf("operate.md has the settings\n%s\nstatuswire.conf has\n%s", strings.Join(documented, "\n"), strings.Join(all, "\n"))
	}
}

type shippedSettings struct {
	keys  []string
	byKey map[string]string // the value as the file has it
}

var (
	blockBegins = regexp.MustCompile(`^([a-z_]+) \{$`)
	value       = regexp.MustCompile(`^ *([a-z_]+): (.+)$`)
)

// settings reads the shipped file line by line: its order is the table's.
func settings(t *testing.T) shippedSettings {
	t.Helper()
	if _, err := conf.Parse(string(statuswire.DefaultConfig())); err != nil {
		t.Fatal(err)
	}
	s := shippedSettings{byKey: map[string]string{}}
	block := ""
	for line := range strings.Lines(string(statuswire.DefaultConfig())) {
		line = strings.TrimRight(line, "\n")
		if m := blockBegins.FindStringSubmatch(line); m != nil {
			block = m[1] + "."
		} else if line == "}" {
			block = ""
		} else if m := value.FindStringSubmatch(line); m != nil {
			s.keys = append(s.keys, block+m[1])
			s.byKey[block+m[1]] = m[2]
		}
	}
	return s
}

var mustBe = regexp.MustCompile(`it must be (\S+ to \S+|true or false|close or keep)$`)

// allowedBy is what the program says a setting must be, "" when it says no range.
func allowedBy(key string) string {
	text := fmt.Sprintf("%s: -1", key)
	if block, name, ok := strings.Cut(key, "."); ok {
		text = fmt.Sprintf("%s { %s: -1 }", block, name)
	}
	_, err := config.Parse("test.conf", []byte(text))
	if err == nil {
		return ""
	}
	if m := mustBe.FindStringSubmatch(err.Error()); m != nil {
		return m[1]
	}
	return ""
}
