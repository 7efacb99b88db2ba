package config

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/limit"
)

// list is a list of texts, or a single one without brackets; key is what errors
// call it by. An error of read stands for itself: it names the text.
func list[T any](key, example string, read func(string) (T, error), put func(*app.Options, []T)) kind {
	return kind{want: fmt.Sprintf("a list like [%q]", example), set: func(o *app.Options, v value) error {
		items, ok := v.data.([]any)
		if !ok {
			items = []any{v}
		}
		all := make([]T, 0, len(items))
		var wrong problems
		for _, item := range items {
			v := unwrap(item, v.place)
			s, ok := v.data.(string)
			if !ok {
				wrong.add(v.place, "%s holds %v: it must hold text like %q", key, v, example)
				continue
			}
			one, err := read(s)
			if err != nil {
				wrong.add(v.place, "%v", err)
				continue
			}
			all = append(all, one)
		}
		put(o, all)
		return wrong.err()
	}}
}

func origins(key string, to field[[]string]) kind {
	return list(key, "https://app.example.com", func(s string) (string, error) {
		// The gateway knows what an origin pattern is.
		return s, (gateway.Options{AllowedOrigins: []string{s}}).Validate()
	}, func(o *app.Options, all []string) { *to(o) = all })
}

// networks are prefixes; a single address stands for itself.
func networks(key string, to field[[]netip.Prefix]) kind {
	return list(key, "10.0.0.0/8", func(s string) (netip.Prefix, error) {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			a = a.Unmap()
			return netip.PrefixFrom(a, a.BitLen()), nil
		}
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			return p, fmt.Errorf(`%s holds %q: write an address or a network, like "10.0.0.7" or "10.0.0.0/8"`, key, s)
		case p.Addr().Is4In6():
			return p, fmt.Errorf(`%s holds %q: write an IPv4 network as one, like "10.0.0.0/8"`, key, s)
		case p != p.Masked():
			return p, fmt.Errorf("%s holds %q: the network is %q", key, s, p.Masked())
		}
		return p, nil
	}, func(o *app.Options, all []netip.Prefix) { *to(o) = all })
}

// limitNames are the limits that only count.
func limitNames(key string, of func(*app.Options) *limit.Options) kind {
	var known []string
	for _, s := range limit.Settings() {
		known = append(known, string(s.Name))
	}
	return list(key, string(limit.Categories), func(s string) (limit.Name, error) {
		if slices.Contains(known, s) {
			return limit.Name(s), nil
		}
		advice := "known here are " + strings.Join(known, ", ")
		if near := nearest(s, known); near != "" {
			advice = fmt.Sprintf("did you mean %q?", near)
		}
		return "", fmt.Errorf("%s holds %q: %s", key, s, advice)
	}, func(o *app.Options, all []limit.Name) {
		for _, name := range all {
			of(o).Rule(name).DryRun = true
		}
	})
}

func metricsAddress(to ...field[string]) kind {
	return scalar(`host:port, http or none`, func(v any) (string, error) {
		s, ok := v.(string)
		if !ok || s != app.MetricsOnHTTP && s != app.MetricsNone && CheckAddress(s) != nil {
			return "", errWant
		}
		return s, nil
	}, to...)
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

// secret is a secret in the file itself, or in the environment, from where it gets
// into the file by $NAME.
func secret(to field[[]byte]) kind {
	return kind{want: "text of at least 32 bytes", show: func(value) string { return "not usable" }, set: func(o *app.Options, v value) error {
		s, err := readText(v.data)
		if err != nil || s == "" {
			return err
		}
		if err := checkSecret([]byte(s)); err != nil {
			return err
		}
		*to(o) = []byte(s)
		return hidden(v.file, s)
	}}
}

// hidden refuses a configuration file in which every user of the machine can read
// the secret.
func hidden(file, secret string) error {
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), secret) {
		return nil // the text is not of a file, or the secret is of the environment
	}
	if err := keys.CheckSecretFile(file); err != nil {
		return fmt.Errorf("%w, and replace the secret if others may have seen it; or move it to a file of its own: secret_file", err)
	}
	return nil
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
		data, err := keys.ReadSecretFile(name)
		var open *keys.OpenError
		switch {
		case errors.As(err, &open):
			return fmt.Errorf("%w (in Kubernetes: defaultMode: 0440), and replace the secret if others may have seen it", err)
		case err != nil:
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
