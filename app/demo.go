package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/pause"
	"github.com/statuswire/statuswire/status"
)

// The demo's conversation and users. The stranger owns nothing: what the demo
// refuses to that user, it refuses to everybody else.
const (
	DemoConversation status.ConversationID = "demo"
	DemoOwner        status.UserID         = "alice"
	DemoStranger     status.UserID         = "mallory"
)

// demoTokenLifetime is how long a token of demo.json holds.
const demoTokenLifetime = time.Hour

// demo is a conversation with a simulated agent run in it. Its statuses take
// the way of every service: a TCP connection with the service key.
type demo struct {
	app     *App
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newDemo(a *App) *demo { return &demo{app: a} }

func (d *demo) start(ctx context.Context) error {
	err := d.app.directory.Create(ctx, directory.Conversation{ID: DemoConversation, Owner: DemoOwner})
	if err != nil && !errors.Is(err, directory.ErrExists) {
		return fmt.Errorf("create the demo conversation: %w", err)
	}
	option, err := nats.NkeyOptionFromSeed(keys.ServiceFile(d.app.opts.DataDir))
	if err != nil {
		return err
	}
	nc, err := nats.Connect(d.app.engine.ClientURL(), option, nats.Name("statuswire demo"), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("connect the demo's service: %w", err)
	}
	publisher, err := broadcaster.NewPublisher(nc, broadcaster.PublisherOptions{})
	if err != nil {
		nc.Close()
		return err
	}
	runCtx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.running.Go(func() {
		defer nc.Close()
		d.run(runCtx, publisher)
	})
	return nil
}

// stop ends the run and waits for its last status.
func (d *demo) stop(context.Context) error {
	d.cancel()
	d.running.Wait()
	return nil
}

// run plays the agent's work again and again.
func (d *demo) run(ctx context.Context, p *broadcaster.Publisher) {
	for turn := 1; ; turn++ {
		for _, s := range agentRun(turn) {
			if !pause.For(ctx.Done(), s.after) {
				return
			}
			if _, err := p.Publish(ctx, DemoConversation, s.message); err != nil && ctx.Err() == nil {
				d.app.log.Warn("the demo could not publish", "error", err)
			}
		}
	}
}

// serveTokens hands the demo's tokens to the page. The listener is on loopback only,
// localOnly stands before it, and a page of another origin cannot read the answer.
func (d *demo) serveTokens(w http.ResponseWriter, _ *http.Request) {
	type user struct {
		User          status.UserID           `json:"user"`
		Token         string                  `json:"token"`
		Conversations []status.ConversationID `json:"conversations"`
	}
	var body struct {
		Users []user `json:"users"`
	}
	for _, u := range []user{
		{User: DemoOwner, Conversations: []status.ConversationID{DemoConversation}},
		{User: DemoStranger, Conversations: []status.ConversationID{}},
	} {
		token, err := identity.Issue(d.app.keys.TokenSecret, u.User, demoTokenLifetime, time.Now())
		if err != nil {
			http.Error(w, "no token could be made", http.StatusInternalServerError)
			return
		}
		u.Token = token
		body.Users = append(body.Users, u)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(body)
}
