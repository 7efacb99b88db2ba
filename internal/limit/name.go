package limit

// Name names a limit in settings, metrics, audit records and grants. The names
// are stable.
type Name string

// The limits that this package decides.
const (
	Categories            Name = "categories"              // (conversation, category) pairs of a connection
	Subscriptions         Name = "subscriptions"           // of any kind, of a connection
	Operations            Name = "operations"              // of a connection, a second
	Frames                Name = "frames"                  // of a connection that bring no operation, a second
	SubscriptionChanges   Name = "subscription_changes"    // SUB and UNSUB of a user, in any minute
	GrantChanges          Name = "grant_changes"           // login decisions that a user causes beside the logins, in any minute
	ConnectionsPerUser    Name = "connections_per_user"    // at once
	ConnectionsPerAddress Name = "connections_per_address" // at once
	FailedLogins          Name = "failed_logins"           // of an address, in any minute
	UpgradesPerAddress    Name = "upgrades_per_address"    // a second
	Upgrades              Name = "upgrades"                // of the node, a second
	Handshakes            Name = "handshakes"              // connections of the node that have not logged in, at once
	Connections           Name = "connections"             // HTTP connections of the node, whatever they do, at once
)

// Setting says what a limit may be set to.
type Setting struct {
	Name    Name
	Default int
	// Min and Max are the range that Options.Validate accepts.
	Min, Max int
}

// Settings lists every limit of this package, in the order of Options.
func Settings() []Setting {
	return []Setting{
		{Categories, 10, 1, 10_000},
		{Subscriptions, 64, 1, 100_000},
		{Operations, 100, 1, 100_000},
		{Frames, 50, 5, 100_000},
		{SubscriptionChanges, 30, 1, 10_000},
		{GrantChanges, 120, 1, 10_000},
		{ConnectionsPerUser, 20, 1, 100_000},
		{ConnectionsPerAddress, 200, 1, 1_000_000},
		{FailedLogins, 20, 1, 1_000},
		{UpgradesPerAddress, 200, 1, 1_000_000},
		{Upgrades, 2_000, 1, 1_000_000},
		{Handshakes, 4_096, 1, 1_000_000},
		{Connections, 0, 0, 1_000_000},
	}
}
