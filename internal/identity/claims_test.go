package identity_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/status"
)

// The clock of synctest begins at 946684800, the year 2000.
const (
	start = 946684800
	valid = `"exp":946688400` // in an hour
)

// {"sub":"mallory","Sub":"alice"} was alice, 1e19 seconds passed as a time, and a
// numeric sub was called no signed JWT.
func TestClaimsAreReadByTheLetter(t *testing.T) {
	const header = `{"alg":"HS256","typ":"JWT"}`
	tests := []struct {
		name, header, claims string
		want                 error         // nil: it is valid
		user                 status.UserID // then
	}{
		{"a name in other case is another claim", header, `{"sub":"mallory","Sub":"alice",` + valid + `}`, nil, "mallory"},
		{"the other way round too", header, `{"SUB":"alice","sub":"mallory",` + valid + `}`, nil, "mallory"},
		{"a user in capitals is none", header, `{"Sub":"alice",` + valid + `}`, identity.ErrMissingUser, ""},
		{"an EXP does not prolong", header, `{"sub":"a","exp":946684799,"EXP":946688400}`, identity.ErrExpired, ""},
		{"an Exp alone is none", header, `{"sub":"a","Exp":946688400}`, identity.ErrMissingExpiry, ""},
		{"an Iss does not make up for one", header, `{"sub":"a","Iss":7,"Aud":7,"Jti":7,` + valid + `}`, nil, "a"},
		{"a sub twice", header, `{"sub":"mallory","sub":"alice",` + valid + `}`, identity.ErrTwice, ""},
		{"a sub twice, one in escapes", header, `{"sub":"mallory","s\u0075b":"alice",` + valid + `}`, identity.ErrTwice, ""},
		{"an unknown claim twice", header, `{"x":1,"x":1,"sub":"a",` + valid + `}`, identity.ErrTwice, ""},
		{"names that differ in half a surrogate pair", header, `{"\ud800":1,"\ud801":1,"sub":"a",` + valid + `}`, identity.ErrTwice, ""},
		{"a name twice inside an unknown claim", header, `{"x":{"y":1,"y":2},"sub":"a",` + valid + `}`, nil, "a"},
		{"a sub in escapes", header, `{"s\u0075b":"\u0061lice",` + valid + `}`, nil, "alice"},

		{"a sub that is a number", header, `{"sub":42,` + valid + `}`, identity.ErrUserNoString, ""},
		{"a sub that is null", header, `{"sub":null,` + valid + `}`, identity.ErrUserNoString, ""},
		{"a sub that is a list", header, `{"sub":["a"],` + valid + `}`, identity.ErrUserNoString, ""},
		{"a sub with half a surrogate pair", header, `{"sub":"\ud800",` + valid + `}`, identity.ErrBadUser, ""},
		{"a sub with a whole one", header, `{"sub":"\ud83d\ude00",` + valid + `}`, nil, "😀"},
		{"a sub with bytes that are no UTF-8", header, "{\"sub\":\"\xff\"," + valid + "}", identity.ErrBadClaims, ""},

		{"an exp of 1e19", header, `{"sub":"a","exp":1e19}`, identity.ErrBadExpiry, ""},
		{"an exp of 20 digits", header, `{"sub":"a","exp":10000000000000000000}`, identity.ErrBadExpiry, ""},
		{"an exp beyond a float", header, `{"sub":"a","exp":1e400}`, identity.ErrBadExpiry, ""},
		{"an exp in milliseconds", header, `{"sub":"a","exp":946688400000}`, identity.ErrBadExpiry, ""},
		{"an exp below zero", header, `{"sub":"a","exp":-1}`, identity.ErrBadExpiry, ""},
		{"an exp at the end of 9999", header, `{"sub":"a","exp":253402300799}`, nil, "a"},
		{"an exp a second later", header, `{"sub":"a","exp":253402300800}`, identity.ErrBadExpiry, ""},
		{"an exp that is null", header, `{"sub":"a","exp":null}`, identity.ErrBadExpiry, ""},
		{"an exp that is true", header, `{"sub":"a","exp":true}`, identity.ErrBadExpiry, ""},
		{"an exp that is NaN is no JSON", header, `{"sub":"a","exp":NaN}`, identity.ErrBadClaims, ""},
		{"an nbf of 1e19", header, `{"sub":"a","nbf":1e19,` + valid + `}`, identity.ErrBadNotBefore, ""},
		{"an iat of 1e19", header, `{"sub":"a","iat":1e19,` + valid + `}`, identity.ErrBadIssuedAt, ""},
		{"an nbf that is text", header, `{"sub":"a","nbf":"946684800",` + valid + `}`, identity.ErrBadNotBefore, ""},
		{"an iat below zero", header, `{"sub":"a","iat":-5,` + valid + `}`, identity.ErrBadIssuedAt, ""},
		{"an nbf in half a second", header, `{"sub":"a","nbf":946684800.5,` + valid + `}`, identity.ErrNotYetValid, ""},
		{"an nbf of now, in another notation", header, `{"sub":"a","nbf":9.466848e8,` + valid + `}`, nil, "a"},
		{"an exp in half a second", header, `{"sub":"a","exp":946684800.5}`, nil, "a"},

		{"an iss that is a list", header, `{"iss":["a"],"sub":"a",` + valid + `}`, identity.ErrBadIssuer, ""},
		{"an aud that is a number", header, `{"aud":7,"sub":"a",` + valid + `}`, identity.ErrBadAudience, ""},
		{"an aud with a number", header, `{"aud":["us",7],"sub":"a",` + valid + `}`, identity.ErrBadAudience, ""},
		{"an aud that is an object", header, `{"aud":{},"sub":"a",` + valid + `}`, identity.ErrBadAudience, ""},
		{"an aud that is text", header, `{"aud":"us","sub":"a",` + valid + `}`, nil, "a"},
		{"an aud that is a list", header, `{"aud":["us","them"],"sub":"a",` + valid + `}`, nil, "a"},
		{"a jti that is a number", header, `{"jti":7,"sub":"a",` + valid + `}`, identity.ErrBadID, ""},
		{"a jti that is text", header, `{"jti":"7","sub":"a",` + valid + `}`, nil, "a"},
		{"claims with something behind", header, `{"sub":"a",` + valid + `}{}`, identity.ErrBadClaims, ""},
		{"claims with a comma too many", header, `{"sub":"a",` + valid + `,}`, identity.ErrBadClaims, ""},

		{"no typ", `{"alg":"HS256"}`, `{"sub":"a",` + valid + `}`, nil, "a"},
		{"the typ of RFC 9068, as a media type", `{"alg":"HS256","typ":"application/AT+JWT"}`, `{"sub":"a",` + valid + `}`, nil, "a"},
		{"a token of a logout", `{"alg":"HS256","typ":"logout+jwt"}`, `{"sub":"a",` + valid + `}`, identity.ErrWrongType, ""},
		{"a typ that is a number", `{"alg":"HS256","typ":1}`, `{"sub":"a",` + valid + `}`, identity.ErrWrongType, ""},
		{"an Alg", `{"Alg":"HS256"}`, `{"sub":"a",` + valid + `}`, identity.ErrWrongAlgorithm, ""},
		{"an alg that is a list", `{"alg":["HS256"]}`, `{"sub":"a",` + valid + `}`, identity.ErrWrongAlgorithm, ""},
		{"an alg twice", `{"alg":"none","alg":"HS256"}`, `{"sub":"a",` + valid + `}`, identity.ErrBadHeader, ""},
		{"a crit that is empty", `{"alg":"HS256","crit":[]}`, `{"sub":"a",` + valid + `}`, identity.ErrCritical, ""},
		{"a Crit is none", `{"alg":"HS256","Crit":["x"]}`, `{"sub":"a",` + valid + `}`, nil, "a"},
		{"a header beyond 8 KiB", `{"alg":"HS256","x":"` + strings.Repeat("x", 8192) + `"}`, `{"sub":"a",` + valid + `}`, identity.ErrBadHeader, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if now := time.Now().Unix(); now != start {
					t.Fatalf("the clock begins at %d", now)
				}
				got, err := verifier(t, identity.HS256Options{}).Verify(t.Context(), raw(tt.header, tt.claims))
				if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && err != nil || got.User != tt.user {
					t.Errorf("got %+v, %v, want %q, %v", got, err, tt.user, tt.want)
				}
			})
		})
	}
}

func TestAFractionOfASecondCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := verifier(t, identity.HS256Options{})
		token := raw(`{"alg":"HS256"}`, fmt.Sprintf(`{"sub":"a","exp":%d.5}`, start+1))
		time.Sleep(1500*time.Millisecond - 1)
		got, err := v.Verify(t.Context(), token)
		if err != nil || !got.Expires.Equal(time.Unix(start+1, 500e6)) {
			t.Fatalf("just before: %+v, %v", got, err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, identity.ErrExpired) {
			t.Fatalf("then: %v", err)
		}
	})
}

func TestOneTokenHasOneForm(t *testing.T) {
	token, err := identity.Issue(secret, "alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, identity.HS256Options{})
	for name, other := range map[string]string{
		"a line break in the signature": token[:len(token)-3] + "\r\n" + token[len(token)-3:],
		"a line break in the header":    token[:3] + "\n" + token[3:],
		"a space in front":              " " + token,
		"padding":                       token + "=",
		"the other alphabet":            strings.Replace(token, ".", "+.", 1),
	} {
		if got, err := v.Verify(t.Context(), other); !errors.Is(err, identity.ErrMalformed) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}
