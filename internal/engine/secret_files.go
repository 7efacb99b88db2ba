package engine

import (
	"errors"
	"maps"
	"slices"

	"github.com/statuswire/statuswire/internal/keys"
)

// warnOfOpenKeyFiles names the private keys of TLS that every user of the machine
// may read. The server reads them itself; Kubernetes mounts them like that unless it
// is told otherwise, so it is said and not refused.
func (c *checker) warnOfOpenKeyFiles() {
	for _, path := range keyFiles(c.raw) {
		var open *keys.OpenError
		if err := keys.CheckSecretFile(path); errors.As(err, &open) {
			c.opts.Logger.Warn("a private key that nats.conf names is open to every user of this machine", "error", err)
		}
	}
}

// keyFiles finds key_file in every block.
func keyFiles(value any) []string {
	if t, ok := value.(interface{ Value() any }); ok {
		value = t.Value()
	}
	var found []string
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			inner := v[name]
			if t, ok := inner.(interface{ Value() any }); ok {
				inner = t.Value()
			}
			if path, ok := inner.(string); ok && name == "key_file" {
				found = append(found, path)
			}
			found = append(found, keyFiles(inner)...)
		}
	case []any:
		for _, inner := range v {
			found = append(found, keyFiles(inner)...)
		}
	}
	return found
}
