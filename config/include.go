package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	utf "github.com/statuswire/statuswire/internal/text"
	"github.com/statuswire/statuswire/status"
)

// Bounds of what a configuration includes.
const (
	maxIncludeDepth = 16
	maxIncludes     = 500
)

// dialect is in what the two configuration files differ before they are parsed.
type dialect struct {
	folds func(name string, depth int) bool // a name is the same in capitals; the depth of a file's own is 0
	marks bool                              // the file may begin with a byte order mark; one that is included may not
}

// survey looks at a configuration, and at all that it includes, before the parser
// does.
type survey struct {
	dialect
	fatal  problems // what the parser must not be given
	faults problems // what the parser is silent about, if it takes the text
	way    []source // the files that are being read; the first is the configuration
	reads  int
}

// source is a file that is being read.
type source struct {
	name string
	info os.FileInfo // nil for one that is not on disk
	line int         // of the include that is being followed
}

// look surveys the text of a file. What it includes is looked for in folder.
func look(name, folder string, data []byte, d dialect) *survey {
	s := &survey{dialect: d}
	if d.marks {
		data = bytes.TrimPrefix(data, []byte("\ufeff"))
	}
	info, _ := os.Stat(name)
	s.file(source{name: name, info: info}, folder, data, &blocks{survey: s, keys: []map[string]place{{}}})
	return s
}

// file looks at one file, whose keys come into the block that is open.
func (s *survey) file(f source, folder string, data []byte, into *blocks) {
	if fault := utf.Check(data); fault != nil {
		s.fatal.add(place{f.name, fault.Line}, "%v: save the file as UTF-8", fault)
		return
	}
	if i := bytes.IndexByte(data, 0); i >= 0 { // the parser takes some for the end of the file
		s.fatal.add(place{f.name, 1 + bytes.Count(data[:i], []byte{'\n'})}, "a byte that is 0: save the file as UTF-8")
		return
	}
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		s.fatal.add(place{f.name, 1}, "the file begins with a byte order mark: save it as UTF-8 without one")
		return
	}
	s.way = append(s.way, f)
	outer := into.folder
	into.folder = folder
	scan(string(data), into)
	into.folder = outer
	s.way = s.way[:len(s.way)-1]
}

// current is the file that is being read.
func (s *survey) current() *source { return &s.way[len(s.way)-1] }

// follow looks at an included file. One that cannot be read the parser tells of.
func (s *survey) follow(path string, line int, folder string, into *blocks) {
	at := place{s.current().name, line}
	s.current().line = line
	name := filepath.Join(folder, path)
	info, err := os.Stat(name)
	if err != nil || info.IsDir() || len(s.fatal) > 0 {
		return
	}
	s.reads++
	switch {
	case s.isOpen(info):
		s.fatal.add(at, "included file %q includes itself: %s", path, s.chain())
		return
	case len(s.way) > maxIncludeDepth:
		s.fatal.add(at, "included file %q is too deep: at most %d files may include one another: %s", path, maxIncludeDepth, s.chain())
		return
	case s.reads > maxIncludes:
		s.fatal.add(at, "included file %q is one too many: at most %d may be included", path, maxIncludes)
		return
	case !info.Mode().IsRegular():
		s.fatal.add(at, "included file %q is no regular file", path)
		return
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return
	}
	s.file(source{name: name, info: info}, filepath.Dir(name), data, into)
}

// isOpen is true for a file that is being read, whatever it is called.
func (s *survey) isOpen(info os.FileInfo) bool {
	for _, f := range s.way {
		if f.info != nil && os.SameFile(f.info, info) {
			return true
		}
	}
	return false
}

// chain names the includes that lead to where we are.
func (s *survey) chain() string {
	var steps []string
	for _, f := range s.way {
		steps = append(steps, fmt.Sprintf("%s:%d", f.name, f.line))
	}
	return strings.Join(steps, " → ")
}

// blocks are the blocks that are open, as a visitor of the scanner.
type blocks struct {
	survey *survey
	folder string             // where the file at hand has its included files
	keys   []map[string]place // the names in each, and where they are
}

func (b *blocks) opened() { b.keys = append(b.keys, map[string]place{}) }
func (b *blocks) closed() { b.keys = b.keys[:len(b.keys)-1] }

func (b *blocks) include(path string, line int) {
	b.survey.follow(path, line, b.folder, b)
}

func (b *blocks) broken(line int, what string) {
	b.survey.faults.add(place{b.survey.current().name, line}, "bad syntax: %s; look for a missing quote, comma or brace here or above", what)
}

func (b *blocks) key(name string, line int) {
	at := place{b.survey.current().name, line}
	same := name
	depth := len(b.keys) - 1
	if b.survey.folds(name, depth) {
		same = strings.ToLower(name)
	}
	keys := b.keys[depth]
	first, there := keys[same]
	if !there {
		keys[same] = at
		return
	}
	where := fmt.Sprintf("in line %d", first.line)
	if first.file != at.file {
		where = fmt.Sprintf("at %s:%d", first.file, first.line)
	}
	b.survey.faults.add(at, "key %s is there already, %s, and only the last would count: leave one", status.Quote(name), where)
}
