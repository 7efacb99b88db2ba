package config

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/keys"
)

// origins is a list of origin patterns, or a single one without brackets.
func origins(to field[[]string]) kind {
	return kind{want: `a list like ["https://app.example.com"]`, set: func(o *app.Options, v value) error {
		items, ok := v.data.([]any)
		if !ok {
			items = []any{v}
		}
		list := make([]string, 0, len(items))
		var wrong problems
		for _, item := range items {
			v := unwrap(item, v.place)
			s, ok := v.data.(string)
			if !ok {
				wrong.add(v.place, `allowed_origins holds %v: it must hold text like "https://app.example.com"`, v)
				continue
			}
			// The gateway knows what an origin pattern is.
			if err := (gateway.Options{AllowedOrigins: []string{s}}).Validate(); err != nil {
				wrong.add(v.place, "%v", err)
				continue
			}
			list = append(list, s)
		}
		*to(o) = list
		return wrong.err()
	}}
}

func cookieName(to ...field[string]) kind {
	return scalar("a cookie's name: letters, digits, - and _", func(v any) (string, error) {
		s, err := readText(v)
		if err == nil && s != "" && (&http.Cookie{Name: s}).Valid() != nil {
			err = errWant
		}
		return s, err
	}, to...)
}

func secret(to ...field[[]byte]) kind {
	k := scalar("text of at least 32 bytes", func(v any) ([]byte, error) {
		s, err := readText(v)
		if err != nil || s == "" {
			return nil, err
		}
		return []byte(s), checkSecret([]byte(s))
	}, to...)
	k.show = func(value) string { return "not usable" }
	return k
}

// secretFile names a file with the secret; relative names are relative to the
// configuration file. White space at the end of the file is not part of it.
func secretFile(to field[[]byte]) kind {
	return kind{want: "the path of a file", set: func(o *app.Options, v value) error {
		name, err := readText(v.data)
		if err != nil || name == "" {
			return err
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(v.file), name)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("it cannot be read (%w): write the secret there or remove the setting", pathCause(err))
		}
		data = []byte(strings.TrimRight(string(data), " \t\r\n"))
		if err := checkSecret(data); err != nil {
			return fmt.Errorf("the file's %w", err)
		}
		*to(o) = data
		return nil
	}}
}

func checkSecret(s []byte) error {
	if len(s) < keys.MinTokenSecretBytes {
		return fmt.Errorf("secret has %d bytes: HS256 needs at least %d; `openssl rand -base64 48` makes a good one", len(s), keys.MinTokenSecretBytes)
	}
	return nil
}
