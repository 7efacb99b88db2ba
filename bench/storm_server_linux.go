package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

func newStormServer(c Contender, opts StormOptions, dir string) stormServer {
	if c == CentrifugoRecovery {
		return &stormCentrifugo{centrifugoServer: newCentrifugo(opts.Centrifugo, dir), subjects: opts.Subjects}
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

// stormCentrifugo is Centrifugo, told of many statuses by one request.
type stormCentrifugo struct {
	*centrifugoServer
	subjects int
	client   http.Client
	batch    bytes.Buffer // commands that are not sent yet
}

// centrifugoBatchBytes is how much goes into one request.
const centrifugoBatchBytes = 32 << 10

func (s *stormCentrifugo) url() string { return "ws://" + s.address + centrifugoPath }

func (s *stormCentrifugo) dialect() (dialect, error) {
	users := stormUsers(s.subjects)
	tokens, err := tokensOf([]byte(s.secret), users)
	return &centrifugoDialect{tokens: inOrder(tokens, users)}, err
}

func (s *stormCentrifugo) publish(subject int, payload []byte, more bool) error {
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

func (s *stormCentrifugo) flush(ctx context.Context) error {
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
	return publishRefused(answer, text)
}

func (s *stormCentrifugo) close() {
	s.client.CloseIdleConnections()
	s.centrifugoServer.close()
}
