package gateway

import "net/http"

// CheckHandshake returns the key of a good handshake, or the HTTP status that
// refuses it.
func CheckHandshake(r *http.Request) (key string, code int) {
	key, wrong := checkHandshake(r)
	if wrong != nil {
		return key, wrong.Code
	}
	return key, 0
}
