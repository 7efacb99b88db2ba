package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/pires/go-proxyproto"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/status"
)

const (
	// perConversation is how many good browsers share one.
	perConversation = 10
	// Users of the siege.
	visitor     = "visitor" // each good login is another one, of conversation 0
	guest       = "guest"   // whose access changes
	inviting    = "inviting"
	pinger      = "pinger"
	joiner      = "joiner"
	joined      = "joined"
	manyLogins  = 1000 // users that a good login may be
	loginBound  = 20 * time.Second
	joinedBytes = 48 << 10 // of one status of the conversation that is joined
)

// from is a connection's other end, as the server is told of it.
type from netip.Addr

// Dial connects and says where the connection comes from (PROXY protocol, version 2).
// It is nats.CustomDialer.
func (f from) Dial(network, address string) (net.Conn, error) {
	conn, err := net.DialTimeout(network, address, loginBound)
	if err != nil {
		return nil, err
	}
	source := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.Addr(f), 40000))
	target := &net.TCPAddr{IP: net.ParseIP("203.0.113.1"), Port: 443}
	if netip.Addr(f).Is6() {
		target.IP = net.ParseIP("2001:db8::1")
	}
	if _, err := proxyproto.HeaderProxyFromAddrs(2, source, target).WriteTo(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// goodAddress is where good browser i is: ten share an address.
func goodAddress(i int) from {
	return from(netip.AddrFrom4([4]byte{198, 51, 100, byte(i / 10)}))
}

// populate makes the conversations of all who take part.
func (s *siege) populate(ctx context.Context) error {
	s.sent = make([]int, (s.opts.Browsers+perConversation-1)/perConversation)
	all := []directory.Conversation{
		{ID: joined, Owner: joiner},
		{ID: inviting, Owner: "owner"},
	}
	for c := range s.sent {
		conversation := directory.Conversation{ID: status.ConversationID(conversationOf(c)), Owner: "owner"}
		for i := c * perConversation; i < min((c+1)*perConversation, s.opts.Browsers); i++ {
			conversation.Members = append(conversation.Members, status.UserID(goodUser(i)))
		}
		all = append(all, conversation)
	}
	// The directory bounds the members of one conversation.
	for v := range manyLogins {
		all = append(all, directory.Conversation{ID: status.ConversationID(visited(v)), Owner: status.UserID(visitorOf(v))})
	}
	if err := s.server.importConversations(ctx, all); err != nil {
		return err
	}
	if s.opts.Hostile.Joiners > 0 {
		text := strings.Repeat("x", joinedBytes)
		for _, category := range status.DefaultCategories() {
			payload := fmt.Appendf(nil, `{"category":%q,"text":%q}`, category, text)
			if err := s.server.publishOn(status.Subject(joined, category), payload); err != nil {
				return err
			}
		}
	}
	return s.server.flush(ctx)
}

func goodUser(i int) string  { return fmt.Sprintf("good%d", i) }
func visitorOf(v int) string { return fmt.Sprintf("%s%d", visitor, v) }
func visited(v int) string   { return fmt.Sprintf("visited%d", v) }

// goodBrowsers are the ones whose deliveries are looked at.
type goodBrowsers struct {
	all         []*goodBrowser
	disconnects atomic.Int64
	ending      atomic.Bool
}

// goodBrowser is an unmodified client with one subscription.
type goodBrowser struct {
	nc           *nats.Conn
	conversation int
	next         atomic.Int64 // the number of the status that comes next

	mu        sync.Mutex // guards what follows
	before    int        // statuses of the conversation before begin
	latencies []time.Duration
	wrong     error
}

func (s *siege) openGood() (_ *goodBrowsers, err error) {
	good := &goodBrowsers{}
	defer func() {
		if err != nil {
			good.close()
		}
	}()
	var users []string
	for i := range s.opts.Browsers {
		users = append(users, goodUser(i))
	}
	tokens, err := s.server.tokens(users)
	if err != nil {
		return nil, err
	}
	for i, user := range users {
		b := &goodBrowser{conversation: i / perConversation}
		b.nc, err = nats.Connect(s.server.endpoints.WS, nats.Token(tokens[user]), nats.SetCustomDialer(goodAddress(i)),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
				if !good.ending.Load() {
					good.disconnects.Add(1)
					fmt.Fprintf(s.opts.Log, "a good browser was disconnected: %v\n", err)
				}
			}))
		if err != nil {
			return nil, fmt.Errorf("good browser %d: %w", i, err)
		}
		good.all = append(good.all, b)
		if _, err = b.nc.Subscribe(subjectOf(b.conversation), func(m *nats.Msg) { b.take(m, time.Since(s.begun)) }); err != nil {
			return nil, err
		}
		if err = b.nc.Flush(); err != nil {
			return nil, err
		}
	}
	return good, nil
}

// take looks at one delivery.
func (b *goodBrowser) take(m *nats.Msg, at time.Duration) {
	sent, number, err := parseStatus(m.Data)
	b.mu.Lock()
	defer b.mu.Unlock()
	if next := b.next.Load(); err == nil && int64(number) < next {
		err = fmt.Errorf("number %d came where %d was due: %w", number, next, errOrder)
	}
	if err != nil {
		b.wrong = errors.Join(b.wrong, err)
		return
	}
	b.latencies = append(b.latencies, at-sent)
	b.next.Store(int64(number) + 1)
}

// begin forgets what was measured: so much was sent before.
func (g *goodBrowsers) begin(sent []int) {
	for _, b := range g.all {
		b.mu.Lock()
		b.latencies, b.before = nil, sent[b.conversation]
		b.mu.Unlock()
	}
	g.disconnects.Store(0)
}

// await waits until all have what was sent, as long as it may take, and returns how
// many statuses are missing. One that a later one has overtaken is missing as well.
func (g *goodBrowsers) await(ctx context.Context, sent []int) (missing int) {
	deadline := time.Now().Add(arrival)
	for _, b := range g.all {
		for int(b.next.Load()) < sent[b.conversation] && time.Now().Before(deadline) && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
	for _, b := range g.all {
		b.mu.Lock()
		missing += sent[b.conversation] - b.before - len(b.latencies)
		b.mu.Unlock()
	}
	return missing
}

// measured returns the latencies since begin.
func (g *goodBrowsers) measured() (latencies []time.Duration, disconnects int, err error) {
	for _, b := range g.all {
		b.mu.Lock()
		latencies, err = append(latencies, b.latencies...), errors.Join(err, b.wrong)
		b.mu.Unlock()
	}
	return latencies, int(g.disconnects.Load()), err
}

func (g *goodBrowsers) close() {
	g.ending.Store(true)
	for _, b := range g.all {
		b.nc.Close()
	}
}

// goodLogins come, subscribe, and go.
type goodLogins struct {
	siege   *siege
	took    []time.Duration
	refused []string
}

// run logs in at the rate until the context ends, each time as another user.
func (l *goodLogins) run(ctx context.Context) error {
	s := l.siege
	if s.opts.Logins == 0 {
		return nil
	}
	var users []string
	for v := range manyLogins {
		users = append(users, visitorOf(v))
	}
	tokens, err := s.server.tokens(users)
	if err != nil {
		return err
	}
	var (
		mu      sync.Mutex // guards l
		running sync.WaitGroup
	)
	tick := time.NewTicker(time.Second / time.Duration(s.opts.Logins))
	defer tick.Stop()
	defer func() {
		running.Wait()
		slices.Sort(l.took)
	}()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		v := s.visitors % manyLogins
		s.visitors++
		running.Go(func() {
			took, err := s.login(v, tokens[visitorOf(v)])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				l.refused = append(l.refused, err.Error())
				return
			}
			l.took = append(l.took, took)
		})
	}
}

// login is a whole one, from dialling until the subscription stands.
func (s *siege) login(v int, token string) (time.Duration, error) {
	began := time.Now()
	address := from(netip.AddrFrom4([4]byte{192, 0, 2, byte(v)}))
	nc, err := nats.Connect(s.server.endpoints.WS, nats.Token(token), nats.SetCustomDialer(address), nats.NoReconnect(), nats.Timeout(loginBound))
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	refused := make(chan error, 1)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case refused <- err:
		default:
		}
	})
	if _, err := nc.SubscribeSync(status.Subject(status.ConversationID(visited(v)), status.DefaultCategories()[0])); err != nil {
		return 0, err
	}
	if err := nc.FlushTimeout(loginBound); err != nil {
		return 0, err
	}
	took := time.Since(began)
	select {
	case err := <-refused:
		return 0, err
	default:
		return took, nil
	}
}

// changes are the administrator's, spread over the siege.
func (s *siege) changes(ctx context.Context) error {
	if s.opts.Changes == 0 {
		return nil
	}
	tick := time.NewTicker(s.opts.Duration / time.Duration(s.opts.Changes+1))
	defer tick.Stop()
	for n := range s.opts.Changes {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := run(ctx, s.opts.Statuswire, "conversation", "add", inviting, "--member", guestOf(n), "--data", s.server.dir); err != nil {
			return err
		}
	}
	return nil
}

func guestOf(n int) string { return fmt.Sprintf("%s%d", guest, n) }

// recordedBound is how long a record may take until it can be read.
const recordedBound = 10 * time.Second

// recorded counts the changes of access that have a record of their own, as an
// operator reads them.
func (s *siege) recorded(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*recordedBound)
	defer cancel()
	login, err := nats.NkeyOptionFromSeed(filepath.Join(s.server.dir, "keys", "operator.nk"))
	if err != nil {
		return 0, err
	}
	nc, err := nats.Connect(s.server.endpoints.NATS, login, nats.CustomInboxPrefix("_INBOX_operator"))
	if err != nil {
		return 0, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, err
	}
	stream, err := js.Stream(ctx, engine.StreamAuditAdmin)
	if err != nil {
		return 0, err
	}
	wanted := map[status.UserID]bool{}
	for n := range s.opts.Changes {
		wanted[status.UserID(guestOf(n))] = true
	}
	next := uint64(1)
	for deadline := time.Now().Add(recordedBound); len(wanted) > 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		info, err := stream.Info(ctx)
		if err != nil {
			return 0, err
		}
		for ; next <= info.State.LastSeq; next++ {
			m, err := stream.GetMsg(ctx, next)
			if err != nil {
				return 0, err
			}
			var record audit.Record
			if err := json.Unmarshal(m.Data, &record); err != nil {
				return 0, err
			}
			if record.Kind == audit.KindMemberAdded && record.Count == 1 && record.Conversation == inviting {
				delete(wanted, record.User)
			}
		}
	}
	return s.opts.Changes - len(wanted), nil
}
