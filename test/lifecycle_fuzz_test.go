package test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/status"
)

// FuzzLifecycle plays whole lives of browser connections against the whole app:
// the input says who connects, subscribes, asks, leaves, is kicked, gains and loses
// access, and what is published meanwhile, all of it cut into frames anywhere. At
// each quiet point, and at the end, everything is compared with a model:
//
//   - what comes is in order on each subject, without doubles and without holes
//   - nothing comes that the user may not see, but for a second after a change
//   - who stays subscribed gets everything
//   - who loses access gets what was acknowledged before
//   - who is in a queue group lets nothing get lost to it
//   - who is listed as present has a subscription, and the other way round
//   - what the gateway counts is what it holds
//   - each SUB that is refused or ended is told so, once
//   - after the last connection nothing is left
func FuzzLifecycle(f *testing.F) {
	apps := newLifeApps(f)
	for _, seed := range lifeSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		in := &script{rest: input}
		l := newLife(t, apps.get(t, in.next()%4 == 3), in)
		for n := 0; n < maxLifeOps && !in.done(); n++ {
			l.step()
		}
		l.quiet()
		l.finish()
	})
}

// maxLifeOps bounds a run.
const maxLifeOps = 64

// script is the input, read byte by byte; behind its end come zeros.
type script struct{ rest []byte }

func (s *script) done() bool { return len(s.rest) == 0 }

func (s *script) next() int {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return int(b)
}

func newLife(t testing.TB, a *lifeApp, in *script) *life {
	a.runs++
	l := &life{t: t, app: a, in: in, round: 1, tick: 1, texts: map[string]*sent{}, stored: map[string][]*sent{}, shakenQ: map[string]int{}}
	for i := range l.users {
		u := &lifeUser{id: status.UserID(fmt.Sprintf("u%d-%d", i, a.runs))}
		for j := range u.tokens {
			u.tokens[j] = a.token(t, u.id, time.Hour+time.Duration(j)*time.Minute)
		}
		l.users[i] = u
	}
	members := [3][3]bool{{true, true, false}, {false, true, true}, {true, false, true}}
	for i := range l.convs {
		l.convs[i] = &lifeConv{id: status.ConversationID(fmt.Sprintf("c%d-%d", i, a.runs)), members: members[i]}
	}
	l.create(0)
	l.create(1)
	t.Cleanup(func() {
		for _, b := range l.tabs {
			if b != nil {
				_ = b.conn.Close()
			}
		}
		for _, b := range l.old {
			_ = b.conn.Close()
		}
	})
	return l
}

func (l *life) create(conv int) {
	l.log("create %d", conv)
	l.change(conv, func(c *lifeConv) {
		r := admin.CreateRequest{ID: c.id, Owner: "owner"}
		for u, is := range c.members {
			if is {
				r.Members = append(r.Members, l.users[u].id)
			}
		}
		_, err := l.app.admin.Create(context.Background(), r)
		l.must(err)
		c.exists, c.changed = true, l.round
		c.forgetOwn(l.round)
	})
}

func (l *life) remove(conv int) {
	l.log("delete %d", conv)
	l.change(conv, func(c *lifeConv) {
		_, err := l.app.admin.Delete(context.Background(), c.id)
		l.must(err)
		c.exists, c.changed = false, l.round
		c.forgetOwn(l.round)
	})
}

// step does one thing. What stands first came later, and takes little of what the
// kept inputs mean.
func (l *life) step() {
	what := l.in.next()
	op, rare := what%32, what/32
	switch {
	case op == 0 && rare == 7:
		l.connectForAMoment(l.slot())
	case op == 23 && rare == 7:
		l.kickLink(l.slot())
	case op == 24 && rare == 7:
		l.toggleCategory()
	case (op == 25 || op == 26) && rare >= 4:
		l.acks() // then it is known what has to come before access ends
		if op == 25 {
			l.toggleMember()
		} else {
			l.toggleConversation()
		}
	case op < 3:
		l.connect(l.slot())
	case op < 10:
		l.subscribe(l.slot())
	case op < 13:
		l.unsubscribe(l.slot())
	case op < 18:
		l.publish()
	case op < 20:
		l.ask(l.slot())
	case op < 21:
		l.freshToken(l.slot())
	case op < 22:
		l.disconnect(l.slot())
	case op < 23:
		l.reconnect(l.slot())
	case op < 24:
		l.kick()
	case op < 26:
		l.toggleMember()
	case op < 27:
		l.toggleConversation()
	case op < 28:
		l.barrier(l.slot())
	case op < 30:
		l.log("quiet")
		l.quiet()
	case op < 31:
		l.misbehave(l.slot())
	default:
		l.subscribeTwice(l.slot())
	}
}

func (l *life) toggleConversation() {
	if c := l.in.next() % len(l.convs); l.convs[c].exists {
		l.remove(c)
	} else {
		l.create(c)
	}
}

func (l *life) slot() int { return l.in.next() % len(l.tabs) }

// put writes to the tab, cut as the input says.
func (l *life) put(b *lifeTab, lines ...string) {
	how := l.in.next()
	b.send(how%4, 1+how/4%24, lines...)
}

// tab is the slot's, connected if it is not.
func (l *life) tab(slot int) *lifeTab {
	if l.tabs[slot] == nil {
		l.open(slot, slot%len(l.users), 0, "", true)
	}
	return l.tabs[slot]
}

func (l *life) connect(slot int) {
	how := l.in.next()
	if l.tabs[slot] != nil {
		return
	}
	user, token := how%3, how/3%2
	join := ""
	if how&0x40 != 0 {
		join = string(l.convs[how/7%3].id)
	}
	l.open(slot, user, token, join, how&0x80 == 0)
}

// momentary is, in place of a token's number, a new token that ends within a second.
const momentary = 2

func (l *life) connectForAMoment(slot int) {
	if user := l.in.next() % 3; l.tabs[slot] == nil {
		l.open(slot, user, momentary, "", true)
	}
}

func (l *life) open(slot, user, token int, join string, headers bool) *lifeTab {
	raw, err := dialTab(l.app.ws)
	l.must(err)
	l.app.dialed++
	b := &lifeTab{
		tab: raw, user: user, token: token, headers: headers, open: true, name: fmt.Sprintf("t%d-%d", slot, l.app.dialed),
		asked: map[string]*asked{}, pubErrs: map[string]int{}, subErrs: map[string]int{},
		inbox: fmt.Sprintf("_INBOX.t%d", slot), join: -1,
	}
	l.tabs[slot] = b
	for i, c := range l.convs {
		if string(c.id) != join {
			continue
		}
		b.join = i
		switch {
		case c.lostIn[user] == l.round || !c.lost[user].IsZero() && c.shaky(user):
			b.mayEnd = true
		case !c.admits(user):
			b.mustEnd, b.joinEnds = true, true
		}
	}
	l.log("tab %d: connect user %d token %d join %q headers %v", slot, user, token, join, headers)
	secret := "not-a-token"
	switch {
	case token == momentary:
		secret = l.app.token(l.t, l.users[user].id, time.Second)
		b.momentary = !b.mustEnd
		b.mustEnd = true // before the next quiet point is over
	case token >= 0:
		secret = l.users[user].tokens[token]
	default:
		b.mustEnd = true
	}
	l.put(b, connectLine(b.name, secret, join, headers, slot == 4))
	l.sub(slot, &want{sid: "in", subject: b.inbox + ".>", conv: -1}, true)
	return b
}

// sub writes a SUB.
func (l *life) sub(slot int, w *want, served bool) {
	b := l.tabs[slot]
	w.got = map[string][]*sent{}
	w.round, w.first = l.round, len(b.from(0))
	w.fate = l.forSub(b, w, served)
	b.wants = append(b.wants, w)
	if w.counted && w.fate != refused {
		l.users[b.user].most++
	}
	l.log("tab %d: SUB %s %s %s: %d", slot, w.subject, w.queue, w.sid, w.fate)
	line := "SUB " + w.subject + " " + w.sid
	if w.queue != "" {
		line = "SUB " + w.subject + " " + w.queue + " " + w.sid
	}
	l.put(b, line)
}

// category and conv choose some more often than others: then more meet.
func category(n int) string {
	often := []int{0, 0, 0, 0, 1, 1, 2, 3, 4, 5}
	return string(status.DefaultCategories()[often[n%len(often)]])
}

func conv(n int) int { return []int{0, 0, 0, 1, 1, 2}[n%6] }

func (l *life) subscribe(slot int) {
	b := l.tab(slot)
	sid := fmt.Sprint(1 + l.in.next()%14)
	kind, what := l.in.next()%24, l.in.next()
	if old := b.want(sid); old != nil && (old.dead == 0 || old.fate == maybe) {
		return // it may be there: subscribeTwice is for that
	}
	conv := conv(what)
	id := string(l.convs[conv].id)
	w := &want{sid: sid, conv: conv, counted: true}
	served := true
	if what&0x80 != 0 {
		w.queue = []string{"g1", "g1", "g1", "g2"}[what/6%4]
	}
	switch {
	case kind < 11:
		w.subject = "status." + id + "." + category(what/6)
	case kind < 15:
		w.subject = "status." + id + []string{".*", ".*", ".*", ".>"}[what/3%4]
	case kind < 17:
		w.subject = "presence." + id
	case kind < 19:
		w.subject, w.counted, w.conv, w.queue = fmt.Sprintf("%s.x%d", b.inbox, what), false, -1, ""
	case kind < 20:
		w.subject = "status." + id + ".unheard_of"
	case kind < 22:
		foreign := []string{
			">", "*.>", "*.*.*", "status.>", "status.*.*", "status.*." + category(what/6), "submit." + id + ".engine",
			"ingest." + id + ".*", "$SYS.>", "$JS.API.>", "admin.>", "audit.>", "edge." + id + ".join",
			"gateway.token", "_INBOX_gateway.>", "_R_.>", "presence.node.*", "presence.*", "directory.>", "$KV.directory.>",
		}
		w.subject, w.counted, w.conv, served = foreign[what%len(foreign)], false, -1, false
	case kind < 23:
		malformed := []string{
			"status." + id + ".", "status." + id + "..x", "status." + id, "." + id, "status." + id + ".a.b",
			"status." + id + ".a*", "..", "status." + id + ".Odd", "status." + id + ".*.*",
		}
		w.subject, w.counted, served = malformed[what%len(malformed)], false, false
		w.conv = -1
	default:
		w.subject, w.counted, w.conv, served = "status.nobodys-"+id+".*", false, -1, false
	}
	l.sub(slot, w, served)
}

// subscribeTwice sends a SUB with a sid that is taken: the first one stays.
func (l *life) subscribeTwice(slot int) {
	b := l.tab(slot)
	conv := l.in.next() % 3
	for _, w := range slices.Backward(b.wants) {
		if !w.live() || w.max > 0 || w.sid == "in" || b.mayEnd || b.mustEnd || w.conv >= 0 && l.convs[w.conv].shaky(b.user) {
			continue
		}
		l.log("tab %d: SUB %s again", slot, w.sid)
		l.put(b, "SUB status."+string(l.convs[conv].id)+".tool "+w.sid)
		l.barrier(slot)
		return
	}
}

func (l *life) unsubscribe(slot int) {
	b := l.tabs[slot]
	how := l.in.next()
	if b == nil {
		return
	}
	var held []*want
	for _, w := range b.wants {
		if (w.fate == accepted || w.fate == maybe) && !w.unsubbed && w.sid != "in" {
			held = append(held, w)
		}
	}
	if len(held) == 0 {
		l.put(b, "UNSUB 77")
		return
	}
	w := held[how%len(held)]
	w.owed = nil
	if w.counted {
		l.users[b.user].most++
	}
	if how&0x40 != 0 {
		w.max, w.maxTick = 1+how/8%6, 0
		l.log("tab %d: UNSUB %s %d", slot, w.sid, w.max)
		l.put(b, fmt.Sprintf("UNSUB %s %d", w.sid, w.max))
		l.barrier(slot)
		l.tick++
		w.maxTick = l.tick
		l.tick++
		return
	}
	w.unsubbed = true
	l.log("tab %d: UNSUB %s", slot, w.sid)
	l.put(b, "UNSUB "+w.sid)
}

func (l *life) publish() {
	what := l.in.next()
	conv := conv(what)
	c := l.convs[conv]
	subject := "status." + string(c.id) + "." + category(what/6)
	unknown, moved := what >= 0xfc, false
	switch {
	case unknown:
		subject = "status." + string(c.id) + ".unheard_of"
	case what >= 0xf8:
		own := what % len(c.own)
		subject = "status." + string(c.id) + "." + ownCategory(own)
		unknown, moved = !c.own[own].exists, c.own[own].changed == l.round
	}
	for n := 1 + l.in.next()%12; n > 0; n-- {
		l.tick++
		text := fmt.Sprint("s", len(l.texts))
		s := &sent{subject: subject, conv: conv, tick: l.tick, round: l.round, at: time.Now(), queues: map[string]int{}, unknown: unknown}
		s.fails = !moved && (unknown || !c.exists && c.changed != l.round)
		s.works = !moved && !unknown && c.exists && c.changed != l.round
		l.texts[text] = s
		m := nats.NewMsg(subject)
		m.Header.Set("Nats-Msg-Id", text)
		m.Data = fmt.Appendf(nil, `{"text":%q}`, text)
		var err error
		s.ack, err = l.app.js.PublishMsgAsync(m)
		l.must(err)
		l.unacked = append(l.unacked, s)
		if n == 3 { // a retry of the same status changes nothing
			again, err := l.app.js.PublishMsgAsync(m)
			l.must(err)
			_ = again
		}
	}
	l.log("publish on %s to s%d", subject, len(l.texts)-1)
}

// ask sends a request.
func (l *life) ask(slot int) {
	b := l.tab(slot)
	what := l.in.next()
	conv := what % 3
	c := l.convs[conv]
	verb := []string{"join", "presence"}[what/3%2]
	a := &asked{subject: "edge." + string(c.id) + "." + verb}
	if !b.mayEnd && !b.mustEnd && c.lostIn[b.user] != l.round && (c.lost[b.user].IsZero() || !c.shaky(b.user)) {
		a.works, a.fails = c.admits(b.user), !c.admits(b.user)
	}
	reply := b.reply()
	b.asked[reply] = a
	l.log("tab %d: ask %s", slot, a.subject)
	body := ""
	if what&0x40 != 0 {
		body = "{}"
	}
	l.put(b, fmt.Sprintf("PUB %s %s %d", a.subject, reply, len(body)), body)
}

// freshToken hands in another token.
func (l *life) freshToken(slot int) {
	b := l.tab(slot)
	what := l.in.next()
	a := &asked{subject: "gateway.token"}
	secret := ""
	switch {
	case what%4 == 0:
		secret, a.fails = "not-a-token", true
	case what%4 == 1:
		secret, a.fails = l.users[(b.user+1)%3].tokens[what/4%2], true
	default:
		b.token = what / 4 % 2
		secret, a.works = l.users[b.user].tokens[b.token], true
	}
	if b.mayEnd || b.mustEnd {
		a.works, a.fails = false, false
	}
	reply := b.reply()
	b.asked[reply] = a
	if b.momentary && what%4 > 1 {
		b.renewal = reply
	}
	l.log("tab %d: fresh token %d", slot, what%8)
	l.put(b, fmt.Sprintf("PUB gateway.token %s %d", reply, len(secret)), secret)
}

func (l *life) disconnect(slot int) {
	how := l.in.next()
	b := l.tabs[slot]
	if b == nil {
		return
	}
	l.log("tab %d: leave %d", slot, how%4)
	b.left = true
	if how%4 == 0 {
		b.raw([]byte{0x82, 0xfe, 0x01}) // half a header
	}
	if how%4 == 1 {
		b.unsent = append(b.unsent, "PUB edge.x"...)
		b.send(oneFrame, 0)
	}
	b.leave(how%4 == 3)
	l.ended(b)
}

// reconnect leaves and comes back at once with the same subscriptions.
func (l *life) reconnect(slot int) {
	how := l.in.next()
	b := l.tabs[slot]
	if b == nil || b.mustEnd {
		return
	}
	l.log("tab %d: reconnect", slot)
	b.left = true
	b.leave(how%2 == 0)
	l.ended(b)
	l.open(slot, b.user, b.token, "", b.headers)
	for _, w := range b.wants {
		if w.live() && w.sid != "in" {
			l.sub(slot, &want{sid: w.sid, subject: w.subject, queue: w.queue, conv: w.conv, counted: w.counted}, true)
		}
	}
}

// kick ends the user's connections.
func (l *life) kick() {
	user := l.in.next() % 3
	l.log("kick user %d", user)
	_, err := l.app.admin.Kick(context.Background(), l.users[user].id, "")
	l.must(err)
	for _, b := range l.tabs {
		if b != nil && b.user == user {
			l.kicked(b, b.confirmed)
		}
	}
}

func (l *life) kicked(b *lifeTab, sure bool) {
	b.mayEnd = true
	b.mustEnd = b.mustEnd || sure
	b.momentary = b.momentary && !sure
	for _, w := range b.wants {
		if w.fate == accepted {
			w.fate = maybe
		}
		l.shake(w)
	}
	for _, a := range b.asked {
		a.works, a.fails = false, false
	}
}

// kickLink has the NATS server end the link of one tab, if links are kept.
func (l *life) kickLink(slot int) {
	b := l.tabs[slot]
	if b == nil || !l.app.keepLinks || b.mustEnd || b.mayEnd {
		return
	}
	for _, c := range l.convs {
		if c.lostIn[b.user] == l.round || c.gainIn[b.user] == l.round || c.shaky(b.user) {
			return // a new link may be about to take the place of the old one
		}
	}
	l.barrier(slot)
	if b.isEnded() {
		return
	}
	found, err := l.app.kickLink(b.name)
	l.must(err)
	l.log("tab %d: its link is kicked", slot)
	if !found {
		l.fatal("tab %d has no link on the server", slot)
	}
	l.kicked(b, true)
}

// toggleCategory gives a conversation a category of its own, or takes it.
func (l *life) toggleCategory() {
	what := l.in.next()
	c := l.convs[what%3]
	own := what / 3 % len(c.own)
	if !c.exists {
		return
	}
	l.log("conversation %d: category %s, %v no more", what%3, ownCategory(own), c.own[own].exists)
	change := l.app.admin.AddCategory
	if c.own[own].exists {
		change = l.app.admin.RetireCategory
	}
	_, err := change(context.Background(), c.id, status.Category(ownCategory(own)))
	l.must(err)
	c.own[own].exists, c.own[own].changed = !c.own[own].exists, l.round
	for _, s := range l.unacked {
		if s.subject == "status."+string(c.id)+"."+ownCategory(own) {
			s.works, s.fails = false, false
		}
	}
}

func ownCategory(n int) string { return fmt.Sprintf("own_%d", n) }

func (l *life) toggleMember() {
	what := l.in.next()
	conv, user := what%3, what/3%3
	if !l.convs[conv].exists {
		return
	}
	l.log("conversation %d: member %d, %v no more", conv, user, l.convs[conv].members[user])
	l.change(conv, func(c *lifeConv) {
		var err error
		if c.members[user] {
			_, err = l.app.admin.Remove(context.Background(), c.id, l.users[user].id)
		} else {
			_, err = l.app.admin.Add(context.Background(), c.id, l.users[user].id)
		}
		l.must(err)
		c.members[user] = !c.members[user]
	})
}

// barrier waits until all that one tab has sent took effect.
func (l *life) barrier(slot int) {
	b := l.tabs[slot]
	if b == nil || b.mustEnd {
		return
	}
	l.log("tab %d: barrier", slot)
	b.ping()
	if !b.ponged() {
		l.fatal("tab %d: no PONG", slot)
	}
	if b.isEnded() {
		return // the next quiet point judges that
	}
	b.confirmed = true
	l.tick++
	for _, w := range b.wants {
		if w.live() && w.sure == 0 {
			w.sure = l.tick
		}
	}
	l.tick++
}

// misbehave does what ends a connection.
func (l *life) misbehave(slot int) {
	what := l.in.next() % 10
	if what < 3 {
		if l.tabs[slot] == nil {
			l.open(slot, what, -1, "", true)
		}
		return
	}
	b := l.tab(slot)
	l.log("tab %d: misbehave %d", slot, what)
	b.mustEnd, b.momentary = true, false
	for _, w := range b.wants {
		l.shake(w)
	}
	switch what {
	case 3:
		b.send(oneFrame, 0, connectLine("again", l.users[b.user].tokens[0], "", true, false))
	case 4:
		b.send(oneFrame, 0, "SUB")
	case 5:
		b.send(oneFrame, 0, "GET / HTTP/1.1")
	case 6:
		b.send(oneFrame, 0, "PUB edge.x.join 70000")
	case 7:
		b.send(manyFrames, 1000, "SUB "+string(make([]byte, 5000))+" 1")
	case 8:
		b.raw(ws.MustCompileFrame(ws.NewBinaryFrame([]byte("PING\r\n")))) // not masked
	case 9:
		b.raw([]byte{0x83, 0x80, 1, 2, 3, 4}) // an opcode that is none
	}
}

// finish closes everything and holds that nothing is left.
func (l *life) finish() {
	for i, b := range l.tabs {
		if b == nil {
			continue
		}
		b.left = true
		b.leave(i%2 == 0)
		l.ended(b)
	}
	for _, b := range l.old {
		if !b.wait(func() bool { return b.ended }) {
			l.fatal("a connection that was left does not end")
		}
		l.judge(b)
	}
	for _, c := range l.convs {
		if !c.exists {
			continue
		}
		l.eventually(func() (bool, string) {
			got, err := l.app.present(c.id)
			l.must(err)
			return len(got) == 0, fmt.Sprintf("nobody is present: %v", got)
		})
	}
	l.eventually(func() (bool, string) {
		got, err := l.app.figures()
		l.must(err)
		for _, name := range []string{
			"statuswire_connections", "statuswire_links", "statuswire_queued_bytes",
			"statuswire_callout_queued", "statuswire_fanout_holes_failed_total", "statuswire_slow_closes_total",
			"statuswire_audit_events_lost_total",
		} {
			if n, ok := got[name]; n != 0 || !ok {
				return false, fmt.Sprintf("%s is 0 (%d, known: %v)", name, n, ok)
			}
		}
		if topics, kept := got["statuswire_fanout_topics"], got["statuswire_fanout_topics_kept"]; topics != kept {
			return false, fmt.Sprintf("nobody wants a topic (%d of %d are kept)", kept, topics)
		}
		if n := got["statuswire_credentials"]; n > l.app.tokens {
			return false, fmt.Sprintf("no more credentials than tokens: %d of %d", n, l.app.tokens)
		}
		return true, ""
	})
	l.eventually(func() (bool, string) {
		n := runtime.NumGoroutine()
		all := l.app.all
		if all.goroutines == 0 {
			all.goroutines = n
		}
		// A connection gets one when it first asks for something; a leak has no bound.
		if n <= all.goroutines+24 {
			return true, ""
		}
		var stacks strings.Builder
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		return false, fmt.Sprintf("%d goroutines, there were %d:\n%s", n, all.goroutines, stacks.String())
	})
}
