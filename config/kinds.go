package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/statuswire/statuswire/app"
)

// kind reads one sort of value into its place in the options.
type kind struct {
	// want completes "it must be …".
	want string
	// set puts the value in its place. It returns errWant when want says enough
	// about what is wrong, an *Error when the fault is at another line than the
	// setting, any other error to say more.
	set func(*app.Options, value) error
	// show writes the value in error messages. Default: as it is in the file.
	show func(value) string
}

var errWant = errors.New("not what is wanted")

// field finds the place of a setting in the options.
type field[T any] func(*app.Options) *T

// scalar is a kind whose value read takes from conf's types.
func scalar[T any](want string, read func(any) (T, error), to ...field[T]) kind {
	return kind{want: want, set: func(o *app.Options, v value) error {
		t, err := read(v.data)
		if err != nil {
			return err
		}
		for _, f := range to {
			*f(o) = t
		}
		return nil
	}}
}

type integer interface{ int | int64 }

func number[T integer](least, most int64, to ...field[T]) kind {
	return scalar(fmt.Sprintf("%d to %d", least, most), func(v any) (T, error) {
		n, ok := v.(int64)
		return T(n), within(ok, n, least, most)
	}, to...)
}

func size[T integer](least, most int64, to ...field[T]) kind {
	want := fmt.Sprintf("%s to %s", sizeText(least), sizeText(most))
	k := scalar(want, func(v any) (T, error) {
		n, ok := readSize(v)
		return T(n), within(ok, n, least, most)
	}, to...)
	k.show = func(v value) string {
		if n, ok := v.data.(int64); ok {
			return sizeText(n)
		}
		return v.String()
	}
	return k
}

func within(ok bool, n, least, most int64) error {
	if !ok || n < least || n > most {
		return errWant
	}
	return nil
}

var sizePattern = regexp.MustCompile(`^(\d+)\s*(?:([kmgt])(i?b?))?$`)

// readSize reads a number of bytes: an integer, or a string like "64KB" with the
// units that the syntax has outside of quotes: K is 1000, KB, Ki and KiB are 1024.
func readSize(v any) (int64, bool) {
	if n, ok := v.(int64); ok {
		return n, true
	}
	s, _ := v.(string)
	m := sizePattern.FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	base := int64(1024)
	if m[3] == "" {
		base = 1000
	}
	if m[2] != "" {
		for range strings.Index("kmgt", m[2]) + 1 {
			if n > math.MaxInt64/base {
				return 0, false
			}
			n *= base
		}
	}
	return n, err == nil
}

// sizeText writes a size as one would write it in the file.
func sizeText(n int64) string {
	for i, unit := range []string{"TB", "GB", "MB", "KB"} {
		if u := int64(1) << (40 - 10*i); n >= u && n%u == 0 {
			return strconv.FormatInt(n/u, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10)
}

func duration(least, most time.Duration, to ...field[time.Duration]) kind {
	want := fmt.Sprintf("%s to %s", durationText(least), durationText(most))
	return scalar(want, func(v any) (time.Duration, error) {
		d, err := readDuration(v)
		if err == nil && (d < least || d > most) {
			err = errWant
		}
		return d, err
	}, to...)
}

var errNoDuration = errors.New(`write a duration like "90s", "5m" or "24h"`)

// readDuration reads "1h30m" or, as nats.conf has it, a whole number of seconds.
func readDuration(v any) (time.Duration, error) {
	switch v := v.(type) {
	case int64:
		if v != 0 && v%1e6 == 0 { // 5m outside of quotes is five million in this syntax
			return 0, fmt.Errorf(`outside of quotes m is a million: write minutes in quotes: "%dm"`, v/1e6)
		}
		if v < 0 || v > math.MaxInt64/int64(time.Second) {
			return 0, errWant
		}
		return time.Duration(v) * time.Second, nil
	case string:
		d, err := time.ParseDuration(v)
		if err != nil {
			return 0, errNoDuration
		}
		return d, nil
	}
	return 0, errNoDuration
}

// durationText writes a duration without the zeroes of its smaller units.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

var errNoText = errors.New("it must be text: put it in quotes")

func text(to ...field[string]) kind {
	return scalar("text", func(v any) (string, error) {
		s, err := readText(v)
		if err == nil && !utf8.ValidString(s) { // by \x in quotes, or from the environment
			err = errors.New("it must be UTF-8")
		}
		return s, err
	}, to...)
}

func readText(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", errNoText
	}
	return s, nil
}

func yesNo(to ...field[bool]) kind {
	return scalar("true or false", func(v any) (bool, error) {
		b, ok := v.(bool)
		if !ok {
			return false, errWant
		}
		return b, nil
	}, to...)
}

// choice is one of two words; yes is the one that makes the field true.
func choice(no, yes string, to ...field[bool]) kind {
	return scalar(no+" or "+yes, func(v any) (bool, error) {
		if v != no && v != yes {
			return false, errWant
		}
		return v == yes, nil
	}, to...)
}

func address(to ...field[string]) kind {
	return scalar(`host:port, such as "127.0.0.1:8080"`, func(v any) (string, error) {
		s, ok := v.(string)
		if !ok || CheckAddress(s) != nil {
			return "", errWant
		}
		return s, nil
	}, to...)
}

// CheckAddress says what is wrong with a listening address. It must be
// host:port; the host may be empty (every interface), the port 0 (a free one).
func CheckAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /") {
		return fmt.Errorf("address %q: it must be host:port, such as 127.0.0.1:8080", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("address %q: the port must be a number from 0 to 65535", s)
	}
	return nil
}
