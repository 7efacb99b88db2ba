package natsocket

import (
	"bytes"
	"encoding/json"
)

// encodeJSON encodes without HTML escapes: they would make a line longer than
// the one the browser sent, and so perhaps too long.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}
