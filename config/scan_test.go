package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/conf"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/config"
)

// node is a block: what it has where, and the blocks inside of each value.
type node map[string]entry

type entry struct {
	line   int
	blocks []node
}

// scanned is the text as the scanner sees it. Of two keys it has the last, as the
// parser does.
type scanned struct {
	open []node
	last []string // the last key of each
	bad  bool     // the syntax is wrong
}

func (s *scanned) Key(name string, line int) {
	top := len(s.open) - 1
	s.last[top] = name
	s.open[top][name] = entry{line: line}
}

func (s *scanned) Include(string, int) {}

func (s *scanned) Broken(int, string) { s.bad = true }

func (s *scanned) Opened() {
	s.open, s.last = append(s.open, node{}), append(s.last, "")
}

func (s *scanned) Closed() {
	top := len(s.open) - 1
	inner := s.open[top]
	s.open, s.last = s.open[:top], s.last[:top]
	outer, key := s.open[top-1], s.last[top-1]
	e := outer[key]
	e.blocks = append(e.blocks, inner)
	outer[key] = e
}

// parsed is the text as the parser sees it.
func parsed(m map[string]any) node {
	n := node{}
	for name, raw := range m {
		t := raw.(interface {
			Line() int
			Value() any
		})
		n[name] = entry{line: t.Line(), blocks: blocksIn(t.Value())}
	}
	return n
}

func blocksIn(v any) (all []node) {
	switch v := v.(type) {
	case map[string]any:
		return []node{parsed(v)}
	case []any:
		for _, one := range v {
			if t, ok := one.(interface{ Value() any }); ok {
				one = t.Value()
			}
			all = append(all, blocksIn(one)...)
		}
	}
	return all
}

// FuzzScan holds that in whatever the parser of nats-server takes, the scanner finds
// the same keys at the same lines.
func FuzzScan(f *testing.F) {
	f.Add(string(statuswire.DefaultConfig()))
	f.Add(string(statuswire.DefaultNATSConfig()))
	files, _ := filepath.Glob("testdata/bad/*.conf")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for _, odd := range []string{
		"a: 1; b: 2, c = 3\nd {e: [1, 2, {f: 3}, [{g: 4}]], h: '}'}", "{\"a\": 1, \"b\": {\"c\": [\"d\"]}}\n", "a 1kb\nb 1.5\nc 1.2.3.4:5\nd 2006-01-02T15:04:05Z\ne -5\nf -5k",
		"a: \"\\\"}\\x41\"\nb: x\\ty", "a (\n} b: 1 )\n)\nc: 1", "a # b\n", "a: 1 # b: 2\n// c: 3\nd: 4 / e", "a {\n # }\n b: 1 // }\n}\nc: 5", "a: [1 # ]\n, 2 ]", "a\nb", "a = = 5",
		"a: on'b: off", "a {b: 5]\n}", "a: 5x]\nb: 1", "a: 1 }\nb: 2", "a:1\r\nb:2\r\n", "a { b { c { d: 1 } } }", "0 {0 }", ", 00", "0 ,}", "a: 1\n} \"", "a [ \"", "a: 1, \"", "a: {\nb:\n5 }", "{a: 1 {b: 2}\nc: 3}", "a {/ b: 1}", "a\u00a0b: 1", "'a b': 1\n\"c\nd\": 2",
	} {
		f.Add(odd)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") || strings.Contains(text, "\x00") {
			t.Skip("reads files, or is refused before")
		}
		m, err := conf.ParseWithChecks(text)
		s := &scanned{open: []node{{}}, last: []string{""}}
		config.Scan(text, s)
		if err != nil || s.bad { // what the parser makes of the latter is nonsense
			return
		}
		if want := parsed(m); !reflect.DeepEqual(s.open[0], want) {
			t.Errorf("%q\nscanned %+v\nparsed  %+v", text, s.open[0], want)
		}
	})
}
