package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// login upgrades the socket (RFC 6455, section 4.1), sends hello, and returns
// when the server has answered all of it: then the subscription stands.
func (m *member) login(host, path string, hello []byte) error {
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := unix.Write(m.fd, []byte(request)); err != nil {
		return err
	}
	answer, err := m.readAnswer()
	if err != nil {
		return err
	}
	if err := m.write(hello); err != nil {
		return err
	}
	if err := m.hand(answer); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for !m.ponged {
		n, err := unix.Read(m.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("no answer to the login: %w", err)
		case n == 0:
			return errors.New("the server closed the socket at the login")
		}
		if err := m.hand(buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// hand gives feed what was read, as the crowd's loop does, which goes on with it.
func (m *member) hand(b []byte) error {
	m.crowd.mu.Lock()
	defer m.crowd.mu.Unlock()
	return m.feed(b)
}

// readAnswer reads the answer to the upgrade and returns what came behind it.
func (m *member) readAnswer() ([]byte, error) {
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := unix.Read(m.fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return nil, fmt.Errorf("no answer to the upgrade: %w", errors.Join(err, errors.New("the server closed it")))
		}
		all = append(all, buf[:n]...)
		if head, rest, ok := bytes.Cut(all, []byte("\r\n\r\n")); ok {
			if !strings.HasPrefix(string(head), "HTTP/1.1 101 ") {
				return nil, fmt.Errorf("the upgrade was refused: %q", all)
			}
			return rest, nil
		}
	}
}
