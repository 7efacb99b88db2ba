package engine

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// parseConfig turns the text of nats.conf into checked server options.
func parseConfig(opts Options, vars map[string]string) (*server.Options, error) {
	o, _, err := parseWhole(opts, vars)
	return o, err
}

// parseWhole is parseConfig, and the file as it was read: the server keeps some of it to
// itself.
func parseWhole(opts Options, vars map[string]string) (*server.Options, map[string]any, error) {
	text := string(bytes.TrimPrefix(opts.Config, []byte("\ufeff")))
	raw, err := conf.ParseWithChecks(prelude(vars) + text)
	if err != nil {
		return nil, nil, syntaxError(opts.ConfigName, err, vars)
	}
	// To the server an unused variable is an unknown field.
	used := maps.Clone(vars)
	maps.DeleteFunc(used, func(name, _ string) bool { return !isUsed(raw[name]) })

	o := &server.Options{}
	if err := o.ProcessConfigString(prelude(used) + text); err != nil {
		if err := fieldErrors(opts, err); err != nil {
			return nil, nil, err
		}
	}
	if err := applyOptions(o, opts, vars); err != nil {
		return nil, nil, err
	}
	return o, raw, checkConfig(o, raw, opts, vars)
}

// variables are the public keys that nats.conf names, by variable.
func variables(opts Options, viewer nkeys.KeyPair, parts map[Part]nkeys.KeyPair) (map[string]string, error) {
	pairs := map[string]nkeys.KeyPair{
		"SERVICE_KEY":  opts.Keys.Service,
		"OPERATOR_KEY": opts.Keys.Operator,
		"SYSTEM_KEY":   opts.Keys.System,
		"ISSUER_KEY":   opts.Keys.Issuer,
		"SEAL_KEY":     opts.Keys.XKey,
		viewerVariable: viewer,
	}
	for p, kp := range parts {
		pairs[p.variable()] = kp
	}
	vars := map[string]string{}
	for name, kp := range pairs {
		public, err := kp.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("cannot use the key %s: %w", name, err)
		}
		vars[name] = public
	}
	return vars, nil
}

// prelude defines the variables without a line break, so that the numbers of the
// lines after it are those of the file.
func prelude(vars map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		fmt.Fprintf(&b, "%s: %q; ", name, vars[name])
	}
	return b.String()
}

func isUsed(token any) bool {
	t, ok := token.(interface{ IsUsedVariable() bool })
	return ok && t.IsUsedVariable()
}

// applyOptions sets what is the program's to say, not the file's.
func applyOptions(o *server.Options, opts Options, vars map[string]string) error {
	if opts.Listen != "" {
		host, port, err := splitListen(opts.Listen)
		if err != nil {
			return err
		}
		if port == 0 {
			port = server.RANDOM_PORT
		}
		o.Host, o.Port = host, port
	}
	if o.StoreDir == "" {
		o.StoreDir = opts.StoreDir
	}
	if o.StoreDir == "" {
		return errors.New("engine: the folder of the streams is missing")
	}
	if o.AuthCallout != nil && o.AuthCallout.XKey == "" && leavesProcess(o) {
		o.AuthCallout.XKey = vars["SEAL_KEY"]
	}
	if o.MaxControlLine == 0 {
		o.MaxControlLine = server.MAX_CONTROL_LINE_SIZE
	}
	o.MaxControlLine = max(o.MaxControlLine, int32(opts.LineBytes))
	if n := opts.MaxClients; n > 0 && (o.MaxConn <= 0 || o.MaxConn > n) {
		o.MaxConn = n
	}
	o.NoSigs = true // the program handles signals
	o.NoLog = true  // serverLog is set instead
	return nil
}

// leavesProcess reports whether a callout request can reach another server.
func leavesProcess(o *server.Options) bool {
	return o.Cluster.Port != 0 || o.LeafNode.Port != 0 || len(o.LeafNode.Remotes) > 0 || o.Gateway.Name != ""
}

// Forms in which the parser says where it was (nats-server 2.15.2, conf/parse.go).
var (
	onLine     = regexp.MustCompile(`\bon line (\d+)(?:: )?`)
	lineAndPos = regexp.MustCompile(`\(?([^\s(:]*):(\d+):(-?\d+)\)?`)
	unknownVar = regexp.MustCompile(`variable reference for '([^']*)' on line (\d+) can not be found`)
)

// syntaxError turns what the parser says into a ConfigError.
func syntaxError(file string, err error, vars map[string]string) error {
	text := err.Error()
	if m := unknownVar.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[2])
		known := "$" + strings.Join(slices.Sorted(maps.Keys(vars)), ", $")
		return &ConfigError{File: file, Line: line, Text: fmt.Sprintf("variable $%s is neither in the environment nor one of %s", m[1], known)}
	}
	if m := lineAndPos.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[2])
		return &ConfigError{File: cmp.Or(m[1], file), Line: line, Text: strings.TrimSpace(strings.Replace(text, m[0], "", 1))}
	}
	if m := onLine.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[1])
		return &ConfigError{File: file, Line: line, Text: strings.TrimPrefix(strings.Replace(text, m[0], "", 1), "Parse error ")}
	}
	return &ConfigError{File: file, Text: text}
}

// fieldErrors turns what the server says about single fields into ConfigErrors, in
// the order of their lines. Warnings are logged.
func fieldErrors(opts Options, err error) error {
	all, ok := err.(interface{ Errors() []error })
	if !ok {
		return syntaxError(opts.ConfigName, err, nil)
	}
	if w, ok := err.(interface{ Warnings() []error }); ok {
		for _, warning := range w.Warnings() {
			opts.Logger.Warn(fieldError(opts.ConfigName, warning).Error())
		}
	}
	var faults []*ConfigError
	for _, fault := range all.Errors() {
		faults = append(faults, fieldError(opts.ConfigName, fault))
	}
	return joinByLine(faults)
}

// fieldError takes the place ("file:line:column: ", the file empty for our text)
// off the text.
func fieldError(file string, err error) *ConfigError {
	text := err.Error()
	m := lineAndPos.FindStringSubmatchIndex(text)
	if m == nil || m[0] != 0 {
		return &ConfigError{File: file, Text: text}
	}
	line, _ := strconv.Atoi(text[m[4]:m[5]])
	return &ConfigError{
		File: cmp.Or(text[m[2]:m[3]], file),
		Line: line,
		Text: strings.TrimPrefix(text[m[1]:], ": "),
	}
}

func joinByLine(faults []*ConfigError) error {
	slices.SortStableFunc(faults, func(a, b *ConfigError) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	var errs []error
	for _, f := range faults {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}
