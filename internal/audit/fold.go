package audit

import (
	"net/netip"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/status"
)

// foldKey is what makes events equal. Of a limit that was hit the reason does not
// count: it says the seconds to wait. Neither does the origin, of which a stranger
// has as many as it likes.
type foldKey struct {
	kind Kind
	source
	conversation status.ConversationID
	subject      string
	limit        string
	reason       string
	code         int
	actor        string
	dryRun       bool
}

// source is whose events they are: the user's, from one network.
type source struct {
	user status.UserID
	place
}

// place is a network as limits count them: an IPv4 address, or the /64 of an IPv6
// address. What is no address stands for itself.
type place struct {
	network netip.Prefix
	text    string
}

func placeOf(address string) place {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return place{text: address}
	}
	return place{network: limit.Network(a)}
}

func keyOf(e Event) foldKey {
	k := foldKey{
		kind: e.Kind, source: source{user: e.User, place: placeOf(e.Address)},
		conversation: e.Conversation, subject: e.Subject, limit: e.Limit, reason: e.Reason,
		code: e.Code, actor: e.Actor, dryRun: e.DryRun,
	}
	if e.Limit != "" {
		k.reason = ""
	}
	return k
}

// payer is whose share a record is of: a user has one, wherever its connections come
// from, and so has the network of those who are not known.
func (k foldKey) payer() source {
	if k.user != "" {
		return source{user: k.user}
	}
	return k.source
}

// summed is the key of the record that counts what a payer's share has no room for.
func (k foldKey) summed() foldKey { return foldKey{kind: KindOverflow, source: k.payer()} }
