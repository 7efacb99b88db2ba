package audit_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/status"
)

var looksSecret = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}|S[ACNOUX][A-Z2-7]{40,}`)

// Whatever strangers put into their subjects, origins and reasons, a record is one
// JSON object in one line, bounded, printable, and without a credential.
func FuzzRecord(f *testing.F) {
	f.Add("status.c1.engine", "https://evil.example", "no", uint8(0))
	f.Add("a\nb\x00\xff\u202e", "\x1b[2J", `{"kind":"admin"}`, uint8(1))
	f.Add(strings.Repeat("ü", 5000), strings.Repeat("x", 5000), "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.c2ln", uint8(2))
	kinds := append(audit.Kinds(), audit.AdminKinds()...)
	f.Fuzz(func(t *testing.T, subject, origin, reason string, kind uint8) {
		text := audit.Encoded(audit.Event{
			Kind: kinds[int(kind)%len(kinds)], Subject: subject, Origin: origin, Reason: reason,
			User: status.UserID(reason), Address: origin, Conversation: status.ConversationID(subject), Limit: reason, Actor: origin,
		})
		var r audit.Record
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("%v: %q", err, text)
		}
		if strings.ContainsFunc(string(text), func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }) || !utf8.Valid(text) {
			t.Errorf("it cannot be printed: %q", text)
		}
		if looksSecret.Match(text) {
			t.Errorf("a credential: %q", text)
		}
		const grown = 3 // a byte that is no letter becomes a letter of three
		for _, s := range []string{r.Subject, r.Reason} {
			if len(s) > grown*512+3 {
				t.Errorf("%d bytes", len(s))
			}
		}
		for _, s := range []string{r.Origin, string(r.User), r.Address, string(r.Conversation), r.Limit, r.Actor} {
			if len(s) > grown*256+3 {
				t.Errorf("%d bytes", len(s))
			}
		}
	})
}
