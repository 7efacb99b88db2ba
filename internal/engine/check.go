package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// maxMaxPending is the server's own default of max_pending, which is the most that
// one slow reader may hold in memory.
const maxMaxPending = server.MAX_PENDING_SIZE

// checker collects what the house relies on and nats.conf does not say.
type checker struct {
	opts   Options
	server *server.Options
	raw    map[string]any
	vars   map[string]string
	faults []*ConfigError
}

// checkConfig verifies that nats.conf says what our parts rely on. A file that
// starts a server may still leave a door open: a user without an allow list may do
// everything.
func checkConfig(o *server.Options, raw map[string]any, opts Options, vars map[string]string) error {
	c := &checker{opts: opts, server: o, raw: raw, vars: vars}
	c.checkServer()
	c.checkWebSocket()
	c.checkAccounts()
	c.checkCallout()
	for _, p := range Parts() {
		c.checkPart(p)
	}
	c.checkPatterns()
	c.warnOfDelegatedUsers()
	c.warnOfSharedGroups()
	c.warnOfOpenKeyFiles()
	return joinByLine(c.faults)
}

// fault records one, at the line of the deepest key of the path that is there.
func (c *checker) fault(path []string, format string, args ...any) {
	_, line := lookUp(c.raw, path...)
	c.faults = append(c.faults, &ConfigError{File: c.opts.ConfigName, Line: line, Text: fmt.Sprintf(format, args...)})
}

func at(path ...string) []string { return path }

func (c *checker) checkServer() {
	if !c.server.JetStream {
		c.fault(at("jetstream"), "jetstream is not enabled: add jetstream { sync_interval: 1s }")
	}
	if !c.server.ProxyProtocol {
		c.fault(at("proxy_protocol"), "proxy_protocol must be true: without it nobody sees the browsers' addresses")
	}
	if !c.server.NoFastProducerStall {
		c.fault(at("no_fast_producer_stall"), "no_fast_producer_stall must be true: otherwise a slow reader slows the publishers")
	}
	if p := c.server.MaxPending; p <= 0 || p > maxMaxPending {
		c.fault(at("max_pending"), "max_pending must be between 1 byte and 64MB, 8MB is good: it is what one slow reader may hold in memory")
	}
	if c.server.SystemAccount != AccountSystem {
		c.fault(at("system_account"), "system_account must be %s", AccountSystem)
	}
}

// checkWebSocket refuses a listener for browsers that nobody asked for.
func (c *checker) checkWebSocket() {
	if block, _ := lookUp(c.raw, "websocket"); block != nil && !c.opts.NativeWebSocket {
		c.fault(at("websocket"), "websocket opens the server's own listener for browsers: it knows only max_subscriptions, "+
			"none of the limits in statuswire.conf, gives no reason with a refusal and replays nothing after a reconnect; "+
			"remove the block, or set native_websocket: true in statuswire.conf if that is what you want")
	}
}

func (c *checker) checkAccounts() {
	for _, name := range []string{AccountStatus, AccountState, AccountOperators, AccountAuth, AccountSystem} {
		if !c.hasAccount(name) {
			c.fault(at("accounts"), "account %s is missing: take it over from the nats.conf that Statuswire ships", name)
		}
	}
	for _, name := range []string{AccountStatus, AccountState} {
		if enabled, _ := lookUp(c.raw, "accounts", name, "jetstream"); enabled == nil && c.hasAccount(name) {
			c.fault(at("accounts", name), "account %s needs jetstream: enabled", name)
		}
	}
	c.checkOperators()
	if !c.hasAccount(AccountStatus) {
		return
	}
	const from, to = "status.*.*", "submit.$1.$2"
	mapped, _ := lookUp(c.raw, "accounts", AccountStatus, "mappings", from)
	if mapped != to {
		c.fault(at("accounts", AccountStatus, "mappings", from), "account %s needs mappings: { %q: %q }, the way of a status to the broadcaster", AccountStatus, from, to)
	}
}

// checkOperators wants the keys of people where no answer of JetStream or of a part
// can be aimed, and nobody but our own parts where it could.
func (c *checker) checkOperators() {
	if enabled, _ := lookUp(c.raw, "accounts", AccountOperators, "jetstream"); enabled != nil {
		c.fault(at("accounts", AccountOperators, "jetstream"), "account %s must not have JetStream: it answers to whatever subject it is told, in the account of who asks", AccountOperators)
	}
	people := []string{"OPERATOR_KEY", viewerVariable, "SYSTEM_KEY"}
	for _, name := range people {
		if u := c.user(name); u != nil && u.Account != nil && u.Account.Name != AccountOperators {
			c.fault(at("accounts", u.Account.Name, "users"), "the user $%s must be in account %s, which asks the others by imports", name, AccountOperators)
		}
	}
	ours := map[string]bool{}
	for _, p := range Parts() {
		ours[c.vars[p.variable()]] = true
	}
	for _, name := range people {
		ours[c.vars[name]] = true
	}
	foreign := func(name string, a *server.Account) {
		if a != nil && (a.Name == AccountState || a.Name == AccountSystem) {
			c.fault(at("accounts", a.Name, "users"), "the user %s must not be in account %s, which holds what no client may touch: put it into %s or %s",
				name, a.Name, AccountStatus, AccountOperators)
		}
	}
	for _, u := range c.server.Users {
		foreign(u.Username, u.Account)
	}
	for _, u := range c.server.Nkeys {
		if !ours[u.Nkey] {
			foreign(u.Nkey, u.Account)
		}
	}
}

func (c *checker) hasAccount(name string) bool {
	return slices.ContainsFunc(c.server.Accounts, func(a *server.Account) bool { return a.Name == name })
}

func (c *checker) checkCallout() {
	ac := c.server.AuthCallout
	if ac == nil {
		c.fault(at("authorization"), "authorization { auth_callout { issuer: $ISSUER_KEY, account: %s, auth_users: […] } } is missing: it decides what browsers may do", AccountAuth)
		return
	}
	path := func(key string) []string { return at("authorization", "auth_callout", key) }
	if ac.Issuer != c.vars["ISSUER_KEY"] && !c.opts.ExternalCallout {
		c.fault(path("issuer"), "the issuer must be $ISSUER_KEY")
	}
	if ac.Account != AccountAuth {
		c.fault(path("account"), "the account of auth_callout must be %s", AccountAuth)
	}
	if c.opts.ExternalCallout {
		c.checkExternalCallout()
	}
	if ac.XKey != "" && ac.XKey != c.vars["SEAL_KEY"] {
		c.fault(path("xkey"), "the xkey must be $SEAL_KEY, or absent")
	}
	if c.user("SYSTEM_KEY") != nil {
		c.checkAuthUser("SYSTEM_KEY")
	}
}

// checkExternalCallout wants a service that answers, and that we hear the answers.
func (c *checker) checkExternalCallout() {
	if c.server.AuthCallout.XKey != "" {
		c.fault(at("authorization", "auth_callout", "xkey"), "with callout { external: true } the answers of the service must not be encrypted: "+
			"Statuswire reads the user JWTs in them; remove the xkey")
	}
	users := at("accounts", AccountAuth, "users")
	if u := c.user(PartCallout.variable()); u != nil && restricted(u.Permissions) && !slices.Contains(u.Permissions.Subscribe.Allow, CalloutAnswers) {
		c.fault(users, "with callout { external: true } the user $%s must be allowed to subscribe to %q: Statuswire reads the user JWTs in the answers of the service",
			PartCallout.variable(), CalloutAnswers)
	}
	if !slices.ContainsFunc(c.server.Nkeys, c.isExternalCallout) && !slices.ContainsFunc(c.server.Users, func(u *server.User) bool { return inAuth(u.Account) }) {
		c.fault(users, "with callout { external: true } account %s needs a user for the service that decides logins, and auth_users must name it", AccountAuth)
	}
}

// CalloutAnswers is where the server hears what a callout answers (nats-server 2.15.2).
const CalloutAnswers = "$SYS._INBOX.>"

func (c *checker) isExternalCallout(u *server.NkeyUser) bool {
	return inAuth(u.Account) && u.Nkey != c.vars[PartCallout.variable()]
}

func inAuth(a *server.Account) bool { return a != nil && a.Name == AccountAuth }

// checkAuthUser wants the variable among auth_users.
func (c *checker) checkAuthUser(name string) {
	if ac := c.server.AuthCallout; ac != nil && !slices.Contains(ac.AuthUsers, c.vars[name]) {
		c.fault(at("authorization", "auth_callout", "auth_users"), "auth_users must name $%s: the callout would be asked for it, and deny it", name)
	}
}

func (c *checker) checkPart(p Part) {
	account := p.account()
	if !c.hasAccount(account) {
		return // that is the fault
	}
	users := at("accounts", account, "users")
	u := c.user(p.variable())
	if u == nil {
		c.fault(users, "the user { nkey: $%s } is missing", p.variable())
		return
	}
	if u.Account == nil || u.Account.Name != account {
		c.fault(users, "the user $%s must be in account %s", p.variable(), account)
	}
	if !restricted(u.Permissions) {
		c.fault(users, "the user $%s needs an allow list for publish and for subscribe: without one it may do everything", p.variable())
	}
	c.checkAuthUser(p.variable())
}

func restricted(p *server.Permissions) bool {
	return p != nil && p.Publish != nil && p.Publish.Allow != nil && p.Subscribe != nil && p.Subscribe.Allow != nil
}

func (c *checker) user(variable string) *server.NkeyUser {
	for _, u := range c.server.Nkeys {
		if u.Nkey == c.vars[variable] {
			return u
		}
	}
	return nil
}

// warnOfDelegatedUsers names the users that somebody added to the accounts but not
// to auth_users. That is only right with a callout that knows them.
func (c *checker) warnOfDelegatedUsers() {
	if c.server.AuthCallout == nil {
		return
	}
	var names []string
	for _, u := range c.server.Users {
		names = append(names, u.Username)
	}
	known := map[string]bool{}
	for _, key := range c.vars {
		known[key] = true
	}
	for _, u := range c.server.Nkeys {
		if !known[u.Nkey] {
			names = append(names, u.Nkey)
		}
	}
	for _, name := range names {
		if !slices.Contains(c.server.AuthCallout.AuthUsers, name) {
			c.opts.Logger.Warn("a user of nats.conf is not in auth_users: the callout is asked for it, and denies it", "user", name)
		}
	}
}

// browsersGroup is the deny line that keeps a queue group of browsers theirs, below the
// root of what browsers hear.
func browsersGroup(root string) string { return root + ".> browsers.>" }

// warnOfSharedGroups names the users who may hear statuses or presence and take a part
// of what a queue group of browsers is to get.
func (c *checker) warnOfSharedGroups() {
	own := []string{c.vars[PartFanout.variable()], c.vars[PartPresence.variable()]}
	for _, u := range c.server.Nkeys {
		if slices.Contains(own, u.Nkey) {
			continue
		}
		var may server.SubjectPermission
		if u.Permissions != nil && u.Permissions.Subscribe != nil {
			may = *u.Permissions.Subscribe
		}
		for _, root := range []string{"status", "presence"} {
			hears := func(subject string) bool {
				first, _, _ := strings.Cut(subject, ".")
				return first == root || first == "*" || first == ">"
			}
			line := browsersGroup(root)
			if (may.Allow == nil || slices.ContainsFunc(may.Allow, hears)) && !slices.Contains(may.Deny, line) {
				c.opts.Logger.Warn("a user of nats.conf may take part in the queue groups of browsers: add to its subscribe permissions what to deny", "user", u.Nkey, "deny", line)
			}
		}
	}
}

// lookUp follows keys through the parsed file. It returns the value, nil when it is
// not there, and the line of the deepest key found, 0 when there is none.
func lookUp(raw map[string]any, path ...string) (value any, line int) {
	value = raw
	for _, key := range path {
		m, ok := value.(map[string]any)
		if !ok {
			return nil, line
		}
		next, ok := m[key]
		if !ok {
			return nil, line
		}
		if t, ok := next.(interface{ Line() int }); ok {
			line = t.Line()
		}
		if t, ok := next.(interface{ Value() any }); ok {
			next = t.Value()
		}
		value = next
	}
	return value, line
}
