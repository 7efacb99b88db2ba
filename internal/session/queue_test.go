package session_test

import (
	"testing"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/session"
)

// What nats-server says to the same lists is asked in the gateway's tests of permissions.
func TestAnEntryMayNameAQueueGroup(t *testing.T) {
	for _, tt := range []struct {
		name        string
		allow, deny jwt.StringList
		queue       string // "" for a plain subscription
		want        bool
	}{
		{"plain, plainly", jwt.StringList{"foo"}, nil, "", true},
		{"plain, in a group", jwt.StringList{"foo"}, nil, "v1", true},
		{"a group, plainly", jwt.StringList{"foo v1"}, nil, "", false},
		{"a group, in it", jwt.StringList{"foo v1"}, nil, "v1", true},
		{"a group, in another", jwt.StringList{"foo v1"}, nil, "v2", false},
		{"both, plainly", jwt.StringList{"foo", "foo v1"}, nil, "", true},
		{"both, in the group", jwt.StringList{"foo", "foo v1"}, nil, "v1", true},
		{"both, in another", jwt.StringList{"foo", "foo v1"}, nil, "v2", false},
		{"two groups, in the first", jwt.StringList{"foo v1", "foo v2"}, nil, "v1", true},
		{"two groups, in the second", jwt.StringList{"foo v1", "foo v2"}, nil, "v2", true},
		{"groups by pattern, in one", jwt.StringList{"foo team.*"}, nil, "team.a", true},
		{"groups by pattern, in the pattern itself", jwt.StringList{"foo team.*"}, nil, "team.*", true},
		{"groups by pattern, in another", jwt.StringList{"foo team.*"}, nil, "teams.a", false},
		{"all groups below, in one", jwt.StringList{"foo team.>"}, nil, "team.a.b", true},
		{"all groups below, in another", jwt.StringList{"foo team.>"}, nil, "team", false},
		{"a pattern that is none", jwt.StringList{"foo team..*"}, nil, "team.a", false},
		{"denied, plainly", nil, jwt.StringList{"foo"}, "", false},
		{"denied, in a group", nil, jwt.StringList{"foo"}, "v1", false},
		{"a group denied, plainly", nil, jwt.StringList{"foo v1"}, "", true},
		{"a group denied, in it", nil, jwt.StringList{"foo v1"}, "v1", false},
		{"a group denied, in another", nil, jwt.StringList{"foo v1"}, "v2", true},
		{"another subject denied", nil, jwt.StringList{"bar"}, "", true},
	} {
		claims := jwt.NewUserClaims("preview")
		claims.Name, claims.Sub.Allow, claims.Sub.Deny = "alice", tt.allow, tt.deny
		g, err := session.GrantOf(claims)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := g.CanSubscribe("foo", tt.queue); got != tt.want {
			t.Errorf("%s: SUB is %v, want %v", tt.name, got, tt.want)
		}
		if got, want := g.CanReceive("foo", tt.queue), tt.allow != nil || tt.want; got != want {
			t.Errorf("%s: a delivery is %v, want %v", tt.name, got, want)
		}
		if got, want := g.Filters(), tt.deny != nil; got != want {
			t.Errorf("%s: filters is %v, want %v", tt.name, got, want)
		}
	}
}
