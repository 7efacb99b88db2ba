package gateway

import (
	"net/http"
	"strings"
)

// headerHasToken is true when one of the comma-separated values of the header
// is token, in any case (RFC 9110, section 5.6.1).
func headerHasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for v := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(v), token) {
				return true
			}
		}
	}
	return false
}
