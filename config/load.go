package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

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

// Load reads and checks both files. The error holds every problem of either,
// each an *Error. It needs no data folder and writes nothing. What is legal in
// nats.conf but hardly meant goes to warnings; nil discards it.
func Load(f Files, warnings *slog.Logger) (app.Options, error) {
	o, err := loadStatuswire(f.Statuswire)
	nats := o.Engine
	nats.NativeWebSocket = o.Engine.NativeWebSocket || err != nil // not known behind an error
	nats.ExternalCallout = o.ExternalCallout
	var natsErr error
	nats.ConfigName, nats.Config, natsErr = read(f.NATS, DefaultNATSFile, statuswire.DefaultNATSConfig)
	if natsErr == nil {
		natsErr = checkNATS(nats, warnings)
	}
	if err := errors.Join(err, natsErr); err != nil {
		return app.Options{}, err
	}
	o.Engine.ConfigName, o.Engine.Config = nats.ConfigName, nats.Config
	return o, nil
}

func loadStatuswire(name string) (app.Options, error) {
	name, data, err := read(name, DefaultFile, statuswire.DefaultConfig)
	if err != nil {
		return app.Options{}, err
	}
	return Parse(name, data)
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
	isOnDisk := isText(name, data)
	folder := "."
	if isOnDisk {
		folder = filepath.Dir(name)
	}
	found := look(name, folder, data, dialect{folds: func(string, int) bool { return true }})
	if len(found.fatal) > 0 {
		return o, found.fatal.err()
	}
	m, err := parseFile(name, data, isOnDisk)
	if err != nil {
		return o, syntaxProblem(name, data, err)
	}
	p := newParser(&o)
	p.wrong = found.faults
	p.block("", m, place{file: name})
	p.together()
	if err := p.wrong.err(); err != nil {
		return app.Options{}, err
	}
	return o, nil
}

// isText is true when the file is there and has this text.
func isText(name string, data []byte) bool {
	onDisk, err := os.ReadFile(name)
	return err == nil && bytes.Equal(onDisk, data)
}

// parseFile has the parser read the file itself when it is there, since only
// then are included files relative to it.
func parseFile(name string, data []byte, isOnDisk bool) (map[string]any, error) {
	if isOnDisk {
		return conf.ParseFileWithChecks(name)
	}
	return conf.ParseWithChecks(string(data))
}
