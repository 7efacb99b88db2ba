//go:build e2e

package test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
)

// tokenOf signs a token of exactly so many bytes.
func tokenOf(t *testing.T, secret []byte, size int) string {
	t.Helper()
	part := func(head string, pad int) string {
		return base64.RawURLEncoding.EncodeToString([]byte(head + `"` + strings.Repeat("x", pad) + `"}`))
	}
	claims := fmt.Sprintf(`{"sub":"alice","exp":%d,"pad":`, time.Now().Add(time.Hour).Unix())
	for headPad := range 4 { // base64 has no text of 4n+1 letters
		for pad := max(0, size*3/4-300); ; pad++ {
			signed := part(`{"alg":"HS256","pad":`, headPad) + "." + part(claims, pad)
			token := signed + "." + strings.Repeat("s", 43)
			if len(token) > size {
				break
			}
			if len(token) < size {
				continue
			}
			signature, err := jwt.SigningMethodHS256.Sign(signed, secret)
			if err != nil {
				t.Fatal(err)
			}
			return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
		}
	}
	t.Fatalf("no token has %d bytes", size)
	return ""
}

// A token of more than 4,051 bytes got "try again" for ever, whatever
// limits.control_line said: the NATS server inside had a limit of its own.
func TestATokenMayBeAsLongAsTheControlLineByEveryWay(t *testing.T) {
	for _, size := range []int{4096, 16384, 65536} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := startStatuswire(t, "--config", writeConfig(t, fmt.Sprintf("cookie: sw\nlimits { control_line: %d }\n", size)))
			s.run(t, "conversation", "create", "c1", "--owner", "alice")
			secret, err := os.ReadFile(filepath.Join(s.DataDir, "keys", "token.secret"))
			if err != nil {
				t.Fatal(err)
			}
			secret = []byte(strings.TrimSpace(string(secret)))
			tooLong := fmt.Sprintf("token too long: at most %d bytes are allowed", size)

			// In CONNECT the line has some 200 bytes beside the token.
			connect := func(token string) error { return connects(t, s, nats.Token(token)) }
			wantLogin(t, "CONNECT, below", connect(tokenOf(t, secret, size-400)), "")
			wantLogin(t, "CONNECT, at", connect(tokenOf(t, secret, size)), fmt.Sprintf("token too long: CONNECT may have at most %d bytes with it", size))
			wantLogin(t, "CONNECT, above", connect(tokenOf(t, secret, size+1)), fmt.Sprintf("token too long: CONNECT may have at most %d bytes with it", size))

			byCookie := func(token string) error {
				return connects(t, s, nats.WebSocketConnectionHeaders(http.Header{"Cookie": {"sw=" + token}}))
			}
			byHeader := func(token string) error { return asksHistory(t, s, token) }
			byRequest := func(token string) error { return renews(t, s, tokenOf(t, secret, 300), token) }
			for name, try := range map[string]func(string) error{"cookie": byCookie, "header": byHeader, "gateway.token": byRequest} {
				wantLogin(t, name+", below", try(tokenOf(t, secret, size-1)), "")
				wantLogin(t, name+", at", try(tokenOf(t, secret, size)), "")
				if name == "gateway.token" && size == 65536 {
					continue // as large as any payload may be: the client itself refuses one byte more
				}
				wantLogin(t, name+", above", try(tokenOf(t, secret, size+1)), tooLong)
			}
		})
	}
}

// wantLogin holds that a login went well, or failed for good with the reason.
func wantLogin(t *testing.T, what string, err error, reason string) {
	t.Helper()
	if reason == "" && err != nil || reason != "" && (err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(reason))) {
		t.Errorf("%s: got %v, want %q", what, err, reason)
	}
}

// connects logs in by WebSocket, and joins.
func connects(t *testing.T, s *statuswire, option nats.Option) error {
	t.Helper()
	nc, err := nats.Connect(s.WS, option, nats.MaxReconnects(0), nats.Timeout(20*time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	_, err = nc.Request("edge.c1.join", nil, 20*time.Second)
	return err
}

// renews hands in a fresh token.
func renews(t *testing.T, s *statuswire, token, fresh string) error {
	t.Helper()
	nc, err := nats.Connect(s.WS, nats.Token(token), nats.MaxReconnects(0), nats.Timeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	m, err := nc.Request("gateway.token", []byte(fresh), 20*time.Second)
	if err != nil {
		return err
	}
	return answeredError(m.Data)
}

// asksHistory asks over HTTP with the token in the header.
func asksHistory(t *testing.T, s *statuswire, token string) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.HTTP+"/v1/conversations/c1/history", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return nil
	}
	if res.StatusCode != http.StatusUnauthorized {
		return errors.New(res.Status)
	}
	var body json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return err
	}
	return answeredError(body)
}

// answeredError is the error in an answer; nil for none.
func answeredError(body []byte) error {
	var answer struct {
		Error *struct {
			Code        int
			Description string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if answer.Error == nil {
		return nil
	}
	if answer.Error.Code != http.StatusUnauthorized {
		return fmt.Errorf("not final: %d %s", answer.Error.Code, answer.Error.Description)
	}
	return errors.New(answer.Error.Description)
}
