package authcallout_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/session"
)

func TestOptionsThatCannotBeUsed(t *testing.T) {
	for _, o := range []authcallout.Options{
		{Workers: -1}, {QueueLength: -1}, {Timeout: -1}, {GrantLifetime: time.Millisecond}, {GrantLifetime: -time.Hour},
		{MaxSubscriptions: -1}, {MaxPayloadBytes: -1}, {MaxCategories: -1}, {ChangesPerMinute: -1}, {MaxConversations: -1},
	} {
		if err := o.Validate(); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	if err := authcallout.DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
	if err := (authcallout.Options{}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestDependenciesThatCannotBeUsed(t *testing.T) {
	account, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	_, serverID := serverKey(t)
	good := authcallout.Deps{
		ServerID: func() string { return serverID }, Issuer: account, Sessions: session.NewRegistry(),
		Verifier: verifier(t), Directory: conversations{},
	}
	if _, err := authcallout.New(&nats.Conn{}, good, authcallout.Options{}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*authcallout.Deps){
		"nobody who knows the server id": func(d *authcallout.Deps) { d.ServerID = nil },
		"no server id":                   func(d *authcallout.Deps) { d.ServerID = func() string { return "" } },
		"a server id of no use":          func(d *authcallout.Deps) { d.ServerID = func() string { return "server-1" } },
		"no issuer":                      func(d *authcallout.Deps) { d.Issuer = nil },
		"a user as issuer":               func(d *authcallout.Deps) { d.Issuer = user },
		"no sessions":                    func(d *authcallout.Deps) { d.Sessions = nil },
		"no verifier":                    func(d *authcallout.Deps) { d.Verifier = nil },
		"no directory":                   func(d *authcallout.Deps) { d.Directory = nil },
	} {
		deps := good
		spoil(&deps)
		if _, err := authcallout.New(&nats.Conn{}, deps, authcallout.Options{}); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := authcallout.New(nil, good, authcallout.Options{}); err == nil {
		t.Error("no connection was accepted")
	}
}
