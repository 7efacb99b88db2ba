package status

import (
	"fmt"
	"strings"
)

// First tokens of the subjects; each names the package that answers it.
const (
	subjectRoot  = "status"
	submitRoot   = "submit"
	ingestRoot   = "ingest"
	edgeRoot     = "edge"
	presenceRoot = "presence"
)

// Wildcards over all conversations, for the parts that serve every one.
const (
	AllSubjects       = subjectRoot + ".*.*"
	AllSubmitSubjects = submitRoot + ".*.*"
	AllIngestSubjects = ingestRoot + ".*.*"
)

// Subject is where a status is published and delivered: status.<c>.<cat>.
func Subject(c ConversationID, cat Category) string {
	return subjectRoot + "." + string(c) + "." + string(cat)
}

// ConversationSubjects is every status of one conversation: status.<c>.*.
func ConversationSubjects(c ConversationID) string {
	return subjectRoot + "." + string(c) + ".*"
}

// IngestSubject is where the broadcaster stores a validated status: ingest.<c>.<cat>.
func IngestSubject(c ConversationID, cat Category) string {
	return ingestRoot + "." + string(c) + "." + string(cat)
}

// PresenceSubject carries who joins and leaves: presence.<c>.
func PresenceSubject(c ConversationID) string {
	return presenceRoot + "." + string(c)
}

// EdgeSubject is a browser's request to the edge: edge.<c>.<verb>.
func EdgeSubject(c ConversationID, verb string) string {
	return edgeRoot + "." + string(c) + "." + verb
}

// AskedBy is a request's subject as the gateway forwards it, with the user who asks
// as the last token: edge.<c>.<verb>.<user token>. Only the gateway's own
// connection may publish it, so the edge can believe the user.
func AskedBy(subject string, u UserID) string { return subject + "." + u.Token() }

// ParseSubject takes status.<c>.<cat> apart. Wildcards are an error.
func ParseSubject(subject string) (ConversationID, Category, error) {
	return parsePair(subjectRoot, subject)
}

// ParseSubmitSubject takes submit.<c>.<cat> apart: a raw submission.
func ParseSubmitSubject(subject string) (ConversationID, Category, error) {
	return parsePair(submitRoot, subject)
}

func parsePair(root, subject string) (ConversationID, Category, error) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 3 || tokens[0] != root {
		return "", "", fmt.Errorf("subject %q is not %s.<conversation>.<category>", subject, root)
	}
	c, err := ParseConversationID(tokens[1])
	if err != nil {
		return "", "", err
	}
	cat, err := ParseCategory(tokens[2])
	if err != nil {
		return "", "", err
	}
	return c, cat, nil
}

// ConversationOf finds the one conversation that a subscription or a request
// reaches into: status.<c>.…, presence.<c> or edge.<c>.…. It is false for other
// subjects and when the conversation token is a wildcard or no valid id.
func ConversationOf(subject string) (ConversationID, bool) {
	root, rest, ok := strings.Cut(subject, ".")
	if !ok || (root != subjectRoot && root != presenceRoot && root != edgeRoot) {
		return "", false
	}
	token, _, _ := strings.Cut(rest, ".")
	c, err := ParseConversationID(token)
	return c, err == nil
}

// CarriesStatuses reports whether statuses can come on a subject that somebody
// subscribes to, a literal or a wildcard.
func CarriesStatuses(subject string) bool {
	root, _, _ := strings.Cut(subject, ".")
	return root == subjectRoot || root == "*" || root == ">"
}
