package directory_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

func users(n int) []status.UserID {
	list := make([]status.UserID, n)
	for i := range list {
		list[i] = status.UserID(fmt.Sprintf("u%04d", i))
	}
	return list
}

func categories(n int) []status.Category {
	list := make([]status.Category, n)
	for i := range list {
		list[i] = status.Category(fmt.Sprintf("c%d", i))
	}
	return list
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name string
		c    directory.Conversation
		want string // part of the error; "" = valid
	}{
		{"an owner is enough", directory.Conversation{ID: "c1", Owner: "alice"}, ""},
		{"the fullest one", directory.Conversation{ID: "c1", Owner: "alice", Members: users(1000), Categories: categories(32)}, ""},
		{"an owner who is a member too", directory.Conversation{ID: "c1", Owner: "alice", Members: []status.UserID{"alice"}}, ""},
		{"no id", directory.Conversation{Owner: "alice"}, "bad conversation id"},
		{"an id with a dot", directory.Conversation{ID: "a.b", Owner: "alice"}, `bad conversation id "a.b"`},
		{"no owner", directory.Conversation{ID: "c1"}, `"c1" has no owner`},
		{"an owner with a line break", directory.Conversation{ID: "c1", Owner: "a\nb"}, `bad user id "a\nb"`},
		{"an empty member", directory.Conversation{ID: "c1", Owner: "alice", Members: []status.UserID{""}}, "bad user id"},
		{"a member twice", directory.Conversation{ID: "c1", Owner: "alice", Members: []status.UserID{"bob", "carol", "bob"}}, `"bob" is there twice`},
		{"1,001 members", directory.Conversation{ID: "c1", Owner: "alice", Members: users(1001)}, "at most 1000"},
		{"a bad category", directory.Conversation{ID: "c1", Owner: "alice", Categories: []status.Category{"Render"}}, `bad category "Render"`},
		{"a default category", directory.Conversation{ID: "c1", Owner: "alice", Categories: []status.Category{"engine"}}, `"engine" is a default category`},
		{"a category twice", directory.Conversation{ID: "c1", Owner: "alice", Categories: []status.Category{"render", "render"}}, `"render" is there twice`},
		{"created in the year 10,000 of UTC", directory.Conversation{ID: "c1", Owner: "alice", Created: time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -7200))}, "RFC 3339"},
		{"33 categories", directory.Conversation{ID: "c1", Owner: "alice", Categories: categories(33)}, "at most 32"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.c.Validate()
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, directory.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOwnerAndMembersAreAdmittedAndNobodyElse(t *testing.T) {
	c := directory.Conversation{ID: "c1", Owner: "alice", Members: []status.UserID{"bob"}}
	for user, want := range map[status.UserID]bool{"alice": true, "bob": true, "Bob": false, "mallory": false, "": false} {
		if got := c.Admits(user); got != want {
			t.Errorf("Admits(%q) is %v", user, got)
		}
	}
	if (directory.Conversation{}).Admits("") {
		t.Error("a conversation without an owner admits the user without a name")
	}
}

func TestOwnCategoriesFollowTheDefaultOnes(t *testing.T) {
	c := directory.Conversation{ID: "c1", Owner: "alice", Categories: []status.Category{"render", "audio"}}
	want := append(status.DefaultCategories(), "render", "audio")
	if got := c.AllCategories(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMembersComeAndGoWithoutTouchingTheOriginal(t *testing.T) {
	c := directory.Conversation{ID: "c1", Owner: "alice", Members: []status.UserID{"bob", "dave"}}
	if got := c.WithMember("carol").Members; !slices.Equal(got, []status.UserID{"bob", "carol", "dave"}) {
		t.Errorf("with carol: %v", got)
	}
	if got := c.WithMember("alice"); !got.Equal(c) {
		t.Errorf("with the owner: %v", got)
	}
	if got := c.WithoutMember("bob").Members; !slices.Equal(got, []status.UserID{"dave"}) {
		t.Errorf("without bob: %v", got)
	}
	if !slices.Equal(c.Members, []status.UserID{"bob", "dave"}) {
		t.Errorf("the original has now %v", c.Members)
	}
}

func TestNormalizedSortsMembersAndCutsTheTime(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	c := directory.Conversation{ID: "c1", Owner: "alice", Members: []status.UserID{"dave", "bob"}, Created: time.Date(2026, 1, 2, 3, 4, 5, 6_789_000, zone)}
	got := c.Normalized()
	if !slices.Equal(got.Members, []status.UserID{"bob", "dave"}) || got.Created != time.Date(2026, 1, 2, 2, 4, 5, 6_000_000, time.UTC) {
		t.Errorf("got %+v", got)
	}
	if c.Members[0] != "dave" {
		t.Error("the original was sorted as well")
	}
}
