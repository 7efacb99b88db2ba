package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

const (
	replayedConversation = "replayed"
	replayUser           = "reader"
	fillers              = 200 // conversations that hold the rest of the stream
	// memoryInterval is how often the server's memory is looked at.
	memoryInterval = 20 * time.Millisecond
)

// Replay measures what reading a long history does to the server's memory and to
// the delivery of what is published meanwhile. Everything that it starts has ended
// when it returns.
func Replay(ctx context.Context, opts ReplayOptions) (report ReplayReport, err error) {
	if err := opts.Validate(); err != nil {
		return report, err
	}
	opts.Log = cmp.Or(opts.Log, io.Discard)
	dir, remove, err := scratch()
	if err != nil {
		return report, err
	}
	defer remove(&err)
	s, err := startStatuswire(ctx, Options{Row: opts.Live, Log: opts.Log}, opts.Statuswire, filepath.Join(dir, Statuswire))
	if err != nil {
		return report, err
	}
	b := &bout{name: Statuswire, server: s, begun: time.Now()}
	defer b.close()
	if err := s.fill(ctx, opts); err != nil {
		return report, fmt.Errorf("fill the stream: %w", err)
	}
	if b.crowd, err = s.open(ctx, opts.Live, b.begun); err != nil {
		return report, err
	}
	report.Options = opts
	if err := report.rounds(ctx, b, s); err != nil {
		return report, err
	}
	report.After, err = s.child.rss()
	return report, err
}

// fill stores the statuses, those of the replayed conversation evenly among them
// and in four categories.
func (s *statuswireServer) fill(ctx context.Context, opts ReplayOptions) error {
	all := []directory.Conversation{{ID: replayedConversation, Owner: replayUser}}
	for i := range fillers {
		all = append(all, directory.Conversation{ID: status.ConversationID(fillerOf(i)), Owner: "owner"})
	}
	if err := s.importConversations(ctx, all); err != nil {
		return err
	}
	categories := status.DefaultCategories()[:4]
	replayed := 0
	for i := range opts.Stream {
		subject := status.Subject(status.ConversationID(fillerOf(i%fillers)), status.DefaultCategories()[0])
		number := i
		// The next one is due when its share of the stream has passed.
		if i*opts.Replayed >= replayed*opts.Stream && replayed < opts.Replayed {
			subject, number = status.Subject(replayedConversation, categories[replayed%len(categories)]), replayed
			replayed++
		}
		if err := s.publishOn(subject, appendFill(subject, number)); err != nil {
			return err
		}
		if i%100_000 == 0 {
			fmt.Fprintf(opts.Log, "%d of %d stored\n", i, opts.Stream)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return s.flush(ctx)
}

func fillerOf(i int) string { return "filler" + strconv.Itoa(i) }

// appendFill is a status as appendStatus makes it, of the subject's category.
func appendFill(subject string, number int) []byte {
	_, category, err := status.ParseSubject(subject)
	if err != nil {
		panic(err) // it is our own
	}
	return fmt.Appendf(nil, `{"category":%q,"text":"Processing the query, step 2 of 3","timestamp":"2024-01-19T12:00:00Z",`+
		`"metadata":{"step":2,"total_steps":3,"sent":"%016d","number":"%010d"}}`, category, 0, number)
}

// rounds measures without the readers and with them, in turn.
func (r *ReplayReport) rounds(ctx context.Context, b *bout, s *statuswireServer) error {
	readers := make([]*replayReader, r.Options.Readers)
	for i := range readers {
		var err error
		if readers[i], err = s.openReader(r.Options.Replayed); err != nil {
			return err
		}
		defer readers[i].nc.Close()
	}
	if _, err := r.live(ctx, b); err != nil { // warms up
		return err
	}
	var err error
	if r.Before, err = s.child.rss(); err != nil {
		return err
	}
	for round := range r.Options.Rounds {
		var both ReplayRound
		if both.Quiet, err = r.live(ctx, b); err != nil {
			return err
		}
		if both.Reading, both.Replays, err = r.beside(ctx, b, s, readers); err != nil {
			return err
		}
		r.Rounds = append(r.Rounds, both)
		fmt.Fprintf(r.Options.Log, "round %d: p99 %v, with %d replays %v\n", round+1, both.Quiet.P99, len(both.Replays), both.Reading.P99)
	}
	return nil
}

// live publishes for the duration and measures the delivery.
func (r *ReplayReport) live(ctx context.Context, b *bout) (Delivery, error) {
	o := r.Options
	ctx, cancel := context.WithTimeout(ctx, 2*o.Duration+arrival)
	defer cancel()
	watch, err := newWatch(b.server.process())
	if err != nil {
		return Delivery{}, err
	}
	messages := max(1, int(float64(o.Live.Rate)*o.Duration.Seconds()))
	if err := b.publish(ctx, messages, o.Live.Rate); err != nil {
		return Delivery{}, err
	}
	if err := b.crowd.waitFor(ctx, int64(b.sent)*int64(o.Live.deliveries())); err != nil {
		return Delivery{}, err
	}
	took, err := watch.stop()
	if err != nil {
		return Delivery{}, err
	}
	latencies, _, err := b.crowd.measured()
	if err != nil {
		return Delivery{}, err
	}
	if want := messages * o.Live.deliveries(); len(latencies) != want {
		return Delivery{}, fmt.Errorf("%d deliveries where %d were due", len(latencies), want)
	}
	d := Delivery{Others: took.others + took.stolen}
	d.P50, d.P99 = percentiles(latencies)
	d.Max = latencies[len(latencies)-1]
	return d, nil
}

// beside is live while the readers read.
func (r *ReplayReport) beside(ctx context.Context, b *bout, s *statuswireServer, readers []*replayReader) (Delivery, []time.Duration, error) {
	var (
		running sync.WaitGroup
		mu      sync.Mutex // guards what follows
		replays []time.Duration
		failed  error
	)
	stop := make(chan struct{})
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, err)
	}
	for _, reader := range readers {
		running.Go(func() { // ends after the replay that is under way
			for first := true; first || !closed(stop); first = false {
				took, err := reader.read()
				if err != nil {
					fail(err)
					return
				}
				mu.Lock()
				replays = append(replays, took)
				mu.Unlock()
			}
		})
	}
	watched := make(chan struct{})
	go func() { // ends with the readers
		defer close(watched)
		for !closed(stop) {
			rss, err := s.child.rss()
			if err != nil {
				fail(err)
				return
			}
			r.Peak = max(r.Peak, rss)
			time.Sleep(memoryInterval)
		}
	}()
	d, err := r.live(ctx, b)
	close(stop)
	running.Wait()
	<-watched
	return d, replays, errors.Join(err, failed)
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// replayReader is a browser that reads the whole history.
type replayReader struct {
	nc    *nats.Conn
	total int
}

// openReader logs in over WebSocket as a browser does.
func (s *statuswireServer) openReader(total int) (*replayReader, error) {
	secret, err := keys.ReadTokenSecret(s.dir)
	if err != nil {
		return nil, err
	}
	token, err := identity.Issue(secret, replayUser, 24*time.Hour, time.Now())
	if err != nil {
		return nil, err
	}
	nc, err := nats.Connect(s.endpoints.WS, nats.Token(token))
	return &replayReader{nc, total}, err
}

// read reads once and holds that each status comes once and in order.
func (r *replayReader) read() (time.Duration, error) {
	begun := time.Now()
	inbox := r.nc.NewInbox()
	sub, err := r.nc.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer sub.Unsubscribe()
	subject := status.EdgeSubject(replayedConversation, status.EdgeHistory)
	if err := r.nc.PublishRequest(subject, inbox, fmt.Appendf(nil, `{"limit":%d}`, maxReplayed)); err != nil {
		return 0, err
	}
	var last uint64
	for n := 0; ; n++ {
		m, err := sub.NextMsg(time.Minute)
		if err != nil {
			return 0, fmt.Errorf("after %d of %d statuses: %w", n, r.total, err)
		}
		if m.Header.Get(status.HeaderSubject) == "" {
			if n != r.total || m.Header.Get(status.HeaderMore) != "" || m.Header.Get(status.HeaderTruncated) != "" {
				return 0, fmt.Errorf("the history ends after %d of %d statuses with %v %s", n, r.total, m.Header, m.Data)
			}
			return time.Since(begun), nil
		}
		_, number, err := parseStatus(m.Data)
		seq, _ := strconv.ParseUint(m.Header.Get(status.HeaderSequence), 10, 64)
		if err != nil || number != n || seq <= last {
			return 0, fmt.Errorf("status %d with sequence %d comes as number %d after %d: %w", number, seq, n, last, errors.Join(err, errOrder))
		}
		last = seq
	}
}

var errOrder = errors.New("the order is wrong")
