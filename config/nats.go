package config

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
)

// checkNATS has the engine read nats.conf, with keys of the moment. Its errors
// get advice and, where the parser knows no line, the line.
func checkNATS(o engine.Options, warnings *slog.Logger) error {
	var err error
	if o.Keys, err = passingKeys(); err != nil {
		return err
	}
	// The server looks for included files where it is started.
	found := look(o.ConfigName, ".", o.Config, dialect{folds: foldsNATS, marks: true})
	if len(found.fatal) > 0 {
		return found.fatal.err()
	}
	o.StoreDir = "." // only named here, never opened
	o.Logger = warnings
	_, err = engine.New(o)
	wrong := found.faults
	for _, e := range flatten(err) {
		var fault *engine.ConfigError
		if !errors.As(e, &fault) {
			return err
		}
		if isBadSyntax(fault.Text) {
			wrong = nil // what stands where is not known
		}
		at := place{fault.File, fault.Line}
		if at.line == 0 {
			at.line = lineIn(o.Config, fault.Text)
		}
		wrong.add(at, "%s", adviseNATS(fault.Text))
	}
	return wrong.err()
}

// foldsNATS is true for the names that are the server's and no variable, account,
// user or subject.
func foldsNATS(name string, depth int) bool {
	return depth == 0 && slices.Contains(strings.Fields(natsKeys), strings.ToLower(name))
}

// isBadSyntax is true for what the parser says that could not read all.
func isBadSyntax(text string) bool {
	return natsAdvice[0].text.MatchString(text) || strings.HasPrefix(text, "config is invalid") ||
		strings.HasPrefix(text, "error parsing include file ")
}

// passingKeys stand in for those of DIR/keys, which a check does not touch.
func passingKeys() (*keys.Set, error) {
	set := &keys.Set{}
	for _, k := range []struct {
		pair   *nkeys.KeyPair
		prefix nkeys.PrefixByte
	}{
		{&set.Service, nkeys.PrefixByteUser},
		{&set.Operator, nkeys.PrefixByteUser},
		{&set.System, nkeys.PrefixByteUser},
		{&set.Issuer, nkeys.PrefixByteAccount},
		{&set.XKey, nkeys.PrefixByteCurve},
	} {
		var err error
		if *k.pair, err = nkeys.CreatePair(k.prefix); err != nil {
			return nil, fmt.Errorf("no keys for the check of nats.conf: %w", err)
		}
	}
	return set, nil
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

var quotedWord = regexp.MustCompile(`'([^']+)'`)

// lineIn finds the line of the value that the parser quotes without a line.
func lineIn(source []byte, text string) int {
	if !strings.HasPrefix(text, "error parsing include file ") && !badNumber.MatchString(text) {
		return 0
	}
	m := quotedWord.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	return lineOf(source, m[1])
}

// natsAdvice is what to write instead, by the text of nats-server 2.15.2.
var natsAdvice = []struct {
	text   *regexp.Regexp
	advice string
}{
	{regexp.MustCompile(`^'(Expected|Unexpected|Floats|Invalid)(.*)'$`), "" /* see adviseNATS */},
	{regexp.MustCompile(`^error parsing include file '([^']*)', open .*: no such file or directory$`),
		`included file "$1" is not there: it is looked for in the folder where the server is started`},
	{regexp.MustCompile(`^(integer|float) '[^']*'`), "the $1 here"},
	{regexp.MustCompile(`invalid duration "[^"]*"$`), `$0: write one like "90s", "5m" or "24h"`},
	{regexp.MustCompile(`^could not parse port .*$`), `$0: write host:port, such as 127.0.0.1:4222`},
	{regexp.MustCompile(`is not a valid subject$`), "$0: it has tokens between single dots; * is any one token, > at the end is all that follow"},
	{regexp.MustCompile(`^interface conversion: interface \{\} is (\S+), not bool$`), "the value must be true or false"},
	{regexp.MustCompile(`^interface conversion: interface \{\} is (\S+), not int64$`), "the value must be a whole number"},
	{regexp.MustCompile(`^interface conversion: interface \{\} is (\S+), not string$`), "the value must be text: put it in quotes"},
	{regexp.MustCompile(`^interface conversion: .*$`), "the value is of the wrong kind: compare it with the nats.conf that Statuswire ships"},
	{regexp.MustCompile(`^Expected callout user to be a valid public account nkey, got .*$`), "the issuer must be $$ISSUER_KEY"},
	{regexp.MustCompile(`^Duplicate nkey "U[^"]*" detected$`), "a key stands here twice: each user needs one of its own"},
	{regexp.MustCompile(`^Not a valid public nkey for a user$`), "$0: write a variable such as $$SERVICE_KEY, or a public key that begins with U"},
	{regexp.MustCompile(`is a Reserved Account$`), "$0: choose another name"},
}

var unknownField = regexp.MustCompile(`^unknown field "([^"]*)"$`)

// adviseNATS adds to the server's text what to write instead.
func adviseNATS(text string) string {
	if m := unknownField.FindStringSubmatch(text); m != nil {
		return text + ": " + adviseNATSKey(m[1])
	}
	if natsAdvice[0].text.MatchString(text) {
		return badSyntax(strings.Trim(text, "'"))
	}
	for _, a := range natsAdvice[1:] {
		if a.text.MatchString(text) {
			return a.text.ReplaceAllString(text, a.advice)
		}
	}
	return text
}

var keyInNATSConf = regexp.MustCompile(`(?m)^[ #]*\{? *([a-z_]+)(?::| \{)`)

// adviseNATSKey says what to write in place of a key that nats-server does not know.
func adviseNATSKey(key string) string {
	for _, s := range settings() {
		if top, _, _ := strings.Cut(s.key, "."); top == strings.ToLower(key) {
			return "it is a setting of Statuswire and belongs in statuswire.conf"
		}
	}
	known := strings.Fields(natsKeys)
	for _, m := range keyInNATSConf.FindAllSubmatch(statuswire.DefaultNATSConfig(), -1) {
		known = append(known, string(m[1]))
	}
	if near := nearest(key, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "the NATS server has no such setting at this place"
}
