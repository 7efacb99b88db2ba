package natsocket

import (
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/httpconn"
	"github.com/statuswire/statuswire/internal/readbuf"
	"github.com/statuswire/statuswire/internal/refusal"
)

// Of the opening handshake (RFC 6455, section 4.2).
const (
	// Version is that of the protocol.
	Version    = "13"
	acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	nonceBytes = 16
)

// IsUpgrade is true for a request that wants a WebSocket, as far as it says so in
// Upgrade. What else it lacks it is told by Check.
func IsUpgrade(r *http.Request) bool {
	return r.Method == http.MethodGet && headerHasToken(r.Header, "Upgrade", "websocket")
}

// Check says what is wrong with the client's half of the handshake (RFC
// 6455, section 4.2.1), or returns the key that the answer proves to have seen.
// Subprotocols and extensions that the client offers are not taken up, which is the
// server's to decide: neither is in the answer.
func Check(r *http.Request) (key string, wrong *refusal.Upgrade) {
	switch {
	case r.Method != http.MethodGet:
		return "", refusal.UpgradeMethod()
	case !r.ProtoAtLeast(1, 1) || r.ProtoMajor > 1:
		return "", refusal.UpgradeProto()
	case !headerHasToken(r.Header, "Upgrade", "websocket"):
		return "", refusal.UpgradeWanted()
	case !headerHasToken(r.Header, "Connection", "upgrade"):
		return "", refusal.UpgradeConnection()
	case len(r.Header["Sec-Websocket-Version"]) == 0:
		return "", refusal.UpgradeNoVersion()
	case strings.Join(r.Header["Sec-Websocket-Version"], ",") != Version:
		return "", refusal.UpgradeVersion()
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return "", refusal.UpgradeBody()
	}
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 {
		return "", refusal.UpgradeKey()
	}
	if nonce, err := base64.StdEncoding.DecodeString(keys[0]); err != nil || len(nonce) != nonceBytes {
		return "", refusal.UpgradeKey()
	}
	return keys[0], nil
}

// TakeOver takes the connection of a request whose handshake is good from the HTTP
// server and answers the handshake. What is refused has been taken from nobody: the
// HTTP server answers. A connection that does not take the answer is closed, and
// ends like every socket whose browser has gone.
func TakeOver(w http.ResponseWriter, key string) (net.Conn, *readbuf.Reader, *refusal.Upgrade) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return nil, nil, refusal.UpgradeProto()
	}
	conn, rw, err := hijacker.Hijack()
	if err != nil {
		return nil, nil, refusal.UpgradeUnavailable()
	}
	in := readbuf.New(rw.Reader, conn) // and nothing of the HTTP server's is held from now on
	conn = httpconn.Unwrapped(conn)
	_ = conn.SetDeadline(time.Now().Add(handshakeAnswerTime))
	if _, err := io.WriteString(conn, handshakeAnswer(key)); err != nil {
		_ = conn.Close()
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, in, nil
}

// handshakeAnswerTime is for an answer that fits into any socket's empty buffer.
const handshakeAnswerTime = 5 * time.Second

func handshakeAnswer(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID)) // as section 4.2.2 has it; it keeps no secret
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
}

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
