package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

func TestBrowsersOfOneTokenShareItsGrant(t *testing.T) {
	r := newRig(t)
	r.member("c1", "alice", true)
	var all sync.WaitGroup
	browsers := make([]*browser, 8)
	for i := range browsers {
		browsers[i] = r.browser(uint64(i), "alice")
		all.Go(func() {
			if err := browsers[i].login(""); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := r.verdicts(); n != 1 {
		t.Fatalf("%d verdicts for one token", n)
	}
	must(t, browsers[0].join("c1"))
	if !browsers[7].covers("c1") {
		t.Error("the grant has grown for the one that asked alone")
	}
	if must(t, r.in(9, "alice/other").join("c1")); r.verdicts() != 4 {
		t.Errorf("%d verdicts, want one for each login and join of another token", r.verdicts())
	}
}

func TestAGrantIsKeptForAWhileAndThenForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.lifetime = time.Hour
		b := r.in(1, "alice")
		b.cred.Detach(b)
		if st := r.Stats(); st.Credentials != 1 || st.IdleGrants != 1 || st.IdleBytes == 0 {
			t.Fatalf("after the last browser has gone: %+v", st)
		}
		b = r.in(2, "alice")
		if st := r.Stats(); r.verdicts() != 1 || st.IdleGrants != 0 {
			t.Fatalf("back: %d verdicts, %+v", r.verdicts(), st)
		}
		b.cred.Detach(b)
		time.Sleep(time.Hour)
		synctest.Wait()
		if st := r.Stats(); st.Credentials != 0 || st.IdleGrants != 0 || st.IdleBytes != 0 {
			t.Errorf("after its end: %+v", st)
		}
		r.Stop(context.Background())
	})
}

func TestAGrantIsRenewedBeforeItsEndOrEndsItsBrowsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.member("c1", "alice", true)
		r.lifetime = time.Minute
		b := r.in(1, "alice")
		must(t, b.join("c1"))
		before := r.verdicts()
		time.Sleep(54 * time.Second)
		synctest.Wait()
		if r.verdicts() != before {
			t.Fatal("renewed long before its end")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if r.verdicts() != before+1 || !b.covers("c1") || b.why() != "" {
			t.Fatalf("%d verdicts more, closed: %q", r.verdicts()-before, b.why())
		}
		r.set(func() { r.broken = errors.New("nobody there") })
		time.Sleep(57 * time.Second)
		synctest.Wait()
		if b.why() != "" {
			t.Fatalf("closed while the grant holds: %q", b.why())
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.why() != refusal.CloseExpired().Reason {
			t.Errorf("at the end of the grant: %q", b.why())
		}
		r.Stop(context.Background())
	})
}

func TestWhoLosesAccessGetsAnotherGrantAndKeepsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		b, other := r.in(1, "alice"), r.in(2, "bob")
		for _, c := range []status.ConversationID{"c1", "c2"} {
			r.member(c, "alice", true)
			r.member(c, "bob", true)
			must(t, b.join(c))
			must(t, other.join(c))
		}
		before := r.verdicts()
		r.Changed("c1") // nobody loses anything
		synctest.Wait()
		if r.verdicts() != before || len(b.resized) == 0 {
			t.Fatalf("%d verdicts; told of the categories: %v", r.verdicts()-before, b.resized)
		}
		r.member("c1", "alice", false)
		r.Changed("c1")
		time.Sleep(time.Second)
		synctest.Wait()
		if b.covers("c1") || !b.covers("c2") || b.why() != "" || !other.covers("c1") {
			t.Errorf("c1 %v, c2 %v, closed %q, the other's c1 %v", b.covers("c1"), b.covers("c2"), b.why(), other.covers("c1"))
		}
		if r.verdicts() != before+1 {
			t.Errorf("%d verdicts", r.verdicts()-before)
		}
		r.Stop(context.Background())
	})
}

func TestAReviewThatGetsNoGrantEndsTheBrowsers(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      func(*rig)
		why      string
		verdicts int
	}{
		{"nobody answers", func(r *rig) { r.broken = errors.New("nobody there") }, refusal.CloseAccessLost().Reason, 3},
		{"the login is denied", func(r *rig) { r.denied = &session.Denial{Reason: "blocked", Final: true} }, refusal.CloseDenied("blocked").Reason, 1},
		{"the denial is passing", func(r *rig) { r.denied = &session.Denial{Reason: "busy"} }, refusal.CloseAccessLost().Reason, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.member("c1", "alice", true)
				b := r.in(1, "alice")
				must(t, b.join("c1"))
				before := r.verdicts()
				r.member("c1", "alice", false)
				r.set(func() { c.set(r) })
				r.Changed("c1")
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if b.why() != c.why || r.verdicts()-before != c.verdicts {
					t.Errorf("closed %q after %d verdicts, want %q after %d", b.why(), r.verdicts()-before, c.why, c.verdicts)
				}
				r.Stop(context.Background())
			})
		})
	}
}

// The callout had seen the directory of before, and its grant came after the review.
func TestAccessThatChangesWhileTheCalloutDecidesIsReviewedAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.member("c1", "alice", true)
		b := r.in(1, "alice")
		var once sync.Once
		r.set(func() {
			r.deciding = func() { once.Do(func() { r.Changed("c1"); synctest.Wait() }) }
		})
		must(t, b.join("c1"))
		r.member("c1", "alice", false)
		time.Sleep(time.Second)
		synctest.Wait()
		if b.covers("c1") {
			t.Error("what was lost meanwhile is granted for good")
		}
		r.Stop(context.Background())
	})
}

func TestTheConversationLeastRecentlyUsedMakesRoom(t *testing.T) {
	r := newRig(t)
	b := r.in(1, "alice")
	name := func(i int) status.ConversationID { return status.ConversationID(fmt.Sprintf("c%03d", i)) }
	for i := range session.MaxConversations + 2 {
		r.member(name(i), "alice", true)
	}
	for i := range session.MaxConversations {
		must(t, b.join(name(i)))
	}
	b.cred.Touch(name(0))
	must(t, b.join(name(session.MaxConversations)))
	if !b.covers(name(0)) || b.covers(name(1)) || !b.covers(name(2)) {
		t.Errorf("covered: %v %v %v, want the second one to be left out", b.covers(name(0)), b.covers(name(1)), b.covers(name(2)))
	}
	for i := range session.MaxConversations + 1 {
		if i != 1 {
			b.use(name(i))
		}
	}
	last := name(session.MaxConversations + 1)
	if err := b.join(last); err == nil || err.Error() != refusal.GrantFull(session.MaxConversations).Reason {
		t.Errorf("one more, and all are in use: %v", err)
	}
	if err := b.cred.Join(b.ctx, b, last, false); !errors.Is(err, access.ErrGrantFull) || !access.Refusal(err).Is() {
		t.Errorf("asked all the same: %v", err)
	}
	if _, err := b.cred.Wanted(last); !errors.Is(err, access.ErrGrantFull) {
		t.Errorf("wanted: %v", err)
	}
}

func TestLoginDecisionsOfAUserAreLimited(t *testing.T) {
	for _, dry := range []bool{false, true} {
		t.Run(fmt.Sprintf("dry-run %v", dry), func(t *testing.T) {
			r := newRig(t, func(o *access.Options, _ *access.Deps) { o.GrantChanges = limit.Rule{Value: 2, DryRun: dry} })
			b := r.in(1, "alice")
			for i := range 3 {
				c := status.ConversationID(fmt.Sprint("c", i))
				r.member(c, "alice", true)
				refused := r.MayJoin(b.ctx, c, "alice", b.cred, false)
				err := b.cred.Join(b.ctx, b, c, false)
				var limited *access.LimitedError
				switch over := i == 2 && !dry; {
				case over && (refused.Limit != limit.GrantChanges || !errors.As(err, &limited)):
					t.Errorf("the third one: %+v, %v", refused, err)
				case !over && (refused.Is() || err != nil):
					t.Errorf("join %d: %+v, %v", i, refused, err)
				}
			}
			if free := r.MayJoin(b.ctx, "c2", "alice", b.cred, true); free.Is() {
				t.Errorf("what is free is refused: %+v", free)
			}
			if dry != (len(b.counted) == 1) {
				t.Errorf("told %d times", len(b.counted))
			}
		})
	}
}

// screener knows what is wrong with tokens by how they begin.
type screener struct{}

func (screener) Screen(_ context.Context, token string) (session.Proof, *session.Denial) {
	switch {
	case strings.HasPrefix(token, "forged"):
		return nil, &session.Denial{Reason: "forged", Final: true, BadToken: true}
	case strings.HasPrefix(token, "expired"):
		return nil, &session.Denial{Reason: "expired", Final: true}
	}
	return proof(userOf(token)), nil
}

func TestABadTokenCostsNoVerdict(t *testing.T) {
	full := limit.Verdict{Name: limit.FailedLogins, Limit: 20}
	for _, c := range []struct {
		name, token string
		join        status.ConversationID
		fails       limit.Verdict
		want        string
		counted     int
	}{
		{"a forged one is counted", "forged", "", limit.Verdict{}, "forged", 1},
		{"a forged one too many has to wait", "forged", "", full, refusal.LoginLimited(full), 0},
		{"an expired one is not counted", "expired", "", full, "expired", 0},
		{"one that is too long", strings.Repeat("x", 101), "", limit.Verdict{}, refusal.ReasonTokenTooLong(100), 1},
		{"one with control characters", "alice\n", "", limit.Verdict{}, refusal.ReasonTokenBytes, 1},
		{"one that is not UTF-8", "alice\xff", "", limit.Verdict{}, refusal.ReasonTokenBytes, 1},
		{"a good one with a stranger's conversation", "alice", "c9", full, status.NotTheirs("c9"), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(_ *access.Options, d *access.Deps) { d.Screen = screener{} })
			b := r.browser(1, c.token)
			b.fails = c.fails
			err := b.login(c.join)
			if err == nil || err.Error() != c.want || b.failed != c.counted || r.verdicts() != 0 {
				t.Errorf("%v, counted %d, %d verdicts; want %q, counted %d", err, b.failed, r.verdicts(), c.want, c.counted)
			}
			if st := r.Stats(); st.Credentials != 0 {
				t.Errorf("%d credentials are held", st.Credentials)
			}
		})
	}
}

func TestAFreshTokenTakesTheBrowserAlong(t *testing.T) {
	r := newRig(t)
	r.member("c1", "alice", true)
	b := r.in(1, "alice/old")
	must(t, b.join("c1"))
	b.use("c1")
	fresh := func(token string) (*access.Credential, error) {
		return r.Switch(b.ctx, b, 1, b, b.cred, "alice", session.Login{Token: token})
	}
	if _, err := fresh(""); err == nil {
		t.Error("no token will do")
	}
	var denial *session.Denial
	if _, err := fresh("bob"); !errors.As(err, &denial) || denial.Reason != refusal.ReasonOtherUser {
		t.Errorf("another user's: %v", err)
	}
	if same, err := fresh("alice/old"); err != nil || same != b.cred {
		t.Errorf("the same one: %v, %v", same == b.cred, err)
	}
	next, err := fresh("alice/new")
	must(t, err)
	if want := r.lastAsk().Want; len(want) != 1 || want[0] != "c1" {
		t.Errorf("asked for %v, want what is in use", want)
	}
	old := b.cred
	b.attach(next)
	old.Detach(b)
	if !b.covers("c1") {
		t.Error("what was in use is lost")
	}
	if st := r.Stats(); st.Credentials != 2 || st.IdleGrants != 1 {
		t.Errorf("%+v: want the old one idle, and bob's gone", st)
	}
}

func TestForgetHasTheNextLoginDecidedAnew(t *testing.T) {
	r := newRig(t)
	a, b := r.in(1, "alice"), r.in(2, "bob")
	r.Forget("alice")
	r.in(3, "alice")
	r.in(4, "bob")
	if r.verdicts() != 3 {
		t.Errorf("%d verdicts, want two for alice and one for bob", r.verdicts())
	}
	if a.why() != "" || b.why() != "" {
		t.Error("a browser was closed")
	}
}

// proof is that a token is this user's.
type proof status.UserID

func (p proof) User() status.UserID { return status.UserID(p) }

func TestAVerdictAtTheLoginCoversWhereTheBrowserGoesOn(t *testing.T) {
	r := newRig(t, func(_ *access.Options, d *access.Deps) { d.Screen = screener{} })
	for _, c := range []status.ConversationID{"c1", "c2"} {
		r.member(c, "alice", true)
	}
	b := r.browser(1, "alice")
	b.likely = []status.ConversationID{"c2"}
	must(t, b.login("c1"))
	if !b.covers("c1") || !b.covers("c2") || r.verdicts() != 1 {
		t.Errorf("c1 %v, c2 %v after %d verdicts", b.covers("c1"), b.covers("c2"), r.verdicts())
	}
	again := r.browser(2, "alice")
	again.likely = []status.ConversationID{"c3"}
	if must(t, again.login("")); r.verdicts() != 1 {
		t.Error("what is only likely costs a verdict")
	}
}
