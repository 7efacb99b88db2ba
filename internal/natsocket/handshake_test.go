package natsocket_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/statuswire/statuswire/internal/natsocket"
)

func FuzzHandshake(f *testing.F) {
	f.Add("GET", "1.1", "Upgrade", "websocket", "13", "dGhlIHNhbXBsZSBub25jZQ==")
	f.Add("GET", "1.1", "keep-alive, Upgrade", "h2c,websocket", "13, 8", "dGhlIHNhbXBsZSBub25jZQ")
	f.Add("POST", "1.0", "", "", "", "")
	f.Fuzz(func(t *testing.T, method, version, connection, upgrade, wsVersion, key string) {
		head := fmt.Sprintf("%s / HTTP/%s\r\nHost: x\r\nConnection: %s\r\nUpgrade: %s\r\nSec-WebSocket-Version: %s\r\nSec-WebSocket-Key: %s\r\n\r\n",
			method, version, connection, upgrade, wsVersion, key)
		req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		if err != nil {
			return
		}
		got, wrong := natsocket.Check(req)
		code := 0
		if wrong != nil {
			code = wrong.Code
		}
		switch {
		case code != 0 && (code < 400 || code > 505):
			t.Fatalf("refused with %d", code)
		case code != 0 && got != "":
			t.Fatal("refused, with a key")
		case code == 0:
			nonce, err := base64.StdEncoding.DecodeString(got)
			if err != nil || len(nonce) != 16 || req.Method != "GET" || !req.ProtoAtLeast(1, 1) ||
				!strings.Contains(strings.ToLower(strings.Join(req.Header["Connection"], ",")), "upgrade") ||
				!strings.Contains(strings.ToLower(strings.Join(req.Header["Upgrade"], ",")), "websocket") {
				t.Fatalf("let pass:\n%s", head)
			}
		}
	})
}
