package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/nats-io/nats-server/v2/conf"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/app"
)

// Names of the configuration files that are read from the working directory
// when no others are given.
const (
	DefaultFile     = "statuswire.conf"
	DefaultNATSFile = "nats.conf"
)

// Files names the configuration files. An empty name is the default file in the
// working directory if it exists, else what is built in.
type Files struct {
	Statuswire string
	NATS       string
}

// Load reads both files into options. The error holds every problem of
// statuswire.conf, each an *Error; nats.conf is checked by internal/engine.
func Load(f Files) (app.Options, error) {
	name, data, err := read(f.Statuswire, DefaultFile, statuswire.DefaultConfig)
	if err != nil {
		return app.Options{}, err
	}
	o, err := Parse(name, data)
	if err != nil {
		return app.Options{}, err
	}
	o.Engine.ConfigName, o.Engine.Config, err = readNATS(f)
	return o, err
}

func readNATS(f Files) (name string, data []byte, err error) {
	return read(f.NATS, DefaultNATSFile, statuswire.DefaultNATSConfig)
}

// read returns the text of a configuration file and the name to call it by.
func read(name, fallback string, builtIn func() []byte) (string, []byte, error) {
	given := name != ""
	if !given {
		name = fallback
	}
	data, err := os.ReadFile(name)
	switch {
	case err == nil:
		return name, data, nil
	case !given && errors.Is(err, fs.ErrNotExist):
		return "built-in " + fallback, builtIn(), nil
	}
	return "", nil, &Error{File: name, Text: fmt.Sprintf("the configuration file cannot be read: %v", pathCause(err))}
}

// Parse reads the text of a statuswire.conf; name is what errors call it and
// what the files that it includes or names are relative to. The fields that the
// text does not set stay zero, which every part takes for its default.
func Parse(name string, data []byte) (app.Options, error) {
	var o app.Options
	m, err := parseFile(name, data)
	if err != nil {
		return o, syntaxProblem(name, data, err)
	}
	p := newParser(&o)
	p.block("", m, place{file: name})
	p.together()
	if err := p.wrong.err(); err != nil {
		return app.Options{}, err
	}
	return o, nil
}

// parseFile has the parser read the file itself when it is there, since only
// then are included files relative to it.
func parseFile(name string, data []byte) (map[string]any, error) {
	if onDisk, err := os.ReadFile(name); err == nil && string(onDisk) == string(data) {
		return conf.ParseFileWithChecks(name)
	}
	return conf.ParseWithChecks(string(data))
}
