package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

// statuswireServer is the binary with its defaults, but for the crowd, an empty data folder, and the
// service's connection with its key.
type statuswireServer struct {
	child     *process
	dir       string
	binary    string
	subjects  int
	endpoints app.Endpoints
	nc        *nats.Conn
	js        jetstream.JetStream
	refused   atomic.Pointer[error] // the first that was not acknowledged
}

// maxUnacknowledged is how many statuses may be on their way to the stream.
const maxUnacknowledged = 4096

// crowdedLimits let a crowd come from one address; all else is the default.
func crowdedLimits() []string {
	return []string{"connections_per_address: 1000000", "connections_per_user: 100000", "upgrades: 1000000", "upgrades_per_address: 1000000"}
}

func limitsBlock(limits []string) string { return "limits { " + strings.Join(limits, ", ") + " }\n" }

// configureCrowd makes the data folder, with the limits that the binary knows: the one
// of before a change may not know all.
func (s *statuswireServer) configureCrowd(ctx context.Context) error {
	var known []string
	for _, limit := range crowdedLimits() {
		if err := s.configure(limitsBlock([]string{limit})); err != nil {
			return err
		}
		if err := run(ctx, s.binary, "check", "--config", s.configFile()); err == nil {
			known = append(known, limit)
		}
	}
	return s.configure(limitsBlock(known))
}

func startStatuswire(ctx context.Context, opts Options, binary, dir string) (_ *statuswireServer, err error) {
	s := &statuswireServer{dir: dir, binary: binary, subjects: opts.Row.Subjects}
	if err := s.configureCrowd(ctx); err != nil {
		return nil, err
	}
	if err = s.launch(opts.Log); err != nil {
		return nil, err
	}
	if err = s.makeConversations(ctx, opts.Row); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// configure makes the data folder, with the settings in it.
func (s *statuswireServer) configure(settings string) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(s.configFile(), []byte(settings), 0o600)
}

func (s *statuswireServer) configFile() string { return filepath.Join(s.dir, "statuswire.conf") }

// launch starts the binary on the data folder and connects the service.
func (s *statuswireServer) launch(log io.Writer) (err error) {
	s.child, err = start(log, s.binary, "serve", "--config", s.configFile(), "--data", s.dir, "--http", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for line := ""; line != "ready"; {
		if line, err = s.child.line(); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(filepath.Join(s.dir, app.EndpointsFile))
	if err != nil {
		return err
	}
	if err = json.Unmarshal(text, &s.endpoints); err != nil {
		return err
	}
	return s.connect()
}

// makeConversations makes one for each subject; its sockets' users are members.
func (s *statuswireServer) makeConversations(ctx context.Context, row Row) error {
	var all []directory.Conversation
	for c := range row.Subjects {
		var members []status.UserID
		for i := c; i < row.Sockets; i += row.Subjects {
			if u := status.UserID(userOf(i)); !slices.Contains(members, u) {
				members = append(members, u)
			}
		}
		all = append(all, directory.Conversation{ID: status.ConversationID(conversationOf(c)), Owner: "owner", Members: members})
	}
	return s.importConversations(ctx, all)
}

func (s *statuswireServer) importConversations(ctx context.Context, all []directory.Conversation) error {
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	for _, c := range all {
		if err := out.Encode(c); err != nil {
			return err
		}
	}
	file := filepath.Join(s.dir, "conversations.jsonl")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		return err
	}
	return run(ctx, s.binary, "conversation", "import", "--data", s.dir, file)
}

// connect is the service.
func (s *statuswireServer) connect() error {
	login, err := nats.NkeyOptionFromSeed(filepath.Join(s.dir, "keys", "service.nk"))
	if err != nil {
		return err
	}
	if s.nc, err = nats.Connect(s.endpoints.NATS, login); err != nil {
		return err
	}
	s.js, err = jetstream.New(s.nc,
		jetstream.WithPublishAsyncMaxPending(maxUnacknowledged),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) {
			err = fmt.Errorf("a status on %s was not acknowledged: %w", m.Subject, err)
			s.refused.CompareAndSwap(nil, &err)
		}))
	return err
}

func (s *statuswireServer) process() *process { return s.child }

func (s *statuswireServer) order(row Row) (crowdOrder, error) {
	tokens, err := s.tokens(crowdUsers(row))
	return crowdOrder{Server: Statuswire, Address: strings.TrimPrefix(s.endpoints.WS, "ws://"), Row: row, Tokens: tokens}, err
}

func (s *statuswireServer) open(ctx context.Context, row Row, begun time.Time) (*crowd, error) {
	order, err := s.order(row)
	if err != nil {
		return nil, err
	}
	return order.open(ctx, begun)
}

// tokens makes one for each of the users.
func (s *statuswireServer) tokens(users []string) (map[string]string, error) {
	secret, err := keys.ReadTokenSecret(s.dir)
	if err != nil {
		return nil, err
	}
	return tokensOf(secret, users)
}

func tokensOf(secret []byte, users []string) (_ map[string]string, err error) {
	all := map[string]string{}
	for _, user := range users {
		if all[user], err = identity.Issue(secret, status.UserID(user), 24*time.Hour, time.Now()); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *statuswireServer) publish(number int, payload []byte) error {
	return s.publishOn(subjectOf(number%s.subjects), payload)
}

func (s *statuswireServer) publishOn(subject string, payload []byte) error {
	_, err := s.js.PublishAsync(subject, payload, jetstream.WithStallWait(10*time.Second))
	return err
}

// flush waits for the acknowledgements.
func (s *statuswireServer) flush(ctx context.Context) error {
	select {
	case <-s.js.PublishAsyncComplete():
	case <-ctx.Done():
		return fmt.Errorf("%d statuses are not acknowledged: %w", s.js.PublishAsyncPending(), ctx.Err())
	}
	if err := s.refused.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *statuswireServer) close() {
	if s.nc != nil {
		s.nc.Close()
	}
	s.child.stop()
}

var errOutOfTime = errors.New("the server is too slow for this rate")
