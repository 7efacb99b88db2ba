package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/gateway"
)

// place is where something stands in a configuration file.
type place struct {
	file string
	line int
}

// value is a value of NATS configuration syntax and its place. Its data is a
// string, int64, float64, bool, time.Time, map[string]any or []any; what the
// last two hold is to be unwrapped again.
type value struct {
	place
	data any
}

// String writes the value as one would write it in the file, shortened.
func (v value) String() string {
	switch d := v.data.(type) {
	case string:
		if len(d) > 80 {
			return strconv.Quote(d[:80]) + "…"
		}
		return strconv.Quote(d)
	case map[string]any:
		return "a block"
	case []any:
		return "a list"
	}
	return fmt.Sprint(v.data)
}

// unwrap takes a token of the parser apart. What is no token stands at outer.
func unwrap(v any, outer place) value {
	switch t := v.(type) {
	case value:
		return t
	case interface {
		Value() any
		Line() int
		SourceFile() string
	}:
		at := place{file: t.SourceFile(), line: t.Line()}
		if at.file == "" {
			at.file = outer.file
		}
		return value{place: at, data: t.Value()}
	}
	return value{place: outer, data: v}
}

// parser reads statuswire.conf by the table of settings.
type parser struct {
	options  *app.Options
	settings map[string]setting
	known    []string
	seen     map[string]value // the settings that the file has
	wrong    problems
}

func newParser(o *app.Options) *parser {
	p := &parser{options: o, settings: map[string]setting{}, seen: map[string]value{}}
	for _, s := range settings() {
		p.settings[s.key] = s
		p.known = append(p.known, s.key)
	}
	return p
}

// block reads the settings of one block; prefix is "" or the block's name and a dot.
func (p *parser) block(prefix string, m map[string]any, at place) {
	for name, raw := range m {
		key, v := prefix+strings.ToLower(name), unwrap(raw, at)
		s, known := p.settings[key]
		inner, isBlock := v.data.(map[string]any)
		switch {
		case known:
			p.set(s, v)
		case p.isBlock(key) && isBlock:
			p.block(key+".", inner, v.place)
		case p.isBlock(key):
			p.wrong.add(v.place, "%s is %v: it must be a block: %s { … }", key, v, key)
		case isVariable(raw): // defined here only to be used as $name elsewhere
		default:
			p.wrong.add(v.place, "unknown key %q: %s", key, adviseUnknown(key, p.known))
		}
	}
}

func (p *parser) isBlock(key string) bool {
	return slices.ContainsFunc(p.known, func(k string) bool { return strings.HasPrefix(k, key+".") })
}

func isVariable(raw any) bool {
	t, ok := raw.(interface{ IsUsedVariable() bool })
	return ok && t.IsUsedVariable()
}

func (p *parser) set(s setting, v value) {
	p.seen[s.key] = v
	err := s.kind.set(p.options, v)
	shown := v.String()
	if s.kind.show != nil {
		shown = s.kind.show(v)
	}
	switch e, elsewhere := asProblems(err); {
	case err == nil:
	case elsewhere:
		p.wrong = append(p.wrong, e...)
	case errors.Is(err, errWant):
		p.wrong.add(v.place, "%s is %s: it must be %s", s.key, shown, s.kind.want)
	default:
		p.wrong.add(v.place, "%s is %s: %v", s.key, shown, err)
	}
}

// asProblems is true for an error that problems.err made.
func asProblems(err error) (problems, bool) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil, false
	}
	var list problems
	for _, e := range joined.Unwrap() {
		var one *Error
		if errors.As(e, &one) {
			list = append(list, one)
		}
	}
	return list, len(list) > 0
}

// together checks what the settings must be to one another.
func (p *parser) together() {
	secret, file := p.seen["token.secret"], p.seen["token.secret_file"]
	if isSet(secret) && isSet(file) {
		p.wrong.add(file.place, "token.secret_file is set beside token.secret: remove one of them")
	}
	if p.options.ProxyProtocol && len(p.options.Gateway.TrustedProxies) == 0 {
		p.wrong.add(p.seen["proxy_protocol"].place, "proxy_protocol is true: trusted_proxies must say whose headers are believed")
	}
	for _, o := range p.options.Gateway.AllowedOrigins {
		if cookie := p.options.Gateway.TokenCookie; cookie != "" && (o == "*" || o == "null") {
			p.wrong.add(p.seen["allowed_origins"].place, "allowed_origins holds %q beside the cookie %q: every page on the web could log in with a visitor's cookie; name the origins, or read no cookie", o, cookie)
		}
	}
	g := gateway.DefaultOptions()
	queue := cmp.Or(p.options.Gateway.MaxQueueBytes, g.MaxQueueBytes)
	least := cmp.Or(p.options.Gateway.MaxPayloadBytes, g.MaxPayloadBytes) +
		cmp.Or(p.options.Gateway.MaxControlLineBytes, g.MaxControlLineBytes)
	if queue < least {
		at := cmp.Or(p.seen["limits.queue"].place, p.seen["limits.payload"].place, p.seen["limits.control_line"].place)
		p.wrong.add(at, "limits.queue is %s: it must be at least limits.payload and limits.control_line together, %s",
			sizeText(int64(queue)), sizeText(int64(least)))
	}
	drain := cmp.Or(p.options.DrainTimeout, app.DefaultDrainTimeout)
	if spread := cmp.Or(p.options.Gateway.CloseSpread, g.CloseSpread); spread > drain {
		at := cmp.Or(p.seen["shutdown.close_spread"].place, p.seen["shutdown.drain"].place)
		p.wrong.add(at, "shutdown.close_spread is %s: it must be within shutdown.drain, %s", durationText(spread), durationText(drain))
	}
}

func isSet(v value) bool { return v.data != nil && v.data != "" }
