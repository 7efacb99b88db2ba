package status_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/status"
)

// FuzzParseTime holds ParseTime against package time, and that what it reads can be
// written again.
func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"2024-01-19T12:00:00Z", "2024-01-19t12:00:00.123456789123z", "2024-01-19T12:00:00-00:00", "2016-12-31T23:59:60Z",
		"1990-12-31t15:59:60.9-08:00", "2016-12-31T23:59:60+00:01", "2016-06-30T23:59:60Z", "2024-02-30T00:00:00Z", "9999-12-31T23:59:60Z",
		"0000-01-01T00:00:00+01:00", "2024-01-19 12:00:00Z", "2024-01-19T12:00:00,5Z", "2024-01-19T24:00:00Z", "2024-01-19T12:60:00Z", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := status.ParseTime(text)
		_, refused := status.Normalize(fmt.Appendf(nil, `{"text":"hi","timestamp":%q}`, text), "engine", arrival)
		if !strings.ContainsAny(text, "\"\\") && isPrintable(text) && (err == nil) != (refused == nil) {
			t.Fatalf("%q as a time: %v, as a timestamp: %v", text, err, refused)
		}
		if err != nil {
			return
		}
		written := at.Format(time.RFC3339Nano)
		if again, err := status.ParseTime(written); err != nil || !again.Equal(at) || at.Location() != time.UTC {
			t.Fatalf("%q is %s, which is %v, %v", text, written, again, err)
		}
		if want, err := time.Parse(time.RFC3339, strings.ToUpper(text)); err == nil && !want.Equal(at) {
			t.Fatalf("%q is %s, package time says %v", text, written, want)
		}
	})
}

func isPrintable(text string) bool {
	for _, b := range []byte(text) {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return true
}
