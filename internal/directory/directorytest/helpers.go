package directorytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

func conversation(i int) directory.Conversation {
	return directory.Conversation{
		ID:         status.ConversationID(fmt.Sprintf("conversation-%06d", i)),
		Owner:      status.UserID(fmt.Sprintf("owner%d@example.com", i%7)),
		Members:    []status.UserID{"zoe", status.UserID(fmt.Sprintf("member|%d", i)), "adam"},
		Categories: []status.Category{"render", "audio"},
	}
}

// longUser is of the greatest length, of bytes that need escaping in JSON.
func longUser(i int) status.UserID {
	id := []byte(fmt.Sprintf("%04d", i))
	for len(id) < status.MaxUserIDBytes {
		id = append(id, '"')
	}
	return status.UserID(id)
}

func started(t *testing.T, open func(*testing.T) Directory) Directory {
	t.Helper()
	d := open(t)
	start(t, d)
	return d
}

func start(t *testing.T, d Directory) {
	t.Helper()
	must(t, d.Start(t.Context()))
	t.Cleanup(func() {
		if err := d.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got the error %v, want %v", err, want)
	}
}

func wantOwner(t *testing.T, d Directory, id status.ConversationID, want status.UserID) {
	t.Helper()
	if c, err := d.Conversation(t.Context(), id); err != nil || c.Owner != want {
		t.Errorf("%s is %+v, %v, want the owner %s", id, c, err, want)
	}
}

func wantMembers(t *testing.T, c directory.Conversation, want ...status.UserID) {
	t.Helper()
	if !slices.Equal(c.Members, want) {
		t.Errorf("members of %s are %v, want %v", c.ID, c.Members, want)
	}
}

func wantOfUser(t *testing.T, d Directory, user status.UserID, want ...status.ConversationID) {
	t.Helper()
	if ids, err := d.OfUser(t.Context(), user, 100); err != nil || !slices.Equal(ids, want) {
		t.Errorf("conversations of %s are %v, %v, want %v", user, ids, err, want)
	}
}

func wantList(t *testing.T, d Directory, owner status.UserID, want ...status.ConversationID) {
	t.Helper()
	list, err := d.List(t.Context(), owner)
	must(t, err)
	var ids []status.ConversationID
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	if !slices.Equal(ids, want) {
		t.Errorf("list of %q is %v, want %v", owner, ids, want)
	}
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass within 10 s")
		}
	}
}
