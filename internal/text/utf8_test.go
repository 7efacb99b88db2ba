package text_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/statuswire/statuswire/internal/text"
)

func TestTheFirstByteThatIsNotUTF8IsNamed(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     text.Fault
	}{
		{"at the beginning", "\xe9", text.Fault{Line: 1, Column: 1, Byte: 0xe9}},
		{"behind characters of several bytes", "é€😀\xff!\xfe", text.Fault{Line: 1, Column: 4, Byte: 0xff}},
		{"in another line", "one\ntwo\r\nü\xc0\xaf\n", text.Fault{Line: 3, Column: 2, Byte: 0xc0}},
		{"at the beginning of a line", "one\n\x80", text.Fault{Line: 2, Column: 1, Byte: 0x80}},
		{"a character that is cut off", "ab\xe2\x82", text.Fault{Line: 1, Column: 3, Byte: 0xe2}},
		{"half of a surrogate pair", "\xed\xa0\x80", text.Fault{Line: 1, Column: 1, Byte: 0xed}},
		{"UTF-16, as some shells write it", "\xff\xfe{\x00", text.Fault{Line: 1, Column: 1, Byte: 0xff}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := text.Check([]byte(tt.in)); got == nil || *got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	for _, good := range []string{"", "plain", "é€😀\n", "\ufffd", "\ufeff"} {
		if got := text.Check([]byte(good)); got != nil {
			t.Errorf("%q: %v", good, got)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"", "a\nb\xff", "é\xe2\x82\n", "\n\n\xed\xa0\x80"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		fault := text.Check(data)
		if (fault == nil) != utf8.Valid(data) {
			t.Fatalf("%q: %v", data, fault)
		}
		if fault == nil {
			return
		}
		lines := strings.Split(string(data), "\n")
		before := strings.Join(append(lines[:fault.Line-1:fault.Line-1], string([]rune(lines[fault.Line-1])[:fault.Column-1])), "\n")
		if !utf8.ValidString(before) || data[len(before)] != fault.Byte {
			t.Fatalf("%q: %+v", data, fault)
		}
	})
}
