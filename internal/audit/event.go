package audit

import (
	"net/netip"
	"time"

	"github.com/statuswire/statuswire/internal/noise"
	"github.com/statuswire/statuswire/status"
)

// Kind is what happened. It is the last token of the subject, audit.<kind> or
// audit.admin.<kind>. Its values are stable.
type Kind string

// The kinds of the stream AUDIT.
const (
	KindDenied   Kind = "denied"   // a login was denied
	KindRefused  Kind = "refused"  // a subscription, a publish or a request outside of the grant
	KindLimited  Kind = "limited"  // a limit was hit
	KindSlow     Kind = "slow"     // a connection was closed because it read too slowly
	KindClosed   Kind = "closed"   // a connection was closed because it broke a protocol
	KindOverflow Kind = "overflow" // events that are told only by their number; made by the Recorder
	KindOther    Kind = "other"    // a kind that is none of these
)

// The kinds of the stream AUDIT_ADMIN: acts of administrators, what follows from them,
// and what becomes of the disk. Each is a record of its own.
const (
	KindConversationCreated Kind = "conversation_created"
	KindConversationChanged Kind = "conversation_changed" // by an import
	KindConversationDeleted Kind = "conversation_deleted"
	KindMemberAdded         Kind = "member_added"
	KindMemberRemoved       Kind = "member_removed"
	KindCategoryAdded       Kind = "category_added"
	KindCategoryRetired     Kind = "category_retired"
	KindSessionsEnded       Kind = "sessions_ended" // all of a user
	KindKeyCreated          Kind = "key_created"
	KindKeyEnded            Kind = "key_ended"
	KindKicked              Kind = "kicked"  // one of them
	KindRevoked             Kind = "revoked" // access was lost, subscriptions of a connection ended
	KindStorage             Kind = "storage" // a stream failed, or is well again
)

// Kinds lists those of the stream AUDIT.
func Kinds() []Kind {
	return []Kind{KindDenied, KindRefused, KindLimited, KindSlow, KindClosed, KindOverflow, KindOther}
}

// AdminKinds lists those of the stream AUDIT_ADMIN.
func AdminKinds() []Kind {
	return []Kind{
		KindConversationCreated, KindConversationChanged, KindConversationDeleted,
		KindMemberAdded, KindMemberRemoved, KindCategoryAdded, KindCategoryRetired,
		KindSessionsEnded, KindKeyCreated, KindKeyEnded, KindKicked, KindRevoked, KindStorage,
	}
}

// known says whether the kind is one, and whether it is an act.
func (k Kind) known() (is, act bool) {
	switch k {
	case KindDenied, KindRefused, KindLimited, KindSlow, KindClosed, KindOverflow, KindOther:
		return true, false
	case KindConversationCreated, KindConversationChanged, KindConversationDeleted,
		KindMemberAdded, KindMemberRemoved, KindCategoryAdded, KindCategoryRetired,
		KindSessionsEnded, KindKeyCreated, KindKeyEnded, KindKicked, KindRevoked, KindStorage:
		return true, true
	}
	return false, false
}

// isAct is true for what has a stream of its own.
func (k Kind) isAct() bool {
	_, act := k.known()
	return act
}

// subject is where records of the kind go.
func (k Kind) subject() string {
	if k.isAct() {
		return "audit.admin." + string(k)
	}
	return "audit." + string(k)
}

// Event is one thing that happened. What does not apply stays empty. There is no
// field for a token and none may be put into another; what looks like a JWT or an
// nkey seed all the same, a browser can name its subject so, is taken out.
type Event struct {
	Time         time.Time // zero: now
	Kind         Kind
	User         status.UserID // who has logged in, or has shown a good token; never who only says so
	Address      string        // the browser's, without the port
	Conversation status.ConversationID
	Subject      string // of the subscription, the publish or the request
	Limit        string // name of the limit that was hit
	Origin       string // of the page that asked, where it was refused for that
	Reason       string // what the other side was told, or what the operator did
	Code         int    // close code, err_code or HTTP status
	Session      uint64 // the gateway's number of the connection
	Actor        string // who did it, if not the user: "operator"
	DryRun       bool   // the limit only counted, and let it pass
	Count        int    // how many events this is; zero: one
}

// Bounds of what a record keeps of its strings, in bytes.
const (
	maxNameBytes = status.MaxUserIDBytes // user, address, conversation, limit, actor, origin
	maxTextBytes = 512                   // subject, reason
)

// clean is the event with everything in bounds and no credential in it.
func (e Event) clean(now time.Time) Event {
	if is, _ := e.Kind.known(); !is {
		e.Kind = KindOther
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Count = max(e.Count, 1)
	e.User = status.UserID(noise.Text(string(e.User), maxNameBytes))
	e.Conversation = status.ConversationID(noise.Text(string(e.Conversation), maxNameBytes))
	e.Address = noise.Text(e.Address, maxNameBytes)
	e.Limit = noise.Text(e.Limit, maxNameBytes)
	e.Actor = noise.Text(e.Actor, maxNameBytes)
	e.Subject = noise.Text(e.Subject, maxTextBytes)
	e.Origin = noise.Text(e.Origin, maxNameBytes)
	e.Reason = noise.Text(e.Reason, maxTextBytes)
	return e
}

// AddressOf is the address as an Event has it; "" if it is not known.
func AddressOf(from netip.AddrPort) string {
	if !from.IsValid() {
		return ""
	}
	return from.Addr().String()
}
