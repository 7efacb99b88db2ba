package authcallout_test

import (
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/session"
)

// A witness leaves what the server would take, and passes over all else.
func TestAWitnessHearsWhatTheServiceAnswersToOurServer(t *testing.T) {
	c := startCallouts(t, nil) // its own service has nothing to say in this
	stop(t, c.service.Stop)
	issuer, public := accountKey(t)
	other, _ := accountKey(t)
	_, strangerID := serverKey(t)
	var heard verdicts
	w := authcallout.NewWitness(c.nc, authcallout.WitnessDeps{
		ServerID: func() string { return c.serverID }, Issuer: public, Answers: "answers.>",
		Sessions: c.sessions, OnVerdict: heard.add,
	})
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name   string
		by     nkeys.KeyPair
		change func(*jwt.AuthorizationResponseClaims)
		empty  bool
		want   string // the user JWT, "refused", or "" for nothing
	}{
		{"a grant", issuer, func(r *jwt.AuthorizationResponseClaims) { r.Jwt = "the JWT" }, false, "the JWT"},
		{"a refusal", issuer, func(r *jwt.AuthorizationResponseClaims) { r.Error = "db.internal is down" }, false, "refused"},
		{"an empty answer", nil, nil, true, "refused"},
		{"signed by another", other, func(r *jwt.AuthorizationResponseClaims) { r.Jwt = "the JWT" }, false, ""},
		{"to another server", issuer, func(r *jwt.AuthorizationResponseClaims) { r.Jwt, r.Audience = "the JWT", strangerID }, false, ""},
		{"for another connection", issuer, func(r *jwt.AuthorizationResponseClaims) {
			r.Jwt, r.Subject = "the JWT", c.request(t).UserNkey
		}, false, ""},
	} {
		t.Run(v.name, func(t *testing.T) {
			link, err := c.sessions.Open(session.Key{ServerID: c.serverID, ClientID: 7}, session.Ask{})
			if err != nil {
				t.Fatal(err)
			}
			defer link.Close()
			before := len(heard.all())
			req := c.request(t)
			c.witnessed(t, req, c.server, v.by, v.change, v.empty)
			// What is a verdict comes after all that is none.
			last := c.request(t)
			if v.want == "" {
				c.witnessed(t, last, c.server, issuer, func(r *jwt.AuthorizationResponseClaims) { r.Jwt = "the last" }, false)
				v.want = "the last"
			}
			waitFor(t, "a verdict", func() bool { return len(heard.all()) > before })
			userJWT, denial := link.Verdict()
			switch {
			case v.want == "refused":
				if denial == nil || !denial.Final || !denial.BadToken || denial.Reason != "the authorization service refused this login" {
					t.Errorf("got %q, %+v", userJWT, denial)
				}
			case denial != nil || userJWT != v.want:
				t.Errorf("got %q, %v, want %q", userJWT, denial, v.want)
			}
		})
	}
	// Nobody waits for it, or it is another server's.
	before := len(heard.all())
	c.witnessed(t, c.request(t), c.server, issuer, func(r *jwt.AuthorizationResponseClaims) { r.Jwt = "the JWT" }, false)
	if st := w.Stats(); st.Granted != 4 || st.Denied[authcallout.CauseRefused] != 2 || len(heard.all()) != before {
		t.Errorf("it counts %+v, and %d verdicts", st, len(heard.all()))
	}
	stop(t, w.Stop)
	stop(t, w.Stop)
}

// witnessed sends a request and its answer.
func (c *callouts) witnessed(t *testing.T, req *jwt.AuthorizationRequestClaims, server, by nkeys.KeyPair, change func(*jwt.AuthorizationResponseClaims), empty bool) {
	t.Helper()
	data, err := req.Encode(server)
	if err != nil {
		t.Fatal(err)
	}
	reply := "answers." + nats.NewInbox()
	if err := c.nc.PublishRequest("$SYS.REQ.USER.AUTH", reply, []byte(data)); err != nil {
		t.Fatal(err)
	}
	var answer []byte
	if !empty {
		resp := jwt.NewAuthorizationResponseClaims(req.UserNkey)
		resp.Audience = c.serverID
		change(resp)
		signed, err := resp.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		answer = []byte(signed)
	}
	if err := c.nc.Publish(reply, answer); err != nil {
		t.Fatal(err)
	}
	if err := c.nc.FlushTimeout(soon); err != nil {
		t.Fatal(err)
	}
}

func accountKey(t *testing.T) (kp nkeys.KeyPair, public string) {
	t.Helper()
	kp, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = kp.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return kp, public
}
