package bench

import (
	"bytes"
	"context"
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

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

func newStormServer(c Contender, opts StormOptions, dir string) stormServer {
	if c == CentrifugoRecovery {
		return &centrifugoServer{binary: opts.Centrifugo, dir: dir, subjects: opts.Subjects, secret: rand.Text() + rand.Text(), key: rand.Text()}
	}
	return &stormStatuswire{
		statuswireServer: &statuswireServer{binary: opts.Statuswire, dir: dir, subjects: opts.Subjects},
		history:          c == StatuswireHistory,
	}
}

// stormUsers has one user for each subject: all its clients are tabs of that one.
func stormUsers(subjects int) []string {
	users := make([]string, subjects)
	for s := range users {
		users[s] = fmt.Sprintf("user%d", s)
	}
	return users
}

// inOrder is the tokens by subject.
func inOrder(tokens map[string]string, users []string) []string {
	all := make([]string, len(users))
	for i, u := range users {
		all[i] = tokens[u]
	}
	return all
}

// stormStatuswire is the binary with its defaults, but for the crowd.
type stormStatuswire struct {
	*statuswireServer
	history bool
}

func (s *stormStatuswire) launch(log io.Writer) error {
	if _, err := os.Stat(s.configFile()); err != nil { // the first time
		if err := s.configureCrowd(context.Background()); err != nil {
			return err
		}
	}
	return s.statuswireServer.launch(log)
}

// populate makes the conversations.
func (s *stormStatuswire) populate(ctx context.Context, subjects int) error {
	var all []directory.Conversation
	for i, u := range stormUsers(subjects) {
		all = append(all, directory.Conversation{ID: status.ConversationID(conversationOf(i)), Owner: status.UserID(u)})
	}
	return s.importConversations(ctx, all)
}

func (s *stormStatuswire) publish(subject int, payload []byte, _ bool) error {
	return s.statuswireServer.publish(subject, payload)
}

func (s *stormStatuswire) url() string { return s.endpoints.WS }

func (s *stormStatuswire) dialect() (dialect, error) {
	users := stormUsers(s.subjects)
	tokens, err := s.tokens(users)
	return &natsDialect{tokens: inOrder(tokens, users), history: s.history}, err
}

// centrifugoServer is Centrifugo with its memory engine, and history with recovery
// in its channels.
type centrifugoServer struct {
	binary, dir string
	subjects    int
	secret, key string
	child       *process
	address     string
	client      http.Client
	batch       bytes.Buffer // commands that are not sent yet
}

const (
	// centrifugoHistory is how many statuses a channel remembers: more than a storm has.
	centrifugoHistory = 10_000
	// centrifugoBatchBytes is how much goes into one request.
	centrifugoBatchBytes = 32 << 10
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
		r, err := s.client.Get("http://" + s.address + "/health")
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

func (s *centrifugoServer) url() string { return "ws://" + s.address + "/connection/websocket" }

func (s *centrifugoServer) dialect() (dialect, error) {
	users := stormUsers(s.subjects)
	tokens, err := tokensOf([]byte(s.secret), users)
	return &centrifugoDialect{tokens: inOrder(tokens, users)}, err
}

func (s *centrifugoServer) publish(subject int, payload []byte, more bool) error {
	if s.batch.Len() == 0 {
		s.batch.WriteString(`{"commands":[`)
	} else {
		s.batch.WriteByte(',')
	}
	fmt.Fprintf(&s.batch, `{"publish":{"channel":%q,"data":%s}}`, conversationOf(subject), payload)
	if more && s.batch.Len() < centrifugoBatchBytes {
		return nil
	}
	return s.flush(context.Background())
}

func (s *centrifugoServer) flush(ctx context.Context) error {
	if s.batch.Len() == 0 {
		return nil
	}
	s.batch.WriteString("]}")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/api/batch", &s.batch)
	if err != nil {
		return err
	}
	r.Header.Set("X-API-Key", s.key)
	answer, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	s.batch.Reset()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || bytes.Contains(text, []byte(`"error"`)) {
		return fmt.Errorf("centrifugo refuses to publish: %s: %.300s", answer.Status, text)
	}
	return nil
}

func (s *centrifugoServer) close() {
	s.client.CloseIdleConnections()
	s.child.stop()
}
