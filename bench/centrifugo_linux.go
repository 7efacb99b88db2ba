package bench

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// centrifugoServer is Centrifugo with its memory engine, and history with recovery
// in its channels.
type centrifugoServer struct {
	binary, dir string
	secret, key string
	child       *process
	address     string
}

func newCentrifugo(binary, dir string) *centrifugoServer {
	return &centrifugoServer{binary: binary, dir: dir, secret: rand.Text() + rand.Text(), key: rand.Text()}
}

const (
	// centrifugoHistory is how many statuses a channel remembers: more than a storm has.
	centrifugoHistory = 10_000
	centrifugoPath    = "/connection/websocket"
)

func (s *centrifugoServer) launch(log io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // it takes no port 0
	if err != nil {
		return err
	}
	s.address = listener.Addr().String()
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return err
	}
	settings, err := json.Marshal(map[string]any{
		"http_server": map[string]any{"address": "127.0.0.1", "port": port},
		"log":         map[string]any{"level": "error"},
		"health":      map[string]any{"enabled": true},
		"http_api":    map[string]any{"key": s.key},
		"client":      map[string]any{"token": map[string]any{"hmac_secret_key": s.secret}},
		"channel": map[string]any{"without_namespace": map[string]any{
			"allow_subscribe_for_client": true, "force_recovery": true, "history_size": centrifugoHistory, "history_ttl": "1h",
		}},
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(s.dir, "config.json")
	if err := os.WriteFile(file, settings, 0o600); err != nil {
		return err
	}
	if s.child, err = start(log, s.binary, "--config", file); err != nil {
		return err
	}
	go func() { // ends with the process
		for s.child.lines.Scan() {
			fmt.Fprintln(log, s.child.lines.Text())
		}
	}()
	for deadline := time.Now().Add(stormTimeout); ; time.Sleep(5 * time.Millisecond) {
		r, err := http.Get("http://" + s.address + "/health")
		if err == nil {
			_ = r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Now().After(deadline) {
			s.close()
			return errors.Join(errors.New("centrifugo is not ready"), err)
		}
	}
}

func (s *centrifugoServer) process() *process { return s.child }

func (s *centrifugoServer) close() {
	s.child.stop()
}
