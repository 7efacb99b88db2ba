package link

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"

	"github.com/statuswire/statuswire/internal/session"
)

// link is one connection to the server.
type link struct {
	conn   net.Conn
	in     *bufio.Reader
	server string // the id of the server that it leads to
}

func newLink(conn net.Conn) *link { return &link{conn: conn, in: bufio.NewReaderSize(conn, 2048)} }

// maxLineBytes bounds a line that the server sends on a link; INFO is the longest.
const maxLineBytes = 32 << 10

// readInfo returns what the server calls the link, in its INFO. Another server may
// take its place at any time: what was asked of the engine may be of the next one.
func readInfo(line []byte) (session.Key, error) {
	body, ok := bytes.CutPrefix(line, []byte("INFO "))
	var info struct {
		ServerID string `json:"server_id"`
		ClientID uint64 `json:"client_id"`
	}
	if !ok || json.Unmarshal(body, &info) != nil || info.ClientID == 0 || info.ServerID == "" {
		return session.Key{}, errors.New("the server's first line on a link is no INFO with a server id and a client id")
	}
	return session.Key{ServerID: info.ServerID, ClientID: info.ClientID}, nil
}

// readVerdict returns nil when the server let the link in.
func (k *link) readVerdict() error {
	for {
		line, err := k.readLine()
		switch {
		case err != nil:
			return fmt.Errorf("the link ended without a verdict: %w", err)
		case bytes.HasPrefix(line, []byte("PONG")):
			return nil
		case bytes.HasPrefix(line, []byte("-ERR")):
			return fmt.Errorf("the server refused a link: %s", bytes.TrimSpace(line))
		}
	}
}

// readLine reads one line, bounded.
func (k *link) readLine() ([]byte, error) {
	var line []byte
	for {
		piece, err := k.in.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil:
			return line, nil
		case err != bufio.ErrBufferFull:
			return nil, err
		case len(line) > maxLineBytes:
			return nil, fmt.Errorf("a line of more than %d bytes", maxLineBytes)
		}
	}
}
