package link

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// maxShownBytes bounds what the server is told of a browser for its reports alone.
const maxShownBytes = 256

// LineBytes is the longest CONNECT that goes to the server by a link, for tokens of
// that many bytes: as JSON one has twice the bytes at most, if it has no control
// characters; the rest is what the server's reports show. The server must take such a
// line.
func LineBytes(maxTokenBytes int, external bool) int {
	const escaped = 6 // bytes of one in JSON, at worst
	const rest = 3*escaped*maxShownBytes + 1024
	line := 2*maxTokenBytes + rest
	if external { // `user` names all the conversations of a grant
		line += session.MaxConversations * (status.MaxConversationIDBytes + 1)
	}
	return line
}

// connectLine is the CONNECT that goes to the server on the browser's behalf, and the
// PING that has it answer.
func connectLine(login session.Login) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("CONNECT ")
	enc := json.NewEncoder(&b)
	// HTML escapes would make a line longer than the one that the browser sent, and
	// so perhaps too long.
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		Verbose   bool   `json:"verbose"`
		Pedantic  bool   `json:"pedantic"`
		AuthToken string `json:"auth_token"`
		User      string `json:"user,omitempty"`
		Name      string `json:"name,omitempty"`
		Lang      string `json:"lang,omitempty"`
		Version   string `json:"version,omitempty"`
		Protocol  int    `json:"protocol"`
	}{
		AuthToken: login.Token, User: login.User, Protocol: 1,
		Name: shown(login.Name), Lang: shown(login.Lang), Version: shown(login.Version),
	})
	if err != nil {
		return nil, err
	}
	b.Truncate(b.Len() - 1) // Encode ends with a newline
	b.WriteString("\r\nPING\r\n")
	return b.Bytes(), nil
}

// shown cuts what is only shown.
func shown(s string) string {
	if len(s) <= maxShownBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxShownBytes], "")
}
