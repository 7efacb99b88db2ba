package audit

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/statuswire/statuswire/status"
)

// Kind is what happened. It is the last token of the subject, audit.<kind>. Its
// values are stable.
type Kind string

// The kinds.
const (
	KindDenied   Kind = "denied"   // a login was denied
	KindRefused  Kind = "refused"  // a subscription, a publish or a request outside of the grant
	KindLimited  Kind = "limited"  // a limit was hit
	KindKicked   Kind = "kicked"   // an operator ended a session
	KindRevoked  Kind = "revoked"  // access was lost, subscriptions ended
	KindAdmin    Kind = "admin"    // an operator changed something
	KindSlow     Kind = "slow"     // a connection was closed because it read too slowly
	KindClosed   Kind = "closed"   // a connection was closed because it broke a protocol
	KindStorage  Kind = "storage"  // a stream failed, or is well again
	KindOverflow Kind = "overflow" // more different events than can be kept; made by the Recorder
	KindOther    Kind = "other"    // a kind that is none of these
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{
		KindDenied, KindRefused, KindLimited, KindKicked, KindRevoked,
		KindAdmin, KindSlow, KindClosed, KindStorage, KindOverflow, KindOther,
	}
}

func (k Kind) known() bool {
	switch k {
	case KindDenied, KindRefused, KindLimited, KindKicked, KindRevoked,
		KindAdmin, KindSlow, KindClosed, KindStorage, KindOverflow, KindOther:
		return true
	}
	return false
}

// Event is one thing that happened. What does not apply stays empty. There is no
// field for a token and none may be put into another; what looks like a JWT or an
// nkey seed all the same, a browser can name its subject so, is taken out.
type Event struct {
	Time         time.Time // zero: now
	Kind         Kind
	User         status.UserID
	Address      string // the browser's, without the port
	Conversation status.ConversationID
	Subject      string // of the subscription, the publish or the request
	Limit        string // name of the limit that was hit
	Reason       string // what the other side was told, or what the operator did
	Code         int    // close code, err_code or HTTP status
	Session      uint64 // the gateway's number of the connection
	Actor        string // who did it, if not the user: "operator"
	DryRun       bool   // the limit only counted, and let it pass
	Count        int    // how many events this is; zero: one
}

// Bounds of what a record keeps of its strings, in bytes.
const (
	maxNameBytes = status.MaxUserIDBytes // user, address, conversation, limit, actor
	maxTextBytes = 512                   // subject, reason
)

// clean is the event with everything in bounds and no credential in it.
func (e Event) clean(now time.Time) Event {
	if !e.Kind.known() {
		e.Kind = KindOther
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	e.Count = max(e.Count, 1)
	e.User = status.UserID(cleanString(string(e.User), maxNameBytes))
	e.Conversation = status.ConversationID(cleanString(string(e.Conversation), maxNameBytes))
	e.Address = cleanString(e.Address, maxNameBytes)
	e.Limit = cleanString(e.Limit, maxNameBytes)
	e.Actor = cleanString(e.Actor, maxNameBytes)
	e.Subject = cleanString(e.Subject, maxTextBytes)
	e.Reason = cleanString(e.Reason, maxTextBytes)
	return e
}

// credential finds JWTs, whole or cut, and nkey seeds. Its literal prefixes are
// in mayHoldCredential.
var credential = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*|S[ACNOUX][A-Z2-7]{40,}`)

const credentialMark = "[credential]"

func cleanString(s string, maxBytes int) string {
	if strings.Contains(s, "eyJ") || len(s) > 40 && strings.ContainsRune(s, 'S') {
		s = credential.ReplaceAllLiteralString(s, credentialMark)
	}
	if len(s) > maxBytes {
		cut := maxBytes
		for cut > maxBytes-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return s
}
