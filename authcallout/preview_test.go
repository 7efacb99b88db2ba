package authcallout_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/statuswire/statuswire/authcallout"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

func TestAPreviewIsTheGrantOfALogin(t *testing.T) {
	r := start(t, setup{opts: authcallout.Options{GrantLifetime: time.Minute, MaxSubscriptions: 7, MaxCategories: 3}})
	for _, c := range []struct {
		name string
		user status.UserID
		ask  session.Ask
	}{
		{"nothing asked", "alice", session.Ask{}},
		{"joined and wanted", "alice", session.Ask{Join: "c2", Want: ids("c1")}},
		{"what is not theirs is left out", "bob", session.Ask{Want: ids("c1", "c2", "nope", "*")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := r.connect(t, c.ask, map[string]string{"auth_token": token(t, c.user, time.Hour)})
			want, err := r.read(l.jwt)
			if err != nil {
				t.Fatalf("%v, %v", err, l.denial)
			}
			got, err := r.service.Preview(t.Context(), c.user, c.ask)
			if err != nil {
				t.Fatal(err)
			}
			if d := got.Expires.Sub(want.Expires).Abs(); d > soon {
				t.Errorf("it ends %v apart", d)
			}
			got.Expires = want.Expires
			if got.User != want.User || got.MaxSubscriptions != want.MaxSubscriptions || got.MaxPayloadBytes != want.MaxPayloadBytes ||
				got.MaxCategories != want.MaxCategories || got.MaxChanges != want.MaxChanges || !reflect.DeepEqual(got.Conversations, want.Conversations) {
				t.Errorf("preview %+v, login %+v", got, want)
			}
			for _, subject := range []string{"status.c1.engine", "status.c2.*", "status.*.*", "presence.c2", "_INBOX.a", "edge.c2.join", "edge.c1.presence", "gateway.token", "status.nope.info", ">"} {
				if got.CanSubscribe(subject, "") != want.CanSubscribe(subject, "") || got.CanPublish(subject) != want.CanPublish(subject) {
					t.Errorf("they differ in %q", subject)
				}
			}
		})
	}
	_, err := r.service.Preview(t.Context(), "bob", session.Ask{Join: "c1"})
	var denial *session.Denial
	if !errors.As(err, &denial) || !denial.Final {
		t.Errorf("a stranger's conversation: %v", err)
	}
}
