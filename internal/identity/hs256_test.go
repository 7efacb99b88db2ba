package identity_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/status"
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func verifier(t testing.TB, opts identity.HS256Options) *identity.HS256 {
	t.Helper()
	if opts.Secret == nil {
		opts.Secret = secret
	}
	v, err := identity.NewHS256(opts)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func raw(header, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwt.SigningMethodHS256.Sign(signed, secret)
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestVerifyAcceptsWhatIssueSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := verifier(t, identity.HS256Options{})
		for _, user := range []status.UserID{"alice", "auth0|5f7", "Zoë <z@example.com>", status.UserID(strings.Repeat("x", status.MaxUserIDBytes))} {
			token, err := identity.Issue(secret, user, time.Hour, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.Verify(t.Context(), token)
			if err != nil {
				t.Fatalf("%q: %v", user, err)
			}
			if got.User != user || !got.Expires.Equal(time.Now().Add(time.Hour)) {
				t.Errorf("%q: got %+v at %v", user, got, time.Now())
			}
		}
	})
}

func TestVerifyRefusesAtTheSecondOfExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		strict, lenient := verifier(t, identity.HS256Options{}), verifier(t, identity.HS256Options{Leeway: 10 * time.Second})
		token, err := identity.Issue(secret, "alice", time.Minute, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - time.Nanosecond)
		if _, err := strict.Verify(t.Context(), token); err != nil {
			t.Errorf("just before expiry: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := strict.Verify(t.Context(), token); !errors.Is(err, identity.ErrExpired) {
			t.Errorf("at expiry: %v", err)
		}
		got, err := lenient.Verify(t.Context(), token)
		if err != nil || !got.Expires.Equal(time.Now().Add(10*time.Second)) {
			t.Errorf("within the leeway: %+v, %v", got, err)
		}
		time.Sleep(10 * time.Second)
		if _, err := lenient.Verify(t.Context(), token); !errors.Is(err, identity.ErrExpired) {
			t.Errorf("after the leeway: %v", err)
		}
	})
}

func TestVerifyRefusesEachFaultWithItsOwnReason(t *testing.T) {
	const user = "secret-user-name"
	now := time.Now()
	later, before := now.Add(time.Hour).Unix(), now.Add(-time.Hour).Unix()
	hs := jwt.SigningMethodHS256
	good := jwt.MapClaims{"sub": user, "exp": later}
	header := `{"alg":"HS256","typ":"JWT"}`
	tests := []struct {
		name  string
		opts  identity.HS256Options
		token string
		want  *identity.TokenError
	}{
		{"no token", identity.HS256Options{}, "", identity.ErrEmpty},
		{"a token beyond 64 KiB", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"sub": user, "exp": later, "x": strings.Repeat("x", 50_000)}), identity.ErrTooLong},
		{"no JWT at all", identity.HS256Options{}, user, identity.ErrMalformed},
		{"two parts", identity.HS256Options{}, "eyJhbGciOiJIUzI1NiJ9." + user, identity.ErrMalformed},
		{"four parts", identity.HS256Options{}, sign(t, hs, secret, good) + ".x", identity.ErrMalformed},
		{"a header that is no JSON", identity.HS256Options{}, raw(`{`, `{}`), identity.ErrBadHeader},
		{"claims that are no object", identity.HS256Options{}, raw(header, `[]`), identity.ErrBadClaims},
		{"an exp that is a string", identity.HS256Options{}, raw(header, `{"sub":"a","exp":"tomorrow"}`), identity.ErrBadExpiry},
		{"a critical extension", identity.HS256Options{}, raw(`{"alg":"HS256","crit":["b64"],"b64":false}`, fmt.Sprintf(`{"sub":%q,"exp":%d}`, user, later)), identity.ErrCritical},
		{"padding after the signature", identity.HS256Options{}, sign(t, hs, secret, good) + "=", identity.ErrMalformed},
		{"algorithm none", identity.HS256Options{}, sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good), identity.ErrWrongAlgorithm},
		{"algorithm none in capitals", identity.HS256Options{}, raw(`{"alg":"NONE"}`, fmt.Sprintf(`{"sub":%q,"exp":%d}`, user, later)), identity.ErrWrongAlgorithm},
		{"no algorithm", identity.HS256Options{}, raw(`{}`, fmt.Sprintf(`{"sub":%q,"exp":%d}`, user, later)), identity.ErrWrongAlgorithm},
		{"HS384 with the right secret", identity.HS256Options{}, sign(t, jwt.SigningMethodHS384, secret, good), identity.ErrWrongAlgorithm},
		{"HS512 with the right secret", identity.HS256Options{}, sign(t, jwt.SigningMethodHS512, secret, good), identity.ErrWrongAlgorithm},
		{"another secret", identity.HS256Options{}, sign(t, hs, []byte("ffffffffffffffffffffffffffffffff"), good), identity.ErrWrongSignature},
		{"another secret and expired: the signature is told first", identity.HS256Options{}, sign(t, hs, []byte("f"), jwt.MapClaims{"sub": user, "exp": before}), identity.ErrWrongSignature},
		{"an empty signature", identity.HS256Options{}, strings.TrimRight(sign(t, hs, secret, good), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"), identity.ErrWrongSignature},
		{"expired", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"sub": user, "exp": before}), identity.ErrExpired},
		{"the first second of 1970", identity.HS256Options{}, raw(header, fmt.Sprintf(`{"sub":%q,"exp":0}`, user)), identity.ErrExpired},
		{"no exp", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"sub": user}), identity.ErrMissingExpiry},
		{"nbf in an hour", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"sub": user, "exp": later, "nbf": later}), identity.ErrNotYetValid},
		{"iat in an hour", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"sub": user, "exp": later, "iat": later}), identity.ErrNotYetValid},
		{"no sub", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"exp": later}), identity.ErrMissingUser},
		{"an empty sub", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"sub": "", "exp": later}), identity.ErrMissingUser},
		{"a sub with a line break", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"sub": user + "\r\nPUB x 0", "exp": later}), identity.ErrBadUser},
		{"a sub of 257 bytes", identity.HS256Options{}, sign(t, hs, secret, jwt.MapClaims{"sub": strings.Repeat("x", 257), "exp": later}), identity.ErrBadUser},
		{"another issuer", identity.HS256Options{Issuer: "app"}, sign(t, hs, secret, jwt.MapClaims{"sub": user, "exp": later, "iss": "evil"}), identity.ErrWrongIssuer},
		{"no issuer", identity.HS256Options{Issuer: "app"}, sign(t, hs, secret, good), identity.ErrWrongIssuer},
		{"another audience", identity.HS256Options{Audience: "us"}, sign(t, hs, secret, jwt.MapClaims{"sub": user, "exp": later, "aud": "them"}), identity.ErrWrongAudience},
		{"no audience", identity.HS256Options{Audience: "us"}, sign(t, hs, secret, good), identity.ErrWrongAudience},
		{"right issuer, no audience", identity.HS256Options{Issuer: "app", Audience: "us"}, sign(t, hs, secret, jwt.MapClaims{"sub": user, "exp": later, "iss": "app"}), identity.ErrWrongAudience},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := verifier(t, tt.opts).Verify(t.Context(), tt.token)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %+v, %v, want %v", got, err, tt.want)
			}
			if got != (identity.Identity{}) {
				t.Errorf("a refused token has the identity %+v", got)
			}
			checkSilent(t, err, tt.token)
		})
	}
}

// checkSilent fails when the error holds the token, a part of it, or what it says inside.
func checkSilent(t testing.TB, err error, token string) {
	t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	parts := append(strings.Split(token, "."), "secret-user-name", "PUB x", "evil", "them", string(secret))
	for _, part := range parts {
		if len(part) > 2 && strings.Contains(text, part) {
			t.Errorf("the error shows %q of the token: %s", part, text)
		}
	}
	for cause := errors.Unwrap(err); cause != nil; cause = errors.Unwrap(cause) {
		t.Errorf("the error carries a cause that may quote the token: %v", cause)
	}
}

func TestIssuerAndAudienceOfTheVerifierAreSetByItsIssue(t *testing.T) {
	v := verifier(t, identity.HS256Options{Issuer: "app", Audience: "us"})
	token, err := v.Issue("alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Verify(t.Context(), token); err != nil || got.User != "alice" {
		t.Errorf("got %+v, %v", got, err)
	}
	listed := sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "a", "exp": time.Now().Add(time.Hour).Unix(), "iss": "app", "aud": []string{"them", "us"}})
	if _, err := v.Verify(t.Context(), listed); err != nil {
		t.Errorf("one of several audiences: %v", err)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, opts := range map[string]identity.HS256Options{
		"a secret of 31 bytes": {Secret: secret[:31]},
		"no secret":            {},
		"a negative leeway":    {Secret: secret, Leeway: -1},
		"a leeway of an hour":  {Secret: secret, Leeway: time.Hour},
	} {
		if _, err := identity.NewHS256(opts); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), string(secret[:31])) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

func TestIssueRefusesWhatVerifyWouldNotAccept(t *testing.T) {
	now := time.Now()
	for name, issue := range map[string]func() (string, error){
		"a short secret":    func() (string, error) { return identity.Issue(secret[:8], "alice", time.Hour, now) },
		"no user":           func() (string, error) { return identity.Issue(secret, "", time.Hour, now) },
		"a bad user":        func() (string, error) { return identity.Issue(secret, "a\x00b", time.Hour, now) },
		"no time to live":   func() (string, error) { return identity.Issue(secret, "alice", 0, now) },
		"a negative one":    func() (string, error) { return identity.Issue(secret, "alice", -time.Hour, now) },
		"half a second ttl": func() (string, error) { return identity.Issue(secret, "alice", time.Second/2, now) },
	} {
		if token, err := issue(); err == nil {
			t.Errorf("%s: got %q", name, token)
		}
	}
}

// fixedTexts are all errors, the first seven of tokens that nobody has signed.
var fixedTexts = []*identity.TokenError{
	identity.ErrEmpty, identity.ErrTooLong, identity.ErrMalformed, identity.ErrBadHeader, identity.ErrCritical,
	identity.ErrWrongAlgorithm, identity.ErrWrongSignature,
	identity.ErrBadClaims, identity.ErrTwice, identity.ErrBadExpiry, identity.ErrBadNotBefore, identity.ErrBadIssuedAt,
	identity.ErrBadIssuer, identity.ErrBadAudience, identity.ErrBadID, identity.ErrWrongType,
	identity.ErrExpired, identity.ErrNotYetValid, identity.ErrMissingExpiry,
	identity.ErrMissingUser, identity.ErrUserNoString, identity.ErrBadUser, identity.ErrWrongIssuer, identity.ErrWrongAudience,
}

func TestOnlyWhatNobodySignedCountsAsAGuess(t *testing.T) {
	for i, fault := range fixedTexts {
		if fault.Signed != (i >= 7) {
			t.Errorf("%v: signed is %v", fault, fault.Signed)
		}
	}
}

func FuzzVerify(f *testing.F) {
	v := verifier(f, identity.HS256Options{})
	claims := jwt.MapClaims{"sub": "secret-user-name", "exp": int64(math.MaxInt32)}
	good := sign(f, jwt.SigningMethodHS256, secret, claims)
	f.Add(good)
	f.Add(sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims))
	f.Add(raw(`{"alg":"HS256"}`, `{"sub":"a","exp":1e300,"aud":[1]}`))
	for _, claims := range []string{
		`{"sub":"a","Sub":"b","exp":1e9}`, `{"sub":"a","sub":"b"}`, `{"sub":7}`, `{"sub":"a","exp":2147483647.5,"aud":["x"],"jti":"1","iss":"i","nbf":0,"iat":0}`,
	} {
		f.Add(raw(`{"alg":"HS256","typ":"at+jwt"}`, claims))
	}
	f.Add(raw(`{"alg":"HS256","alg":"none"}`, `{}`))
	f.Add("..")
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Verify(context.Background(), token)
		if err == nil {
			// Only what was signed with the secret passes; the fuzzer has only seen these.
			signed, signature, _ := cutLast(token)
			want, _ := jwt.SigningMethodHS256.Sign(signed, secret)
			if signature != base64.RawURLEncoding.EncodeToString(want) {
				t.Fatalf("a token without our signature is %+v", got)
			}
			return
		}
		if !slices.ContainsFunc(fixedTexts, func(fixed *identity.TokenError) bool { return err == error(fixed) }) {
			t.Fatalf("error %v is none of the fixed texts", err)
		}
	})
}

func cutLast(token string) (signed, signature string, ok bool) {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return "", "", false
	}
	return token[:i], token[i+1:], true
}

func BenchmarkVerify(b *testing.B) {
	v := verifier(b, identity.HS256Options{})
	token, err := identity.Issue(secret, "alice", time.Hour, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}
