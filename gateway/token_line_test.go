package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/statuswire/statuswire/gateway"
)

// openWithCookie upgrades with the token in the cookie "session".
func (r *rig) openWithCookie(token string) *browser {
	r.t.Helper()
	conn, in, _, err := ws.Dialer{Header: ws.HandshakeHeaderString("Cookie: session=" + token + "\r\n")}.Dial(r.t.Context(), r.url)
	must(r.t, err)
	if in == nil {
		in = bufio.NewReader(conn)
	}
	b := &browser{t: r.t, conn: conn, in: in, pong: true}
	r.t.Cleanup(func() { _ = conn.Close() })
	b.expect("INFO {")
	return b
}

// What fits the setting fits the link, however the link has to write it.
func TestATokenThatIsLetPassFitsTheLink(t *testing.T) {
	for _, most := range []int{512, 4096, gateway.MaxLineBytes} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			r := newRig(t, gateway.Options{MaxControlLineBytes: most, TokenCookie: "session"})
			// A name that JSON makes six times as long, beside the longest token.
			name := strings.Repeat("\x01", 3000)
			line := func(pad int) string {
				connect, err := json.Marshal(map[string]string{"auth_token": "alice/" + strings.Repeat("x", pad)})
				must(t, err)
				return "CONNECT " + string(connect)
			}
			exact := most - (len(line(0)) - len("CONNECT "))
			b := r.dial()
			b.send(line(exact), "PING")
			b.expect("PONG")
			b = r.dial()
			b.send(line(exact+1), "PING")
			want := fmt.Sprintf("-ERR 'Authorization Violation: token too long: CONNECT may have at most %d bytes with it'", most)
			if errs := b.expectClosed(1008); len(errs) != 1 || errs[0] != want {
				t.Errorf("got %q, want %q", errs, want)
			}

			b = r.openWithCookie("alice/" + strings.Repeat("x", most-len("alice/")))
			extra := map[string]any{}
			if most > 20_000 {
				extra["name"], extra["lang"], extra["version"] = name, name, name
			}
			b.connect(extra)
			b = r.openWithCookie("alice/" + strings.Repeat("x", most+1-len("alice/")))
			b.send("CONNECT {}", "PING")
			want = fmt.Sprintf("-ERR 'Authorization Violation: token too long: at most %d bytes are allowed'", most)
			if errs := b.expectClosed(1008); len(errs) != 1 || errs[0] != want {
				t.Errorf("got %q, want %q", errs, want)
			}

			// Quotes and backslashes have two bytes in JSON.
			for _, pad := range []string{`"`, `\`, "é"} {
				token := "alice/" + strings.Repeat(pad, (most-len("alice/"))/len(pad))
				if got := r.get("c1/history", bearer(token)).StatusCode; got == http.StatusUnauthorized || got >= 500 {
					t.Errorf("a token of %q: %d", pad, got)
				}
			}
			if got := r.get("c1/history", bearer("alice/"+strings.Repeat("x", most))).StatusCode; got != http.StatusUnauthorized {
				t.Errorf("a token above by the header: %d", got)
			}
		})
	}
}

func TestAFreshTokenMayBeLargerThanARequest(t *testing.T) {
	r := newRig(t, gateway.Options{MaxPayloadBytes: 100})
	b := r.login("alice")
	b.sub("_INBOX.>", "1")
	fresh := func(size int, want string) {
		t.Helper()
		token := "alice/" + strings.Repeat("x", size-len("alice/"))
		b.send(fmt.Sprintf("PUB gateway.token _INBOX.1 %d", size), token)
		if got := b.expectMsg("_INBOX.1 1 "); !strings.Contains(got, want) {
			t.Fatalf("%d bytes: got %s, want %s", size, got, want)
		}
	}
	fresh(101, `"expires"`)
	fresh(4096, `"expires"`)
	b.send("PUB gateway.subscriptions 101")
	if errs := b.expectClosed(1009); len(errs) != 1 || errs[0] != "-ERR 'Maximum Payload Violation: at most 100 bytes'" {
		t.Fatalf("got %q", errs)
	}
}

func TestAFreshTokenThatIsTooLongIsRefusedForGood(t *testing.T) {
	r := newRig(t, gateway.Options{})
	b := r.login("alice")
	b.sub("_INBOX.>", "1")
	for token, want := range map[string]string{
		strings.Repeat("x", 4097): `{"error":{"code":401,"description":"token too long: at most 4096 bytes are allowed"}}`,
		"alice/\x00":              `{"error":{"code":401,"description":"token malformed: it has control characters, or bytes that are not UTF-8"}}`,
		"alice/\xff":              `{"error":{"code":401,"description":"token malformed: it has control characters, or bytes that are not UTF-8"}}`,
	} {
		b.send(fmt.Sprintf("PUB gateway.token _INBOX.1 %d", len(token)), token)
		if got := b.expectMsg("_INBOX.1 1 "); !strings.HasSuffix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	b.send("PING")
	b.expect("PONG")
	if got := r.callout.count(); got != 1 {
		t.Errorf("%d callouts", got)
	}
}
