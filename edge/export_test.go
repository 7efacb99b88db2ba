package edge

import (
	"context"
	"time"

	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/status"
)

// ParseHistoryRequest reads a payload as the service does.
func ParseHistoryRequest(body []byte) (q history.Query, limit int, err error) {
	r, err := parseHistoryRequest(body, DefaultOptions().History.MaxStatuses)
	return r.query("c1"), r.limit, err
}

// Turns are the turns of users, for tests of their order.
type Turns struct{ turns *turns }

// NewTurns makes turns with the bounds.
func NewTurns(places, userPlaces, entered, userEntered int) Turns {
	return Turns{newTurns(bounds{places: places, userPlaces: userPlaces, entered: entered, userEntered: userEntered})}
}

// Enter is true for one that is not too many.
func (t Turns) Enter(u status.UserID) bool { return t.turns.enter(u) == fits }

// Leave counts out.
func (t Turns) Leave(u status.UserID) { t.turns.leave(u) }

// Await calls granted in its turn; the function takes it back.
func (t Turns) Await(u status.UserID, granted func()) (abandon func() bool) {
	w := t.turns.await(u, granted)
	return func() bool { return t.turns.abandon(w) }
}

// Begin waits until ctx ends.
func (t Turns) Begin(ctx context.Context, u status.UserID) error { return t.turns.begin(ctx, u, nil) }

// End gives a place back.
func (t Turns) End(u status.UserID, rest time.Duration) { t.turns.end(u, rest) }

// Known is how many users there is anything of.
func (t Turns) Known() int {
	t.turns.mu.Lock()
	defer t.turns.mu.Unlock()
	return len(t.turns.users)
}

// RestAfter is how long a place of the user rests after an answer.
func (s *Service) RestAfter(u status.UserID, took time.Duration, bytes int) time.Duration {
	return s.restAfter(u, took, bytes)
}

// Replays are the turns of histories.
type Replays struct{ replays *replays }

// NewReplays lets each user have so many bytes a second.
func NewReplays(perSecond int) Replays {
	return Replays{newReplays(DefaultOptions().History, newAllowance(pace{peak: perSecond, steady: perSecond}))}
}

// Allowance is the users' bytes.
type Allowance struct{ allowance *allowance }

// NewAllowance lets each user have so many bytes a second, and in the long run.
func NewAllowance(peak, steady, burst int) Allowance {
	return Allowance{newAllowance(pace{peak: peak, steady: steady, burst: burst})}
}

// Spend takes the bytes, and returns how long the user has to rest.
func (a Allowance) Spend(now time.Time, u status.UserID, bytes int) time.Duration {
	return a.allowance.spend(now, u, bytes)
}

// Users is how many are remembered.
func (a Allowance) Users() int { return a.allowance.users() }

// Enter is true for one that is not too many.
func (r Replays) Enter(u status.UserID) bool { return r.replays.enter(u) == nil }

// Leave counts out.
func (r Replays) Leave(u status.UserID) { r.replays.leave(u) }

// Turn does one batch in its turn.
func (r Replays) Turn(ctx context.Context, u status.UserID, batch func() (bytes int, more bool, err error)) error {
	return r.replays.turn(ctx, u, batch)
}
