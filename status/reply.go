package status

import "strings"

// First tokens of the subjects that answers may go to. Nobody's answer goes
// anywhere else: JetStream and services answer to whatever reply subject the asker
// names, and on ingest.…, marks.… or $JS.API.… an answer would pass for a status,
// a mark or an order.
const (
	// ReplyDefault is what a NATS client takes unless told otherwise; services do.
	ReplyDefault = "_INBOX"
	// ReplyKey is that of named keys, each with a second token of its own: a key
	// called indexer hears _INBOX_key.indexer.>
	ReplyKey = "_INBOX_key"
	// ReplyGateway is the gateway's own.
	ReplyGateway = "_INBOX_gateway"
	// ReplyUser is that of browsers on the server's own WebSocket listener,
	// each user with a second token of their own. Behind the gateway no browser
	// has an inbox on the server.
	ReplyUser = "_INBOX_user"
	// ReplyImport is made by the server for who asks through a service import
	// from another account, as operators do. No client may name it.
	ReplyImport = "_R_"
)

// Inboxes of keys that ask from account OPS: what the answers to ReplyImport come
// to in the end.
const (
	InboxOperator = "_INBOX_operator"
	InboxSystem   = "_INBOX_system"
)

// CanReply reports whether an answer may go to the reply subject: it is a literal
// subject of at least two tokens, and begins with one of the roots. Each part that
// answers says which those are; it does not allocate.
func CanReply(reply string, roots ...string) bool {
	root, rest, ok := strings.Cut(reply, ".")
	if !ok || !isOneOf(root, roots) {
		return false
	}
	for {
		token, more, ok := strings.Cut(rest, ".")
		if token == "" || token == "*" || token == ">" || strings.ContainsAny(token, " \t\r\n") {
			return false
		}
		if !ok {
			return true
		}
		rest = more
	}
}

func isOneOf(root string, roots []string) bool {
	for _, r := range roots {
		if root == r {
			return true
		}
	}
	return false
}
