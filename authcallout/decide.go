package authcallout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// decide says what the connection gets. The grant's user is set as soon as it is
// known, also when there is an error.
func (s *Service) decide(ctx context.Context, req *jwt.AuthorizationRequestClaims) (grant, error) {
	g := grant{connection: jwt.ConnectionTypeInProcess}
	ask, hasLink := s.deps.Sessions.Ask(linkKey(req))
	native := !hasLink && s.opts.NativeWebSocket && req.ClientInformation.Type == "websocket"
	if !hasLink && !native {
		return g, errNoLink
	}
	who, err := s.identify(ctx, cmp.Or(req.ConnectOptions.Token, req.ConnectOptions.Password))
	if err != nil {
		return g, err
	}
	g.user = who.User
	if native {
		g.connection = jwt.ConnectionTypeWebsocket
		if ask, err = s.nativeAsk(ctx, who.User, req.ConnectOptions.Username); err != nil {
			return g, err
		}
	}
	return s.entitled(ctx, g, who.Expires, ask)
}

// entitled fills in what the grant's user gets of what is asked for. tokenEnd is
// when the user's token ends.
func (s *Service) entitled(ctx context.Context, g grant, tokenEnd time.Time, ask session.Ask) (grant, error) {
	var err error
	if g.expires, err = expiry(time.Now(), tokenEnd, s.opts.GrantLifetime); err != nil {
		return g, err
	}
	g.conversations, err = s.admitted(ctx, g.user, ask)
	return g, err
}

func (s *Service) identify(ctx context.Context, token string) (identity.Identity, error) {
	if token == "" {
		return identity.Identity{}, identity.ErrEmpty
	}
	who, err := s.deps.Verifier.Verify(ctx, token)
	if err != nil {
		return identity.Identity{}, fmt.Errorf("%w: %w", errVerifier, err)
	}
	return who, nil
}

// nativeAsk is what a client without a gateway gets at CONNECT, because it can
// get nothing later: the conversation that it names as its user, else its first.
func (s *Service) nativeAsk(ctx context.Context, user status.UserID, join string) (session.Ask, error) {
	if join != "" {
		return session.Ask{Join: status.ConversationID(join)}, nil
	}
	theirs, err := s.deps.Directory.OfUser(ctx, user, s.opts.MaxConversations)
	if err != nil {
		return session.Ask{}, fmt.Errorf("%w: %w", errDirectory, err)
	}
	return session.Ask{Want: theirs}, nil
}

// admitted returns the conversations that the user gets of those asked for,
// sorted: the one to join for certain, the wanted as far as they are theirs.
func (s *Service) admitted(ctx context.Context, user status.UserID, ask session.Ask) ([]status.ConversationID, error) {
	var granted []status.ConversationID
	if ask.Join != "" {
		ok, err := s.admits(ctx, user, ask.Join)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, &notTheirsError{ask.Join}
		}
		granted = append(granted, ask.Join)
	}
	for _, id := range ask.Want {
		if len(granted) >= s.opts.MaxConversations {
			break
		}
		if slices.Contains(granted, id) {
			continue
		}
		ok, err := s.admits(ctx, user, id)
		if err != nil {
			return nil, err
		}
		if ok {
			granted = append(granted, id)
		}
	}
	slices.Sort(granted)
	return granted, nil
}

func (s *Service) admits(ctx context.Context, user status.UserID, id status.ConversationID) (bool, error) {
	// The id becomes part of a permission: a wildcard must never get there.
	if _, err := status.ParseConversationID(string(id)); err != nil {
		return false, nil
	}
	c, err := s.deps.Directory.Conversation(ctx, id)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", errDirectory, err)
	}
	return c.Admits(user), nil
}

func linkKey(req *jwt.AuthorizationRequestClaims) session.Key {
	return session.Key{ServerID: req.Server.ID, ClientID: req.ClientInformation.ID}
}
