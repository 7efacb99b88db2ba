package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// What waits at most for one endpoint; more is dropped and the caller times out.
const (
	pendingRequests = 256
	pendingBytes    = 32 << 20
)

// Directory is what the service needs of a directory.
type Directory interface {
	Conversation(context.Context, status.ConversationID) (directory.Conversation, error)
	Page(ctx context.Context, owner status.UserID, after status.ConversationID, limit int) ([]directory.Conversation, error)
	Create(context.Context, directory.Conversation) error
	AddMember(context.Context, status.ConversationID, status.UserID) (directory.Conversation, error)
	RemoveMember(context.Context, status.ConversationID, status.UserID) (directory.Conversation, error)
	AddCategory(context.Context, status.ConversationID, status.Category) (directory.Conversation, error)
	RetireCategory(context.Context, status.ConversationID, status.Category) (directory.Conversation, error)
	Delete(context.Context, status.ConversationID) error
	WasDeleted(context.Context, status.ConversationID) (bool, error)
	Import(context.Context, []directory.Conversation) []directory.Outcome
}

// Sessions are the browsers' connections to this node, as the gateway has them.
type Sessions interface {
	// Sessions returns those that the filter lets through, by ID.
	Sessions(session.Filter) []session.Info
	// Kick closes the user's connections and has the next login decided anew. It
	// returns how many it closed. by is who kicks, for the audit.
	Kick(user status.UserID, reason, by string) int
	// ConversationUse returns who listens in the conversation.
	ConversationUse(status.ConversationID) session.Use
}

// Explainer says what the gateway would decide, and from what.
type Explainer interface {
	Explain(context.Context, session.Question) (session.Explanation, error)
}

// Recorder takes security events. It does not wait.
type Recorder interface{ Record(audit.Event) }

// Service answers admin.>.
type Service struct {
	nc   *nats.Conn
	dir  Directory
	opts Options

	mu      sync.Mutex // guards the fields below
	micro   micro.Service
	stopped bool
	running sync.WaitGroup     // requests under way; joined only while not stopped
	cancel  context.CancelFunc // ends the requests under way
	ctx     context.Context
}

// New returns the service on a connection that may subscribe to admin.> and
// $SRV.>, answer, and purge the stream. It starts nothing. The connection and
// the directory stay the caller's.
func New(nc *nats.Conn, dir Directory, opts Options) (*Service, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("admin options: %w", err)
	}
	return &Service{nc: nc, dir: dir, opts: opts.withDefaults()}, nil
}

// endpoint is admin.<noun>.<verb>.
type endpoint struct {
	noun, verb string // verb is "" for admin.why
	handle     func(context.Context, []byte) (any, error)
	request    string
	response   string
}

// name is what micro calls the endpoint; those of conversations are the oldest
// and have their verb alone.
func (e endpoint) name() string {
	switch {
	case e.verb == "":
		return e.noun
	case e.noun == "conversation":
		return e.verb
	}
	return e.noun + "-" + e.verb
}

// subject is the subject below admin, without who asks.
func (e endpoint) subject() string { return strings.TrimSuffix(e.noun+"."+e.verb, ".") }

func (s *Service) endpoints() []endpoint {
	const one = `{"conversation":{"id","owner","members","categories","created"}}`
	list := []endpoint{
		{"conversation", "create", s.create, `{"id","owner","members","categories"}`, one},
		{"conversation", "show", s.show, `{"id"}`, `{"conversation":{…},"subscribers":{"connections","users","categories"}}`},
		{"conversation", "add", s.add, `{"id","member"}`, one},
		{"conversation", "remove", s.remove, `{"id","member"}`, one},
		{"conversation", "list", s.list, `{"owner","after","limit"}`, `{"conversations":[],"more"}`},
		{"conversation", "delete", s.delete, `{"id"}`, `{"id","purged"}`},
		{"conversation", "import", s.importLines, `JSON lines of {"id","owner","members","categories","created"}`, `{"lines","created","updated","unchanged","failed","errors":[{"line","error"}]}`},
		{"category", "add", s.addCategory, `{"id","category"}`, one},
		{"category", "retire", s.retireCategory, `{"id","category"}`, one},
	}
	if s.opts.Sessions != nil {
		list = append(list,
			endpoint{"session", "list", s.listSessions, `{"user","after","limit"}`, `{"sessions":[],"more"}`},
			endpoint{"session", "kick", s.kick, `{"user","reason"}`, `{"user","kicked"}`})
	}
	if s.opts.Keyring != nil {
		const one = `{"key":{"name","role","categories","public","created"}}`
		list = append(list,
			endpoint{"key", "create", s.createKey, `{"name","role","categories","public"}`, one},
			endpoint{"key", "list", s.listKeys, `{"after","limit"}`, `{"keys":[],"more"}`},
			endpoint{"key", "end", s.endKey, `{"name"}`, one})
	}
	if s.opts.Explainer != nil {
		list = append(list,
			endpoint{"why", "", s.why, `{"user","subject","queue","action"}`, `{"user","subject","action","steps":[{"step","found","from"}],"allowed","answer","sessions":[{"id","allowed","answer"}]}`})
	}
	return list
}

// Start subscribes, and returns when the server knows. A service is started once.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.micro != nil || s.stopped {
		return errors.New("admin was started or stopped before: make a new one")
	}
	service, err := micro.AddService(s.nc, micro.Config{
		Name:         "admin",
		Version:      s.opts.Version,
		Description:  "keeps conversations, shows and ends sessions, explains decisions",
		ErrorHandler: s.failed,
	})
	if err != nil {
		return fmt.Errorf("admin: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	group := service.AddGroup("admin")
	for _, e := range s.endpoints() {
		err := group.AddEndpoint(e.name(), s.handler(e),
			micro.WithEndpointSubject(e.subject()+".*"), // the last token is who asks
			micro.WithEndpointMetadata(map[string]string{"request": e.request, "response": e.response}),
			micro.WithEndpointPendingLimits(pendingRequests, pendingBytes))
		if err != nil {
			s.cancel()
			return errors.Join(fmt.Errorf("admin endpoint %s: %w", e.subject(), err), service.Stop())
		}
	}
	if err := flush(ctx, s.nc, s.opts.Timeout); err != nil {
		s.cancel()
		return errors.Join(fmt.Errorf("admin: %w", err), service.Stop())
	}
	s.micro = service
	return nil
}

// Stop takes no more requests and waits for those under way; when ctx ends they
// are broken off. Stopping twice or without Start is fine.
func (s *Service) Stop(ctx context.Context) error {
	s.mu.Lock()
	service, cancel := s.micro, s.cancel
	s.stopped = true
	s.mu.Unlock()
	if service == nil {
		return nil
	}
	defer cancel()
	if err := service.Stop(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		s.opts.Logger.Warn("admin: service does not stop cleanly", "error", err)
	}
	ended := make(chan struct{})
	go func() { // ends with the last request, which ends soon once it is cancelled
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		cancel()
		<-ended
		return fmt.Errorf("admin: requests were broken off: %w", ctx.Err())
	}
}

// enter joins the requests under way, unless the service is stopped.
func (s *Service) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.running.Add(1)
	return true
}

func (s *Service) handler(e endpoint) micro.Handler {
	return micro.HandlerFunc(func(r micro.Request) {
		// Who asks is in another account, so the server has made the reply subject.
		if r.Reply() != "" && !status.CanReply(r.Reply(), status.ReplyImport) {
			s.opts.Logger.Warn("admin: a request whose answer would go elsewhere than to an inbox is not looked at", "request", e.subject(), "reply", status.Quote(r.Reply()))
			return
		}
		if !s.enter() {
			s.refuse(r, e, ErrUnavailable)
			return
		}
		defer s.running.Done()
		ctx, cancel := context.WithTimeout(s.ctx, s.opts.Timeout)
		defer cancel()
		ctx, known := withActor(ctx, r.Subject())
		if !known {
			s.refuse(r, e, ErrBadRequest.Withf("the subject does not end with the name of a key"))
			return
		}
		answer, err := e.handle(ctx, r.Data())
		if err != nil {
			s.refuse(r, e, err)
			return
		}
		body, err := json.Marshal(answer)
		if err == nil && int64(len(body)) > s.nc.MaxPayload() {
			err = fmt.Errorf("the answer has %d bytes, the server's max_payload is %d", len(body), s.nc.MaxPayload())
		}
		if err != nil {
			s.refuse(r, e, err)
			return
		}
		if err := r.Respond(body); err != nil {
			s.opts.Logger.Warn("admin: cannot answer", "request", e.subject(), "error", err)
		}
	})
}

func (s *Service) refuse(r micro.Request, e endpoint, err error) {
	answer, hidden := told(err)
	if hidden {
		s.opts.Logger.Error("admin: request failed", "request", e.subject(), "error", err)
	}
	if err := r.Error(strconv.Itoa(answer.Code), oneLine(answer.Description), answer.Response()); err != nil {
		s.opts.Logger.Warn("admin: cannot answer", "request", e.subject(), "error", err)
	}
}

func (s *Service) failed(_ micro.Service, err *micro.NATSError) {
	s.opts.Logger.Warn("admin: service error", "subject", err.Subject, "error", err.Description)
}

// oneLine makes s fit for a header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

// flush returns when the server has seen all subscriptions.
func flush(ctx context.Context, nc *nats.Conn, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return nc.FlushWithContext(ctx)
}
