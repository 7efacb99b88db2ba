package access

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// Tries is how often an address may still hand in a bad token.
type Tries interface {
	// MayFail asks whether one more may be tried. It counts nothing.
	MayFail() limit.Verdict
	// Failed counts a bad token.
	Failed()
}

// Login returns the credential of a browser that comes, with a grant that covers join,
// if that is not "". The caller attaches the browser to it. id is the browser's on this
// node. A denial is a *session.Denial; Refusal tells of some other errors; the rest is
// passing.
func (a *Access) Login(ctx context.Context, b Browser, id uint64, tries Tries, login session.Login, join status.ConversationID) (*Credential, error) {
	ctx, cancel := a.Patience(ctx)
	defer cancel()
	proof, err := a.screen(ctx, tries, login.Token, join)
	if err != nil {
		return nil, failed(tries, err)
	}
	n := need{proof: proof, join: join, paid: true}
	if proof != nil {
		n.likely = b.Likely(proof.User())
	}
	c := a.credential(login.Token, id)
	if err := c.ensure(ctx, b, login, n); err != nil {
		c.release()
		return nil, failed(tries, err)
	}
	return c, nil
}

// Switch returns the credential of a fresh token of a browser that has logged in, or
// the one that it has, if it is the same token's. Its grant covers what the browser uses.
// Errors are as of Login.
func (a *Access) Switch(ctx context.Context, b Browser, id uint64, tries Tries, old *Credential, user status.UserID, login session.Login) (*Credential, error) {
	if login.Token == "" {
		return nil, &session.Denial{Reason: refusal.ReasonNoToken, Final: true}
	}
	ctx, cancel := a.Patience(ctx)
	defer cancel()
	proof, err := a.screen(ctx, tries, login.Token, "")
	if err != nil {
		return nil, failed(tries, err)
	}
	c := a.credential(login.Token, id)
	if c == old {
		c.release()
		return c, nil
	}
	// What the browser uses now it goes on using: the new grant is asked for it.
	used := map[status.ConversationID]struct{}{}
	b.AddUsed(used)
	n := need{proof: proof, user: user, conversations: slices.Collect(maps.Keys(used)), paid: true}
	if err := c.ensure(ctx, b, login, n); err != nil {
		c.release()
		return nil, failed(tries, err)
	}
	return c, nil
}

// Join has the grant cover one more conversation, for a browser that MayJoin has let.
// free says that it does not count for the user. Errors are as of Login; whether the
// grant covers it then, the caller sees.
func (c *Credential) Join(ctx context.Context, b Browser, id status.ConversationID, free bool) error {
	return c.ensure(ctx, b, b.Login(), need{conversations: []status.ConversationID{id}, paid: !free})
}

// failed counts a final denial if it is of a bad token.
func failed(tries Tries, err error) error {
	var denial *session.Denial
	if errors.As(err, &denial) && denial.Final && denial.BadToken {
		tries.Failed()
	}
	return err
}
