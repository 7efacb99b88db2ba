package status_test

import (
	"strings"
	"testing"

	"github.com/statuswire/statuswire/status"
)

func TestAnswersGoToTheRootsThatAreNamedAndNowhereElse(t *testing.T) {
	roots := []string{status.ReplyDefault, status.ReplyKey, status.ReplyImport}
	for reply, want := range map[string]bool{
		"_INBOX.abc":             true,
		"_INBOX.abc.1":           true,
		"_INBOX_key.indexer.abc": true,
		"_R_.abc":                true,

		"":                           false,
		"_INBOX":                     false,
		"_INBOX.":                    false,
		"_INBOX.a.":                  false,
		"_INBOX..a":                  false,
		"_INBOX.*":                   false,
		"_INBOX.>":                   false,
		"_INBOX.a.>":                 false,
		"_INBOX.a b":                 false,
		"_INBOX.a\r\nPUB x 0":        false,
		"_INBOXES.a":                 false,
		"_INBOX_keys.a":              false,
		"_INBOX_gateway.a":           false,
		"_INBOX_user.alice.a":        false,
		"_R_x.a":                     false,
		"x._INBOX.a":                 false,
		"marks.x":                    false,
		"audit.admin.kicked":         false,
		"$JS.API.STREAM.DELETE.X":    false,
		"$KV.directory.c1":           false,
		"directory.changed.c1":       false,
		"what.nobody.thought.of.yet": false,
	} {
		if got := status.CanReply(reply, roots...); got != want {
			t.Errorf("%q: %v, want %v", reply, got, want)
		}
	}
}

func FuzzAReplySubjectThatIsTakenIsALiteralOneBelowItsRoot(f *testing.F) {
	for _, seed := range []string{"_INBOX.a", "_R_.x.y", "_INBOX.>", "marks.x", ".", "_INBOX.a\nb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		if !status.CanReply(reply, status.ReplyDefault) {
			return
		}
		rest, ok := strings.CutPrefix(reply, "_INBOX.")
		if !ok {
			t.Fatalf("%q does not begin with the root", reply)
		}
		for token := range strings.SplitSeq(rest, ".") {
			if token == "" || token == "*" || token == ">" || strings.ContainsAny(token, " \t\r\n") {
				t.Fatalf("%q has the token %q", reply, token)
			}
		}
	})
}

func TestCheckingAReplySubjectAllocatesNothing(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		if !status.CanReply("_INBOX.abc.1", status.ReplyDefault, status.ReplyKey, status.ReplyImport) {
			t.Fatal("refused")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
