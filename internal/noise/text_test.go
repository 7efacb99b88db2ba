package noise_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/statuswire/statuswire/internal/noise"
)

const (
	token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTd9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
	seed  = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
	// publicKey has what looks like the beginning of a seed.
	publicKey = "UCNJ2NUUPMLSSXNT666LNEPA2EJTN4EMDXA5JNPNP32MU5A2CTNGPSCM"
)

func TestText(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
	}{
		{"what is fine stays", "status.c1.engine", "status.c1.engine"},
		{"other alphabets too", "grüße 世界 🙂", "grüße 世界 🙂"},
		{"a long one is cut", strings.Repeat("x", 100), strings.Repeat("x", 64) + "…"},
		{"not in the middle of a letter", strings.Repeat("ü", 50), strings.Repeat("ü", 32) + "…"},
		{"lines become one", "a\nb\tc", "a�b�c"},
		{"nothing moves the cursor", "\x1b[2J\x07\u009b", "�[2J��"},
		{"nothing turns a text around", "abc\u202edef\u200b", "abc�def�"},
		{"no UTF-8", "a\xff\xfeb", "a�b"},
		{"a token", "no: " + token, "no: [credential]"},
		{"a seed", seed + " is it", "[credential] is it"},
		{"a seed behind other letters", "AB" + seed, "AB[credential]"},
		{"two seeds", seed + " " + seed, "[credential] [credential]"},
		{"a public key in which one seems to begin", publicKey + " is whose", publicKey + " is whos…"},
		{"a public key that is none", "B" + publicKey[1:], "BCNJ2NUUPMLS[credential]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := noise.Text(tt.text, 64); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

var looksSecret = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}|S[ACNOUX][A-Z2-7]{40,}`)

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a\nb", token, strings.Repeat("x", 60) + token, strings.Repeat("ü", 5000), seed + seed, "\xff\xc3", "eyJ" + token} {
		f.Add(s, 64)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = 16 + most&0x3ff
		got := noise.Text(s, most)
		switch {
		case len(got) > 3*most+2*len("…"): // a byte that is no letter becomes three
			t.Errorf("%d bytes of %d", len(got), most)
		case !utf8.ValidString(got):
			t.Errorf("no UTF-8: %q", got)
		case strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) && r != utf8.RuneError }):
			t.Errorf("it cannot be printed: %q", got)
		case looksSecret.MatchString(got):
			t.Errorf("a credential: %q", got)
		}
	})
}
