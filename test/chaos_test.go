//go:build e2e

package test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	chaosFull = flag.Bool("chaos.full", false, "break things for five minutes")
	chaosSeed = flag.Uint64("chaos.seed", 0, "what breaks, and when; 0 picks one")
	chaosKeep = flag.Bool("chaos.keep", false, "with links: keep, so that the NATS server decides each login; the forgetful form does anyway")
)

// chaosForm is how much of it there is.
type chaosForm struct {
	time                                 time.Duration // of the faults
	conversations                        int
	rate                                 float64 // statuses a second, of all conversations together
	ours, core, ws, sse                  int     // clients of each kind
	faultEvery, publisherEvery, endEvery time.Duration
	stall                                time.Duration // the longest
	settle                               time.Duration // until all must have everything
	quick                                bool          // all our clients try sooner than by default; else every second one
	padding                              int           // bytes that each status has besides
	retention                            string        // the block of the configuration; "" keeps everything
	keep                                 bool          // links: keep
	resume                               string        // the same; "" is the default
}

var (
	chaosShort = chaosForm{
		time: 20 * time.Second, conversations: 6, rate: 60, ours: 8, core: 4, ws: 4, sse: 3, quick: true,
		faultEvery: 500 * time.Millisecond, publisherEvery: 2 * time.Second, endEvery: 6 * time.Second,
		stall: 5 * time.Second, settle: 30 * time.Second,
	}
	// chaosForgetful keeps some four seconds of what is published, less than many a
	// client is away.
	chaosForgetful = chaosForm{
		time: 20 * time.Second, conversations: 6, rate: 60, ours: 8, core: 4, ws: 4, sse: 3, quick: true,
		faultEvery: 500 * time.Millisecond, publisherEvery: 2 * time.Second, endEvery: 8 * time.Second,
		stall: 15 * time.Second, settle: 30 * time.Second,
		padding: 4 << 10, retention: "retention { max_bytes: 1MB }\n", keep: true,
	}
	chaosLong = chaosForm{
		time: 5 * time.Minute, conversations: 20, rate: 200, ours: 50, core: 25, ws: 25, sse: 10,
		faultEvery: 250 * time.Millisecond, publisherEvery: 5 * time.Second, endEvery: 25 * time.Second,
		stall: 20 * time.Second, settle: 2 * time.Minute,
	}
)

func (f chaosForm) links() string {
	if f.keep || *chaosKeep {
		return "links: keep\n"
	}
	return ""
}

// chaosCategories are those that are published.
var chaosCategories = []string{"engine", "tool", "progress"}

const chaosConfig = `
limits {
  categories: 100
  operations: 1000
  subscription_changes: 10000
  connections_per_user: 1000
  connections_per_address: 10000
  upgrades_per_address: 10000
}
keepalive { ping_interval: 5s, pong_timeout: 5s }
shutdown { drain: 5s, close_spread: 1s }
`

// chaosSilence is how long a reader of events waits for a byte: two of the
// keepalive's intervals and a little.
const chaosSilence = 12 * time.Second

// TestChaos breaks everything that can break between publishers and browsers, and
// then compares what each browser got with what was acknowledged. `make test-chaos`
// runs the long form.
func TestChaos(t *testing.T) {
	form := chaosShort
	if *chaosFull {
		form = chaosLong
	}
	runChaos(t, form)
}

// TestChaosWithLittleRetention drops statuses while clients are away: what they do
// not get, they must have been told of.
func TestChaosWithLittleRetention(t *testing.T) { runChaos(t, chaosForgetful) }

// TestChaosWithLittleMemory serves who comes back from memory now and then: of each
// subject one or two statuses are in it at a time, or what all have fits for a moment.
func TestChaosWithLittleMemory(t *testing.T) {
	for _, tail := range []string{"1KB", "24KB"} {
		t.Run(tail, func(t *testing.T) {
			form := chaosShort
			form.time, form.resume = 10*time.Second, "\nresume { tail: "+tail+" }\n"
			runChaos(t, form)
		})
	}
}

func runChaos(t *testing.T, form chaosForm) {
	seed := *chaosSeed
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d; the same again: -chaos.seed %d", seed, seed)
	c := newChaos(t, form, seed)
	c.waitUntil("every client is subscribed", startTimeout, c.log.allReady)
	c.breakEverything()
	c.compare()
}

// chaos is one run.
type chaos struct {
	t      *testing.T
	form   chaosForm
	seed   uint64
	random *rand.Rand // the test's own goroutine alone

	config, dataDir string
	server          *statuswire // the one that runs
	servers         int         // so far
	browsers        *network
	services        *network
	publisher       *chaosPublisher
	clients         []*chaosClient
	kinds           map[string]int // of clients: how many
	log             *chaosLog

	mu     sync.Mutex     // guards what follows
	faults map[string]int // by kind
}

func newChaos(t *testing.T, form chaosForm, seed uint64) *chaos {
	c := &chaos{t: t, form: form, seed: seed, random: rand.New(rand.NewPCG(seed, 1<<32)), faults: map[string]int{}, kinds: map[string]int{},
		config: writeConfig(t, chaosConfig+form.retention+form.resume+form.links()), dataDir: t.TempDir(), browsers: startNetwork(t), services: startNetwork(t)}
	c.startServer()

	subjects := map[string][]string{}
	var users []string
	for i := range 10 {
		users = append(users, fmt.Sprintf("user%d", i))
	}
	for i := range form.conversations {
		id := fmt.Sprintf("c%d", i)
		args := []string{"conversation", "create", id, "--owner", "owner"}
		for _, user := range users {
			args = append(args, "--member", user)
		}
		c.server.run(t, args...)
		for _, category := range chaosCategories {
			subjects[id] = append(subjects[id], "status."+id+"."+category)
		}
	}
	c.publisher = newChaosPublisher(t, c.server, "nats://"+c.services.address(), subjects)
	c.publisher.rate = form.rate / float64(form.conversations)
	c.publisher.again = 0.03
	c.publisher.seed = seed
	c.publisher.padding = form.padding
	c.startClients(users)
	return c
}

// startServer starts the first server, or the next one.
func (c *chaos) startServer() {
	s := launch(c.t, c.dataDir, "--config", c.config)
	c.servers++
	number := c.servers
	c.t.Cleanup(func() {
		s.Stop()
		if c.t.Failed() {
			c.t.Logf("the end of the log of server %d:\n%s", number, lastLines(s.Log(), 40))
		}
	})
	c.server = s
	if err := s.ready(); err != nil {
		c.t.Fatal(err)
	}
	c.browsers.setTarget(strings.TrimPrefix(s.HTTP, "http://"))
	c.services.setTarget(strings.TrimPrefix(s.NATS, "nats://"))
}

func (c *chaos) startClients(users []string) {
	var tokens []string
	for _, user := range users {
		tokens = append(tokens, c.server.run(c.t, "token", "--user", user))
	}
	token := func() string { return tokens[c.random.IntN(len(tokens))] }
	var ours, unmodified []plannedClient
	for i := range c.form.ours {
		client := c.addClient("@statuswire/client", exactlyOnce)
		p := plannedClient{Name: client.name, Token: token(), Conversations: map[string][]string{}, Quick: c.form.quick || i%2 == 0}
		for range 3 {
			conversation, categories := c.want(client)
			p.Conversations[conversation] = categories
		}
		ours = append(ours, p)
	}
	for _, library := range []struct {
		name  string
		count int
	}{{"@nats-io/nats-core", c.form.core}, {"nats.ws", c.form.ws}} {
		for range library.count {
			client := c.addClient(library.name, atLeastOnce)
			p := plannedClient{Name: client.name, Token: token(), Library: library.name, Covered: map[string][]string{}}
			for range 3 {
				conversation, categories := c.want(client)
				if len(categories) == len(chaosCategories) {
					for _, category := range categories {
						all := "status." + conversation + ".*"
						p.Covered[all] = append(p.Covered[all], "status."+conversation+"."+category)
					}
					categories = []string{"*"}
				}
				for _, category := range categories {
					p.Subjects = append(p.Subjects, "status."+conversation+"."+category)
				}
			}
			unmodified = append(unmodified, p)
		}
	}
	var readers []*sseClient
	for range c.form.sse {
		client := c.addClient("server-sent events", atLeastOnce)
		r := &sseClient{name: client.name, token: token(), silence: chaosSilence, forgetful: c.form.retention != ""}
		var categories []string
		r.conversation, categories = c.want(client)
		r.subjects = client.subjects
		r.url = fmt.Sprintf("http://%s/v1/conversations/%s/events?categories=%s", c.browsers.address(), r.conversation, strings.Join(categories, ","))
		readers = append(readers, r)
	}
	c.log = newChaosLog(c.clients)
	startNodeClients(c.t, c.log, "chaos/ours.mjs", "ws://"+c.browsers.address(), ours)
	startNodeClients(c.t, c.log, "chaos/unmodified.mjs", "ws://"+c.browsers.address(), unmodified)
	ctx, stop := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	for _, reader := range readers {
		reader.log = c.log
		reading.Go(func() { reader.run(ctx) })
	}
	c.t.Cleanup(func() {
		stop()
		reading.Wait()
	})
}

// addClient adds the next client of a kind.
func (c *chaos) addClient(kind string, promise promise) *chaosClient {
	c.kinds[kind]++
	client := &chaosClient{name: fmt.Sprintf("%s %d", kind, c.kinds[kind]), kind: kind, promise: promise}
	c.clients = append(c.clients, client)
	return client
}

// want lets a client have one more conversation: all its categories, or two.
func (c *chaos) want(client *chaosClient) (conversation string, categories []string) {
	for {
		conversation = fmt.Sprintf("c%d", c.random.IntN(c.form.conversations))
		if !slices.ContainsFunc(client.subjects, func(s string) bool { return strings.HasPrefix(s, "status."+conversation+".") }) {
			break
		}
	}
	categories = slices.Clone(chaosCategories)
	if c.random.IntN(2) == 0 {
		left := c.random.IntN(len(categories))
		categories = slices.Delete(categories, left, left+1)
	}
	for _, category := range categories {
		client.subjects = append(client.subjects, "status."+conversation+"."+category)
	}
	return conversation, categories
}

// waitUntil waits for a condition, and fails the test when it does not come.
func (c *chaos) waitUntil(what string, bound time.Duration, is func() bool) bool {
	c.t.Helper()
	for deadline := time.Now().Add(bound); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Errorf("not within %v: %s", bound, what)
			return false
		}
	}
	return true
}

// breakEverything publishes while things break, and returns when what broke is
// whole again and everybody has had time to get everything.
func (c *chaos) breakEverything() {
	began := time.Now()
	faults, stopFaults := context.WithTimeout(c.t.Context(), c.form.time)
	defer stopFaults()
	giveUp, stop := context.WithTimeout(c.t.Context(), c.form.time+c.form.settle)
	defer stop()
	published := make(chan error, 1)
	go func() { published <- c.publisher.run(faults, giveUp) }() // ends with giveUp
	var breaking sync.WaitGroup
	breaking.Go(func() { c.breakLinks(faults, giveUp, c.browsers, "browser", c.form.faultEvery, 1) })
	breaking.Go(func() { c.breakLinks(faults, giveUp, c.services, "publisher", c.form.publisherEvery, 2) })
	c.endServers(faults)
	breaking.Wait()
	c.browsers.heal()
	c.services.heal()

	healed := time.Now()
	if err := <-published; err != nil {
		c.t.Errorf("not everything was acknowledged within %v: %v", c.form.settle, err)
		return
	}
	if c.form.retention != "" {
		// A gap is told with what comes after it, and nothing may have.
		c.publishOneOfEach(giveUp)
	}
	acked := c.publisher.log()
	caughtUp := func() bool { return c.log.behind(acked) == 0 }
	if !c.waitUntil("every client has caught up", time.Until(healed.Add(c.form.settle)), caughtUp) {
		c.t.Logf("%d clients are behind", c.log.behind(acked))
		return
	}
	c.t.Logf("broken for %v; all had everything %v after that", healed.Sub(began).Round(time.Second), time.Since(healed).Round(100*time.Millisecond))
	// One more of each: what comes late, and twice, would come before it.
	c.publishOneOfEach(giveUp)
	acked = c.publisher.log()
	c.waitUntil("every client has the last status", 10*time.Second, caughtUp)
}

func (c *chaos) publishOneOfEach(giveUp context.Context) {
	for subject := range c.publisher.log() {
		c.publisher.next(giveUp, c.random, subject)
	}
}

// breakLinks breaks one link after the other; each way comes once before any comes
// again, and once at least, when the time was too short as well.
func (c *chaos) breakLinks(ctx, giveUp context.Context, n *network, whose string, every time.Duration, stream uint64) {
	random := rand.New(rand.NewPCG(c.seed, 1<<33+stream))
	ways := []struct {
		name string
		do   func(*link)
	}{
		{"reset", (*link).cut},
		{"cut without FIN", (*link).silence},
		{"half-open, the server gone", (*link).loseServer},
		{"half-open, the client gone", (*link).loseClient},
		{"stalled", func(l *link) { l.stall(time.Second + time.Duration(random.Int64N(int64(c.form.stall-time.Second)))) }},
	}
	for _, way := range ways {
		c.count(whose+" "+way.name, 0)
	}
	var order []int
	for broken := 0; ctx.Err() == nil || broken < len(ways); {
		pause := time.NewTimer(every/2 + time.Duration(random.Int64N(int64(every))))
		select {
		case <-pause.C:
		case <-giveUp.Done():
			pause.Stop()
			return
		}
		l := n.pick(random)
		if l == nil {
			continue
		}
		if len(order) == 0 {
			order = random.Perm(len(ways))
		}
		way := ways[order[0]]
		order = order[1:]
		way.do(l)
		broken++
		c.count(whose+" "+way.name, 1)
	}
}

// endServers kills servers and stops them, in turn, and starts the next one; each
// way once at least, when the time was too short as well.
func (c *chaos) endServers(ctx context.Context) {
	const killed, ended = "server kill -9", "server SIGTERM"
	ways := []string{killed, ended}
	c.random.Shuffle(len(ways), func(i, j int) { ways[i], ways[j] = ways[j], ways[i] })
	for i := 0; ; i++ {
		pause := time.NewTimer(c.form.endEvery*3/4 + time.Duration(c.random.Int64N(int64(c.form.endEvery/2))))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			if i >= len(ways) {
				return
			}
		}
		way := ways[i%len(ways)]
		c.count(way, 1)
		if way == killed {
			c.server.Kill()
		} else if err := c.server.Stop(); err != nil {
			c.t.Errorf("the server did not end cleanly: %v", err)
		}
		c.startServer()
	}
}

// count adds to the faults of a kind; each kind must come.
func (c *chaos) count(fault string, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[fault] += times
}

// compare judges every client, and prints the totals.
func (c *chaos) compare() {
	acked := c.publisher.log()
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	sums := map[string]tally{}
	for _, client := range c.clients {
		sum, faults := judgeChaos(acked, client)
		for _, fault := range faults {
			c.t.Error(fault)
		}
		if len(client.gaps) > 0 && c.form.retention == "" {
			c.t.Errorf("%s: was told of gaps %v, although everything is kept", client.name, client.gaps)
		}
		total := sums[client.kind]
		total.add(sum)
		sums[client.kind] = total
	}
	for _, text := range c.publisher.wrong {
		c.t.Error(text)
	}
	var all tally
	for _, sum := range sums {
		all.add(sum)
	}
	if all.missed == 0 && c.form.retention != "" {
		c.t.Error("nobody has missed anything: the retention is not little enough")
	}
	p := c.publisher
	c.t.Logf("published %d, tried again %d times, published twice on purpose %d, answered as duplicates %d",
		p.published.Load(), p.retries.Load(), p.repeats.Load(), p.duplicates.Load())
	for _, kind := range slices.Sorted(maps.Keys(sums)) {
		sum := sums[kind]
		c.t.Logf("%s: %d clients, %d statuses due, %d arrivals, %d doubles, %d missed and reported",
			kind, sum.clients, sum.statuses, sum.arrivals, sum.doubles, sum.missed)
	}
	c.t.Logf("connections of browsers %d, of the publisher %d; reconnects that clients told of %d", c.browsers.opened, c.services.opened, c.log.reconnects)
	for _, fault := range slices.Sorted(maps.Keys(c.faults)) {
		c.t.Logf("%4d × %s", c.faults[fault], fault)
		if c.faults[fault] == 0 {
			c.t.Errorf("nothing was broken by %s", fault)
		}
	}
}

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}
