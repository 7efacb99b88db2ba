//go:build e2e

package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestTokensThatAreRefusedSayWhyAndStayOutOfTheLog logs in to the built binary
// with one good token and each kind of bad one.
func TestTokensThatAreRefusedSayWhyAndStayOutOfTheLog(t *testing.T) {
	const secret = "a secret of more than thirty-two bytes, for this test alone"
	dir := t.TempDir()
	conf := filepath.Join(dir, "statuswire.conf")
	text := "token { secret: \"" + secret + "\", issuer: \"https://app.example\", audience: statuswire }\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStatuswireIn(t, dir, "--config", conf)

	now := time.Now()
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"sub": "alice", "iss": "https://app.example", "aud": "statuswire", "exp": now.Add(time.Hour).Unix()}
		change(c)
		return c
	}
	sign := func(method jwt.SigningMethod, key any, c jwt.MapClaims) string {
		token, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := sign(jwt.SigningMethodHS256, []byte(secret), claims(func(jwt.MapClaims) {}))
	openBrowser(t, s).logIn(t, good, nil)

	seen := []string{secret, good}
	for _, tt := range []struct {
		name, token, why string
	}{
		{"another issuer's key", sign(jwt.SigningMethodHS256, []byte("another secret of more than thirty-two bytes"), claims(func(jwt.MapClaims) {})), "signature"},
		{"another issuer", sign(jwt.SigningMethodHS256, []byte(secret), claims(func(c jwt.MapClaims) { c["iss"] = "https://evil.example" })), "issuer"},
		{"another audience", sign(jwt.SigningMethodHS256, []byte(secret), claims(func(c jwt.MapClaims) { c["aud"] = "another" })), "audience"},
		{"expired", sign(jwt.SigningMethodHS256, []byte(secret), claims(func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Hour).Unix() })), "expired"},
		{"not yet valid", sign(jwt.SigningMethodHS256, []byte(secret), claims(func(c jwt.MapClaims) { c["nbf"] = now.Add(time.Hour).Unix() })), "not yet valid"},
		{"alg none", sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(func(jwt.MapClaims) {})), "algorithm"},
		{"another algorithm", sign(jwt.SigningMethodHS512, []byte(secret), claims(func(jwt.MapClaims) {})), "algorithm"},
		{"no user", sign(jwt.SigningMethodHS256, []byte(secret), claims(func(c jwt.MapClaims) { delete(c, "sub") })), "sub"},
		{"no end", sign(jwt.SigningMethodHS256, []byte(secret), claims(func(c jwt.MapClaims) { delete(c, "exp") })), "exp"},
		{"no token at all", "not-a-token-but-a-secret-perhaps", "token"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := openBrowser(t, s)
			b.send(t, `CONNECT {"auth_token":"`+tt.token+`"}`+"\r\nPING\r\n")
			line := b.line(t)
			if !strings.HasPrefix(line, "-ERR 'Authorization Violation: ") || !strings.Contains(line, tt.why) {
				t.Fatalf("got %q, want an Authorization Violation that names the %s", line, tt.why)
			}
			if strings.Contains(line, tt.token) {
				t.Fatal("the refusal repeats the token")
			}
			if code := b.closeCode(); code != 1008 {
				t.Fatalf("closed with %d, want 1008", code)
			}
		})
		seen = append(seen, tt.token)
	}
	for _, token := range seen {
		for _, piece := range strings.Split(token, ".") {
			if len(piece) > 20 && strings.Contains(s.Log(), piece) {
				t.Errorf("the log has a piece of a token or the secret: %.12s…", piece)
			}
		}
	}
}
