package browser

import (
	"cmp"
	"errors"

	"github.com/statuswire/statuswire/internal/access"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/refusal"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// LogIn finds the credential of the token and takes its grant, which covers join if that
// is not "". The error is made by refusal.End.
func (b *Browser) LogIn(login session.Login, join status.ConversationID) error {
	login.Remote = b.remote
	b.setLogin(login)
	cred, err := b.hub.deps.Access.Login(b.ctx, b, b.id, b.place, login, join)
	if err != nil {
		return b.refusedLogin(err)
	}
	if !b.attach(cred) {
		return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
	}
	if v := b.place.LoggedIn(b.Grant().User); v.Refused() {
		return refusal.End(refusal.CloseLimited(refusal.ReasonUserConnections(v), refusal.RetryAfterOthers))
	}
	b.startMeters()
	return nil
}

// attach has the browser share the credential's grant. It is false when that has been
// taken back meanwhile.
func (b *Browser) attach(cred *access.Credential) bool {
	cred.Attach(b)
	b.mu.Lock()
	b.credential = cred
	b.mu.Unlock()
	return b.TakeGrant()
}

// refusedLogin ends the connection with why its login failed.
func (b *Browser) refusedLogin(err error) error {
	var denial *session.Denial
	if errors.As(err, &denial) && denial.Final {
		why := refusal.CloseDenied(denial.Reason)
		why.User = denial.User
		return refusal.End(why)
	}
	if r := access.Refusal(err); r.Is() {
		b.noteLimited("", r)
		return refusal.End(refusal.CloseLimited(r.Reason, cmp.Or(r.RetryAfter, refusal.RetryAfterOthers)))
	}
	b.hub.opts.Logger.Warn("no verdict for a browser", "remote", b.remote, "error", err)
	return refusal.End(refusal.ClosePassing(refusal.ReasonUnavailable))
}

func (b *Browser) setLogin(login session.Login) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.login = login
}

// Login implements access.Browser.
func (b *Browser) Login() session.Login {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.login
}

// Switch goes on with a fresh token of the same user, and returns its grant. Errors are
// as of access.Login; what a limit refuses is noted.
func (b *Browser) Switch(token string) (*session.Grant, error) {
	login, old := b.Login(), b.credentialOf()
	login.Token, login.User = token, ""
	fresh, err := b.hub.deps.Access.Switch(b.ctx, b, b.id, b.place, old, b.Grant().User, login)
	if err != nil {
		b.noteLimited(status.GatewayToken, access.Refusal(err))
		return nil, err
	}
	if fresh == old {
		return b.Grant(), nil
	}
	b.setLogin(login)
	attached := b.attach(fresh)
	old.Detach(b)
	if !attached {
		b.Close(refusal.CloseAccessLost())
	}
	return b.Grant(), nil
}

// noteLimited is Note for a limit on logins, but one that has noted it already.
func (b *Browser) noteLimited(subject string, r refusal.Refusal) {
	if r.Is() && r.Limit != limit.FailedLogins {
		b.Note(subject, r)
	}
}
