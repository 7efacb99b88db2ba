package limit

import (
	"errors"
	"fmt"
	"time"
)

// Periods of the limits that look back.
const (
	// ChangesPeriod is what SubscriptionChanges counts in: any 60 s.
	ChangesPeriod = time.Minute
	// GrantChangesPeriod is what GrantChanges counts in: any 60 s.
	GrantChangesPeriod = time.Minute
	// FailedLoginsPeriod is what FailedLogins counts in: any 60 s.
	FailedLoginsPeriod = time.Minute
)

// Unlimited, and every other negative value of a Rule, sets no limit. A grant
// may say so (-1 is how a user JWT spells it); a setting may not.
const Unlimited = -1

// Rule is one limit as it holds for somebody. It is taken at its word: 0 allows
// nothing.
type Rule struct {
	// Value is how many are allowed.
	Value int
	// DryRun counts and reports what would be refused, and lets it pass.
	DryRun bool
}

// check asks for wanted more when used are held. What wants nothing passes, even
// above the limit.
func (r Rule) check(name Name, used, wanted int) Verdict {
	if r.Value < 0 || wanted <= 0 || used+wanted <= r.Value {
		return Verdict{}
	}
	return Verdict{Name: name, Limit: r.Value, Used: used, Wanted: wanted, Dry: r.DryRun}
}

// MeterRules are the limits of one connection.
type MeterRules struct {
	Categories    Rule
	Subscriptions Rule
	Operations    Rule
}

// Options are the settings of all limits. A Value of 0 means the default that
// Settings names.
type Options struct {
	// MeterRules are the limits of a connection; its grant may say otherwise.
	MeterRules
	// Frames of a connection that bring no operation, a second: pings, pongs,
	// empty ones and pieces of messages.
	Frames Rule
	// SubscriptionChanges of a user in any 60 s; the grant may say otherwise.
	SubscriptionChanges Rule
	// GrantChanges of a user in any 60 s: login decisions beside the logins, for
	// conversations that a grant does not cover yet and for fresh tokens.
	GrantChanges Rule
	// ConnectionsPerUser and ConnectionsPerAddress are at once, on this node. An
	// IPv6 address counts with its /64.
	ConnectionsPerUser    Rule
	ConnectionsPerAddress Rule
	// FailedLogins of an address in any 60 s.
	FailedLogins Rule
	// UpgradesPerAddress of an address a second; as many may come at once.
	UpgradesPerAddress Rule
	// Upgrades of this node a second; as many may come at once.
	Upgrades Rule
	// Handshakes of this node at once: connections that have not logged in yet.
	Handshakes Rule
	// Connections of this node at once, whatever they do. 0 stays 0: whoever opens
	// the listener knows what the descriptors allow, which is the default.
	Connections Rule
}

// DefaultOptions returns the defaults, nothing in dry-run.
func DefaultOptions() Options { return Options{}.WithDefaults() }

// WithDefaults returns the options with every Value of 0 set to its default.
func (o Options) WithDefaults() Options {
	rules := o.rules()
	for i, s := range Settings() {
		if rules[i].Value == 0 {
			rules[i].Value = s.Default
		}
	}
	return o
}

// Validate reports every setting that is out of its range.
func (o Options) Validate() error {
	var errs []error
	rules := o.rules()
	for i, s := range Settings() {
		if v := rules[i].Value; v != 0 && (v < s.Min || v > s.Max) {
			errs = append(errs, fmt.Errorf("%s is %d: it must be between %d and %d", s.Name, v, s.Min, s.Max))
		}
	}
	return errors.Join(errs...)
}

// Rule points at the rule of the limit, for those who go through Settings; nil
// when there is no such limit.
func (o *Options) Rule(name Name) *Rule {
	rules := o.rules()
	for i, s := range Settings() {
		if s.Name == name {
			return rules[i]
		}
	}
	return nil
}

// rules points at the rules in the order of Settings.
func (o *Options) rules() []*Rule {
	return []*Rule{
		&o.Categories,
		&o.Subscriptions,
		&o.Operations,
		&o.Frames,
		&o.SubscriptionChanges,
		&o.GrantChanges,
		&o.ConnectionsPerUser,
		&o.ConnectionsPerAddress,
		&o.FailedLogins,
		&o.UpgradesPerAddress,
		&o.Upgrades,
		&o.Handshakes,
		&o.Connections,
	}
}
