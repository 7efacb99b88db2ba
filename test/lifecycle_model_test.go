package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/internal/natsproto"
	"github.com/statuswire/statuswire/status"
)

// grantLag is how long an access that was lost may go on.
const grantLag = time.Second

// fate is what the model knows of a SUB.
type fate int

const (
	accepted fate = iota // it holds, or will once the gateway comes to it
	maybe                // races with something else: the next listing says
	refused              // there is an -ERR for it, or will be
	gone                 // it held and does no more
)

// want is one SUB of a tab.
type want struct {
	sid, subject, queue string
	conv                int  // -1 for none
	counted             bool // as a subscription change
	round               int
	fate                fate
	unsubbed            bool
	tallied             bool // it is in the user's least changes
	max, maxTick        int
	sure                int // what is published later must come; 0 for nothing
	first, dead         int // lines of the tab between which messages may come; dead 0: open
	gotN                int
	got                 map[string][]*sent
	version             uint64  // of presence
	errLeast, errMost   int     // -ERR lines for it
	owed                []*sent // acknowledged before access was lost, so that it comes all the same
}

func (w *want) matches(subject string) bool { return natsproto.Matches(w.subject, subject) }
func (w *want) key() string                 { return w.subject + " " + w.queue }
func (w *want) live() bool                  { return w.fate == accepted && !w.unsubbed }

// categories are what the subscription counts: these for sure, and perhaps more
// that came or went in this round.
func (l *life) categories(w *want) (sure, perhaps []string) {
	tokens := strings.SplitN(w.subject, ".", 3)
	switch {
	case !w.counted || tokens[0] != "status":
		return nil, nil
	case tokens[2] != "*" && tokens[2] != ">":
		one := []string{tokens[1] + "." + tokens[2]}
		return one, one
	}
	for _, c := range status.DefaultCategories() {
		sure = append(sure, tokens[1]+"."+string(c))
	}
	perhaps = slices.Clone(sure)
	for i, own := range l.convs[w.conv].own {
		name := tokens[1] + "." + ownCategory(i)
		if own.exists || own.changed == l.round {
			perhaps = append(perhaps, name)
		}
		if own.exists && own.changed != l.round {
			sure = append(sure, name)
		}
	}
	return sure, perhaps
}

// asked is a request of a tab.
type asked struct {
	subject  string
	fails    bool // an error is the only right answer
	works    bool // an answer without error is
	answered bool
}

// lifeTab is a tab and what it should hold.
type lifeTab struct {
	*tab
	name        string
	user, token int
	headers     bool
	mayEnd      bool // the gateway may end it
	mustEnd     bool
	momentary   bool   // the end of its token is why it must end
	renewal     string // the reply subject of its request for another token: that lets it go on
	left        bool   // by itself
	confirmed   bool   // logged in for sure
	join        int    // the conversation that CONNECT names, -1 for none
	joinEnds    bool   // that is why it must end
	open        bool
	wants       []*want
	judged      int
	asked       map[string]*asked // by reply
	pubErrs     map[string]int    // -ERR for requests, by subject
	subErrs     map[string]int
	inbox       string
	replies     int
}

// isRenewed is true for a tab that has got another token before the momentary one
// ended; mu is held.
func (b *lifeTab) isRenewed() bool {
	return b.momentary && b.renewal != "" && slices.ContainsFunc(b.lines, func(line wireLine) bool {
		return line.subject == b.renewal && !bytes.Contains(line.body, []byte(`"error"`))
	})
}

// want returns the latest SUB with the sid; nil for none.
func (b *lifeTab) want(sid string) *want {
	for _, w := range slices.Backward(b.wants) {
		if w.sid == sid {
			return w
		}
	}
	return nil
}

// at returns the SUB that a message on the nth line belongs to.
func (b *lifeTab) at(sid string, line int) *want {
	for _, w := range slices.Backward(b.wants) {
		if w.sid == sid && w.first <= line {
			return w
		}
	}
	return nil
}

type lifeUser struct {
	id          status.UserID
	tokens      [2]string
	least, most int // subscription changes counted
}

type lifeConv struct {
	id      status.ConversationID
	exists  bool
	members [3]bool
	ever    [3]bool
	lost    [3]time.Time // when last, zero for never
	changed int          // the round in which it was last made or deleted
	lostIn  [3]int       // rounds
	gainIn  [3]int
	own     [2]struct { // categories beside the default ones
		exists  bool
		changed int // in which round
	}
}

// forgetOwn takes the conversation's own categories: it was made anew, or deleted.
func (c *lifeConv) forgetOwn(round int) {
	for i := range c.own {
		if c.own[i].exists {
			c.own[i].exists, c.own[i].changed = false, round
		}
	}
}

func (c *lifeConv) admits(u int) bool { return c.exists && c.members[u] }

// shaky is true while a loss that was taken back may still have an effect.
func (c *lifeConv) shaky(u int) bool { return time.Since(c.lost[u]) < grantLag+grantLag/2 }

// sent is a published status.
type sent struct {
	subject string
	conv    int
	tick    int
	round   int
	at      time.Time
	ack     nats.PubAckFuture
	unknown bool // its category is
	fails   bool // must be refused
	works   bool // must be accepted
	seq     uint64
	refused bool
	place   int // among the statuses of its subject
	queues  map[string]int
}

// life is one run.
type life struct {
	t     testing.TB
	app   *lifeApp
	in    *script
	users [3]*lifeUser
	convs [3]*lifeConv
	tabs  [5]*lifeTab
	old   []*lifeTab // closed, perhaps not yet ended
	round int
	tick  int

	texts   map[string]*sent
	unacked []*sent
	stored  map[string][]*sent // by subject, in the stream's order
	shakenQ map[string]int     // the round in which a member's connection last ended, by queue group
	trace   []string
}

func (l *life) log(format string, args ...any) {
	l.trace = append(l.trace, fmt.Sprintf("%d: ", l.round)+fmt.Sprintf(format, args...))
}

// fatal ends the run with all that was done.
func (l *life) fatal(format string, args ...any) {
	l.t.Helper()
	var errs []string
	for i, b := range l.tabs {
		if b == nil {
			continue
		}
		for _, line := range b.from(0) {
			if line.verb == "-ERR" {
				errs = append(errs, fmt.Sprintf("tab %d: %s", i, line.text))
			}
		}
	}
	l.t.Fatalf("%s\n\nafter\n%s\n\nerrors\n%s", fmt.Sprintf(format, args...), strings.Join(l.trace, "\n"), strings.Join(errs, "\n"))
}

func (l *life) must(err error) {
	l.t.Helper()
	if err != nil {
		l.fatal("%v", err)
	}
}

// eventually waits for a condition that no single tab shows.
func (l *life) eventually(ok func() (bool, string)) {
	l.t.Helper()
	deadline := time.Now().Add(lifePatience)
	for {
		met, what := ok()
		if met {
			return
		}
		if time.Now().After(deadline) {
			l.fatal("not within %v: %s", lifePatience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// forSub says what becomes of a SUB as far as that is certain.
func (l *life) forSub(b *lifeTab, w *want, served bool) fate {
	if b.mustEnd || b.mayEnd {
		return maybe
	}
	if !served {
		return refused
	}
	fates := []fate{accepted}
	if w.conv >= 0 {
		c := l.convs[w.conv]
		switch {
		case c.lostIn[b.user] == l.round || !c.lost[b.user].IsZero() && c.shaky(b.user):
			fates = append(fates, maybe)
		case !c.admits(b.user):
			return refused
		}
	}
	fates = append(fates, l.forLimits(b, w))
	return slices.Max(fates)
}

func (l *life) forLimits(b *lifeTab, w *want) fate {
	least, most := 0, 0
	sure, perhaps := map[string]bool{}, map[string]bool{}
	for _, other := range b.wants {
		if other.fate == gone || other.fate == refused || other.fate == accepted && other.unsubbed {
			continue
		}
		most++
		certain := other.live() && other.max == 0
		if certain {
			least++
		}
		leastOfIt, mostOfIt := l.categories(other)
		for _, c := range mostOfIt {
			perhaps[c] = true
		}
		for _, c := range leastOfIt {
			if certain {
				sure[c] = true
			}
		}
	}
	out := accepted
	switch {
	case least >= fuzzSubscriptions:
		return refused
	case most >= fuzzSubscriptions:
		out = maybe
	}
	inSure, inPerhaps := true, true
	nSure, nPerhaps := len(sure), len(perhaps)
	leastOfIt, mostOfIt := l.categories(w)
	for _, c := range leastOfIt {
		if !sure[c] {
			nSure++
		}
		inPerhaps = inPerhaps && perhaps[c]
	}
	for _, c := range mostOfIt {
		if !perhaps[c] {
			nPerhaps++
		}
		inSure = inSure && sure[c]
	}
	switch {
	case inSure || nPerhaps <= fuzzCategories:
	case !inPerhaps && nSure > fuzzCategories:
		return refused
	default:
		out = maybe
	}
	if w.counted && l.users[b.user].most >= fuzzChanges {
		out = maybe
	}
	return out
}

// change runs a change of access and notes whom it concerns.
func (l *life) change(conv int, do func(c *lifeConv)) {
	c := l.convs[conv]
	var before [3]bool
	for u := range before {
		before[u] = c.admits(u)
	}
	existed := c.exists
	do(c)
	for _, s := range l.unacked {
		if s.conv == conv && c.exists != existed && !s.unknown {
			s.works, s.fails = false, false
		}
	}
	for u := range before {
		switch after := c.admits(u); {
		case before[u] && !after:
			c.lost[u], c.lostIn[u] = time.Now(), l.round
			l.unsettle(u, conv)
		case !before[u] && after:
			c.ever[u] = true
			c.gainIn[u] = l.round
			l.unsettle(u, conv)
		}
	}
}

// unsettle makes uncertain what a change of access may touch.
func (l *life) unsettle(user, conv int) {
	for _, b := range l.tabs {
		if b == nil || !b.open || b.user != user {
			continue
		}
		for _, w := range b.wants {
			if w.conv != conv || w.fate == gone || w.fate == refused && w.round != l.round {
				continue
			}
			if w.fate == refused && !strings.HasPrefix(w.subject, "status.") && !strings.HasPrefix(w.subject, "presence.") {
				continue
			}
			if w.fate == refused && w.counted {
				l.users[user].most++
			}
			if w.live() && w.sure > 0 && w.queue == "" && w.max == 0 {
				w.owed = l.due(w)
			}
			w.fate = maybe
		}
		if b.join == conv && !b.confirmed && (b.joinEnds || !b.mustEnd) {
			b.mustEnd, b.joinEnds, b.mayEnd = false, false, true
		}
		for _, a := range b.asked {
			if !a.answered && strings.HasPrefix(a.subject, "edge."+string(l.convs[conv].id)+".") {
				a.works, a.fails = false, false
			}
		}
	}
}

// due are the statuses that are known to be stored and must come for w.
func (l *life) due(w *want) (all []*sent) {
	for subject, stored := range l.stored {
		if !w.matches(subject) {
			continue
		}
		for _, s := range stored {
			if s.tick > w.sure {
				all = append(all, s)
			}
		}
	}
	return all
}

func (l *life) shake(w *want) {
	if w.queue != "" {
		l.shakenQ[w.queue] = l.round
	}
}

// acks waits for the answers to everything that was published.
func (l *life) acks() {
	for _, s := range l.unacked {
		select {
		case ack := <-s.ack.Ok():
			s.seq = ack.Sequence
			l.stored[s.subject] = append(l.stored[s.subject], s)
			if s.fails {
				l.fatal("a status on %s was accepted", s.subject)
			}
		case err := <-s.ack.Err():
			s.refused = true
			if s.works {
				l.fatal("a status on %s was refused: %v", s.subject, err)
			}
		case <-time.After(lifePatience):
			l.fatal("a status on %s got no answer", s.subject)
		}
	}
	l.unacked = nil
	for _, all := range l.stored {
		slices.SortFunc(all, func(a, b *sent) int { return int(int64(a.seq) - int64(b.seq)) })
		for i, s := range all {
			s.place = i
		}
	}
}

// quiet waits until all that was done took effect, and compares.
func (l *life) quiet() {
	l.tick++
	l.acks()
	for _, b := range l.tabs {
		switch {
		case b == nil:
		case b.mustEnd:
			b.send(oneFrame, 0)
		default:
			b.ping()
		}
	}
	for i, b := range l.tabs {
		if b == nil || !b.open {
			continue
		}
		if !b.mustEnd && !b.ponged() {
			l.fatal("tab %d: no PONG", i)
		}
		if b.mustEnd && !b.wait(func() bool { return b.ended || b.isRenewed() }) {
			l.fatal("tab %d was not closed", i)
		}
		if b.mustEnd && !b.isEnded() { // its token was renewed in time
			b.mustEnd, b.momentary = false, false
			if b.ping(); !b.ponged() {
				l.fatal("tab %d: no PONG", i)
			}
		}
		if b.isEnded() {
			l.ended(b)
			continue
		}
		b.mayEnd, b.confirmed = false, true
	}
	for i, b := range l.tabs {
		if b != nil && b.open {
			l.compare(i, b)
		}
	}
	l.delivered()
	l.compareErrs()
	l.comparePresence()
	l.tick++
	for _, b := range l.tabs {
		if b == nil || !b.open {
			continue
		}
		for _, w := range b.wants {
			if w.live() && w.sure == 0 {
				w.sure = l.tick
			}
		}
	}
	l.tick++
	l.round++
}

// ended takes a tab that the gateway has closed, or that has left.
func (l *life) ended(b *lifeTab) {
	b.mu.Lock()
	code, why := b.code, b.why
	b.mu.Unlock()
	if !b.mayEnd && !b.mustEnd && !b.left {
		l.judge(b)
		l.fatal("a tab of %s was closed: %d %q, after %q", l.users[b.user].id, code, why, last(b.from(0)))
	}
	b.open = false
	for _, a := range b.asked {
		a.works, a.fails = false, false // perhaps it came too late
	}
	held := 0
	for _, w := range b.wants {
		switch {
		case !w.counted:
		case w.fate == accepted || w.fate == maybe:
			held++
		case w.fate == refused && w.round == l.round && b.left:
			l.users[b.user].most++ // it may yet be handled, after access was given
		}
		if w.fate != gone {
			l.shake(w)
		}
	}
	u := l.users[b.user]
	u.least = max(0, u.least-held) // as many may be restored for free
	for i := range l.tabs {
		if l.tabs[i] == b {
			l.tabs[i] = nil
		}
	}
	l.old = append(l.old, b)
}

func last(lines []wireLine) []string {
	var out []string
	for _, l := range lines[max(0, len(lines)-4):] {
		out = append(out, l.text)
	}
	return out
}

// listing is the answer to gateway.subscriptions.
type listing struct {
	Subscriptions []struct {
		Subject, Queue, SID string
		Delivered, Max      int
	}
	Limits map[string]struct{ Limit, Used, Left int }
	line   int // where it stands
}

func (l *life) list(b *lifeTab) (answer listing) {
	reply := b.reply()
	b.send(oneFrame, 0, "PUB gateway.subscriptions "+reply+" 0", "")
	from := 0
	ok := b.wait(func() bool {
		for i, line := range b.lines[from:] {
			if line.verb == "MSG" && line.subject == reply {
				answer.line = from + i
				return true
			}
		}
		from = len(b.lines)
		return b.ended
	})
	if !ok {
		l.fatal("no answer to gateway.subscriptions")
	}
	if answer.line == 0 {
		l.judge(b)
		l.fatal("a tab was closed instead of an answer to gateway.subscriptions: %q %d %q", last(b.from(0)), b.code, b.why)
	}
	l.must(json.Unmarshal(b.from(answer.line)[0].body, &answer))
	return answer
}

func (b *lifeTab) reply() string {
	b.replies++
	return fmt.Sprintf("%s.%d", b.inbox, b.replies)
}

// compare holds the model against what the gateway lists for the tab.
func (l *life) compare(i int, b *lifeTab) {
	var got listing
	l.eventually(func() (bool, string) {
		got = l.list(b)
		for _, s := range got.Subscriptions {
			w := b.want(s.SID)
			if w == nil {
				continue
			}
			if w.conv >= 0 && !l.convs[w.conv].admits(b.user) {
				if lost := l.convs[w.conv].lost[b.user]; time.Since(lost) > 3*grantLag {
					l.fatal("tab %d: %v after access was lost it has the subscription %+v", i, time.Since(lost), s)
				}
				return false, fmt.Sprintf("tab %d loses the subscription %+v", i, s)
			}
			if s.Max > 0 && s.Delivered >= s.Max {
				return false, fmt.Sprintf("tab %d loses the subscription %+v", i, s)
			}
		}
		return true, ""
	})
	listed := map[*want]bool{}
	for _, s := range got.Subscriptions {
		w := b.want(s.SID)
		if w == nil || w.subject != s.Subject || w.queue != s.Queue || w.fate == gone || w.fate == refused || w.unsubbed {
			l.fatal("tab %d has the subscription %+v; the model says %+v", i, s, w)
		}
		if w.max != s.Max {
			l.fatal("tab %d has the subscription %+v; the model says max %d", i, s, w.max)
		}
		listed[w] = true
		if w.counted && !w.tallied {
			w.tallied = true
			l.users[b.user].least++
		}
		if w.fate == maybe && (w.conv < 0 || !l.convs[w.conv].shaky(b.user)) {
			w.fate = accepted
		}
	}
	for _, w := range b.wants {
		if listed[w] || w.fate == gone {
			continue
		}
		switch {
		case w.fate == refused:
			w.errLeast, w.errMost = 1, 1
		case w.fate == maybe && !w.unsubbed && w.max == 0:
			w.errLeast, w.errMost = 1, 1
		case w.fate == maybe:
			w.errMost = 1
		case w.unsubbed || w.max > 0:
			if w.unsubbed && w.tallied {
				l.users[b.user].least++
			}
		default:
			l.fatal("tab %d has lost the subscription %+v; it has %+v, errors %v", i, *w, got.Subscriptions, b.subErrs)
		}
		if w.dead == 0 {
			w.dead = got.line
		}
		if w.fate != refused {
			w.fate = gone
		}
	}
	if n := got.Limits["subscriptions"].Used; n != len(got.Subscriptions) {
		l.fatal("tab %d: %d subscriptions are counted, it has %d", i, n, len(got.Subscriptions))
	}
	l.compareCategories(i, b, got)
	u := l.users[b.user]
	if n := got.Limits["subscription_changes"].Used; n < min(u.least, fuzzChanges) || n > min(u.most, fuzzChanges) {
		l.fatal("tab %d: %d subscription changes are counted, there were %d to %d", i, n, u.least, u.most)
	}
}

// compareCategories holds that the categories are counted that the subscriptions
// cover, and that no more were let in than may be. What a conversation has been given
// since counts too.
func (l *life) compareCategories(i int, b *lifeTab, got listing) {
	l.eventually(func() (bool, string) {
		all, notOwn := map[string]bool{}, map[string]bool{}
		for _, s := range got.Subscriptions {
			w := b.want(s.SID)
			if w == nil {
				continue
			}
			_, covered := l.categories(w)
			for _, c := range covered {
				if _, category, _ := strings.Cut(c, "."); !strings.HasPrefix(category, "own_") {
					notOwn[c] = true
					all[c] = true
				} else if n := int(category[len(category)-1] - '0'); l.convs[w.conv].own[n].exists {
					all[c] = true
				}
			}
		}
		if len(notOwn) > fuzzCategories {
			l.fatal("tab %d has %d categories, the limit is %d", i, len(notOwn), fuzzCategories)
		}
		n := got.Limits["categories"].Used
		if n != len(all) {
			got = l.list(b)
		}
		return n == len(all), fmt.Sprintf("tab %d: %d categories are counted, it has %d: %+v", i, n, len(all), got.Subscriptions)
	})
}

// delivered waits for all that must come.
func (l *life) delivered() {
	for i, b := range l.tabs {
		if b == nil || !b.open {
			continue
		}
		for {
			l.judge(b)
			missing := l.missing(b)
			if missing == "" {
				break
			}
			n := b.judged
			if !b.wait(func() bool { return len(b.lines) > n || b.ended }) {
				l.fatal("tab %d misses %s", i, missing)
			}
			if b.isEnded() {
				l.fatal("tab %d was closed, and misses %s", i, missing)
			}
		}
	}
	l.old = slices.DeleteFunc(l.old, func(b *lifeTab) bool {
		l.judge(b)
		return b.isEnded()
	})
	for q, subjects := range l.stableQueues() {
		for _, s := range subjects {
			l.eventually(func() (bool, string) {
				for _, b := range l.tabs {
					if b != nil && b.open {
						l.judge(b)
					}
				}
				return s.queues[q] == 1, fmt.Sprintf("the group %q gets the status %d on %s", q, s.seq, s.subject)
			})
		}
	}
}

// missing names a status, or an answer, that the tab must get and has not.
func (l *life) missing(b *lifeTab) string {
	for _, w := range b.wants {
		for _, s := range w.owed {
			if !slices.Contains(w.got[s.subject], s) {
				return fmt.Sprintf("the status %d on %s for %s %s, which was acknowledged before access was lost", s.seq, s.subject, w.subject, w.sid)
			}
		}
		if !w.live() || w.sure == 0 || w.queue != "" {
			continue
		}
		need := 0
		for subject, all := range l.stored {
			if !w.matches(subject) {
				continue
			}
			for _, s := range slices.Backward(all) {
				if s.tick < w.sure {
					continue
				}
				need++
				if w.max == 0 && !slices.Contains(w.got[subject], s) {
					return fmt.Sprintf("the status %d on %s for %s %s (from tick %d)", s.seq, subject, w.subject, w.sid, w.sure)
				}
			}
		}
		if w.max > 0 && w.gotN < min(need, w.max) {
			return fmt.Sprintf("%d of %d messages for %s %s", min(need, w.max)-w.gotN, w.max, w.subject, w.sid)
		}
	}
	unanswered := map[string]int{}
	for _, a := range b.asked {
		if !a.answered {
			unanswered[a.subject]++
		}
	}
	for subject, n := range unanswered {
		if n > b.pubErrs[subject] {
			return "an answer to " + subject
		}
	}
	return ""
}

// stableQueues returns, for each queue group of which no connection has ended in
// this round, the statuses that one of its members must have got: those who come,
// unsubscribe, reach their maximum or lose their access take nothing along.
func (l *life) stableQueues() map[string][]*sent {
	due := map[string][]*sent{}
	for _, b := range l.tabs {
		if b == nil || !b.open {
			continue
		}
		for _, w := range b.wants {
			if w.queue == "" || !w.live() || w.max > 0 || w.sure == 0 || l.shakenQ[w.queue] == l.round {
				continue
			}
			if w.conv >= 0 && l.convs[w.conv].shaky(b.user) {
				continue
			}
			for subject, all := range l.stored {
				for _, s := range all {
					if w.matches(subject) && s.round == l.round && s.tick > w.sure {
						due[w.queue] = append(due[w.queue], s)
					}
				}
			}
		}
	}
	return due
}

// judge looks at what has come since the last time.
func (l *life) judge(b *lifeTab) {
	b.mu.Lock()
	broken := b.broken
	b.mu.Unlock()
	if broken != "" {
		l.fatal("on the wire: %s", broken)
	}
	for _, line := range b.from(b.judged) {
		switch line.verb {
		case "MSG":
			l.judgeMsg(b, line, b.judged)
		case "-ERR":
			l.judgeErr(b, line)
		}
		b.judged++
	}
}

func (l *life) judgeMsg(b *lifeTab, line wireLine, n int) {
	w := b.at(line.sid, n)
	if w == nil || w.fate == refused || w.dead > 0 && n > w.dead || !w.matches(line.subject) {
		l.fatal("a message where no subscription is: %q; the model says %+v", line.text, w)
	}
	if strings.HasPrefix(line.subject, "_INBOX.") {
		l.judgeAnswer(b, line)
		return
	}
	w.gotN++
	if strings.HasPrefix(line.subject, "presence.") {
		var a struct{ Version uint64 }
		l.must(json.Unmarshal(line.body, &a))
		if a.Version <= w.version {
			l.fatal("presence of version %d after %d on %s", a.Version, w.version, line.subject)
		}
		w.version = a.Version
		return
	}
	var m struct{ Text string }
	l.must(json.Unmarshal(line.body, &m))
	s := l.texts[m.Text]
	switch {
	case s == nil || s.subject != line.subject || s.refused:
		l.fatal("a status that was not accepted came: %q %s", line.text, line.body)
	case line.headers != b.headers:
		l.fatal("headers %v for a client with headers %v: %q", line.headers, b.headers, line.text)
	case s.seq == 0:
		l.fatal("a status came that is not acknowledged: %q", line.text)
	case line.headers && line.seq != s.seq:
		l.fatal("sequence %d on the wire, acknowledged as %d: %q", line.seq, s.seq, line.text)
	}
	c := l.convs[s.conv]
	if lost := c.lost[b.user]; !c.ever[b.user] || !c.admits(b.user) && s.at.After(lost.Add(grantLag)) {
		l.fatal("%s got a status of %s, published %v after access was lost: %q", l.users[b.user].id, c.id, s.at.Sub(lost), line.text)
	}
	if w.max > 0 && w.gotN > w.max && w.maxTick > 0 && s.tick > w.maxTick {
		l.fatal("message %d of at most %d: %q", w.gotN, w.max, line.text)
	}
	if w.queue != "" {
		if s.queues[w.queue]++; s.queues[w.queue] > 1 {
			l.fatal("two members of the group %q got the status %d on %s", w.queue, s.seq, s.subject)
		}
	}
	before := w.got[s.subject]
	if len(before) > 0 {
		switch p := before[len(before)-1]; {
		case p.seq >= s.seq:
			l.fatal("sequence %d after %d on %s for %s", s.seq, p.seq, s.subject, w.sid)
		case w.queue == "" && p.place+1 != s.place:
			l.fatal("sequence %d after %d on %s for %s: %d are missing between", s.seq, p.seq, s.subject, w.sid, s.place-p.place-1)
		}
	}
	w.got[s.subject] = append(before, s)
}

func (l *life) judgeAnswer(b *lifeTab, line wireLine) {
	a := b.asked[line.subject]
	if a == nil {
		return // a listing
	}
	if a.answered {
		l.fatal("a second answer to %s: %q", a.subject, line.body)
	}
	a.answered = true
	var answer struct{ Error json.RawMessage }
	l.must(json.Unmarshal(line.body, &answer))
	if failed := answer.Error != nil; failed && a.works || !failed && a.fails {
		l.fatal("answer to %s: %.300q", a.subject, line.body)
	}
}

func (l *life) judgeErr(b *lifeTab, line wireLine) {
	text := strings.TrimSuffix(strings.TrimPrefix(line.text, "-ERR '"), "'")
	if strings.Contains(text, "available") || strings.Contains(text, "cannot be") || strings.Contains(text, "could not be") {
		l.fatal("a refusal that nothing asked for: %q", text)
	}
	if rest, ok := strings.CutPrefix(text, `Permissions Violation for Subscription to "`); ok {
		subject, rest, _ := strings.Cut(rest, `"`)
		queue := ""
		if q, ok := strings.CutPrefix(rest, ` using queue "`); ok {
			queue, _, _ = strings.Cut(q, `"`)
		}
		b.subErrs[subject+" "+queue]++
		return
	}
	if rest, ok := strings.CutPrefix(text, `Permissions Violation for Publish to "`); ok {
		subject, _, _ := strings.Cut(rest, `"`)
		b.pubErrs[subject]++
		for _, a := range b.asked {
			if a.subject == subject && a.works && !a.answered {
				l.fatal("a request was refused: %q", text)
			}
		}
		return
	}
	if !b.mustEnd && !b.mayEnd {
		l.fatal("an error that nothing asked for: %q", text)
	}
}

// compareErrs holds that each SUB that was refused or ended has its -ERR.
func (l *life) compareErrs() {
	for i, b := range l.tabs {
		if b == nil || !b.open {
			continue
		}
		least, most := map[string]int{}, map[string]int{}
		for _, w := range b.wants {
			least[w.key()] += w.errLeast
			most[w.key()] += w.errMost
			if w.fate == maybe {
				most[w.key()]++
			}
		}
		l.eventually(func() (bool, string) {
			l.judge(b)
			for key, n := range least {
				if b.subErrs[key] < n {
					return false, fmt.Sprintf("tab %d: %d errors for %q, not %d", i, b.subErrs[key], key, n)
				}
			}
			return true, ""
		})
		for key, n := range b.subErrs {
			if n > most[key] {
				l.fatal("tab %d: %d errors for %q, at most %d are right", i, n, key, most[key])
			}
		}
	}
}

// comparePresence holds that who has a subscription is present, and nobody else.
func (l *life) comparePresence() {
	for i, c := range l.convs {
		if !c.exists {
			continue
		}
		present := map[status.UserID]int{}
		for _, b := range l.tabs {
			if b == nil || !b.open {
				continue
			}
			if slices.ContainsFunc(b.wants, func(w *want) bool { return w.conv == i && w.live() }) {
				present[l.users[b.user].id]++
			}
		}
		l.eventually(func() (bool, string) {
			got, err := l.app.present(c.id)
			l.must(err)
			for u, user := range l.users {
				if got[user.id] != present[user.id] && !c.shaky(u) {
					return false, fmt.Sprintf("presence of %s is %v, subscribed are %v", c.id, got, present)
				}
			}
			return true, ""
		})
	}
}
