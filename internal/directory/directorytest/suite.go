// Package directorytest is the suite that every directory runs, whatever it is
// made of: what it promises, its callers rely on.
package directorytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// Directory is what the suite runs against: a directory that can be written.
type Directory interface {
	Start(context.Context) error
	Stop(context.Context) error
	OnChange(func(directory.Change))
	Conversation(context.Context, status.ConversationID) (directory.Conversation, error)
	OfUser(context.Context, status.UserID, int) ([]status.ConversationID, error)
	List(context.Context, status.UserID) ([]directory.Conversation, error)
	Page(ctx context.Context, owner status.UserID, after status.ConversationID, limit int) ([]directory.Conversation, error)
	Create(context.Context, directory.Conversation) error
	AddMember(context.Context, status.ConversationID, status.UserID) (directory.Conversation, error)
	RemoveMember(context.Context, status.ConversationID, status.UserID) (directory.Conversation, error)
	AddCategory(context.Context, status.ConversationID, status.Category) (directory.Conversation, error)
	RetireCategory(context.Context, status.ConversationID, status.Category) (directory.Conversation, error)
	Delete(context.Context, status.ConversationID) error
	WasDeleted(context.Context, status.ConversationID) (bool, error)
	Import(context.Context, []directory.Conversation) []directory.Outcome
}

// Run runs the suite. open returns a directory, not yet started, on the store
// that belongs to t: asked twice with the same t it opens the same store twice.
// Within a second a write to one must be seen by the other.
func Run(t *testing.T, open func(t *testing.T) Directory) {
	t.Run("a conversation that was created is there when Create returns", func(t *testing.T) {
		d := started(t, open)
		for i := range 50 {
			c := conversation(i)
			must(t, d.Create(t.Context(), c))
			got, err := d.Conversation(t.Context(), c.ID)
			must(t, err)
			if !got.Equal(c.Normalized()) {
				t.Fatalf("got %+v, want %+v", got, c)
			}
			if got.Created.IsZero() || time.Since(got.Created) > time.Minute || got.Created.Location() != time.UTC {
				t.Fatalf("created at %v", got.Created)
			}
		}
	})
	t.Run("a conversation is created once", func(t *testing.T) {
		d := started(t, open)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"}))
		wantErr(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "mallory"}), directory.ErrExists)
		wantOwner(t, d, "c1", "alice")
	})
	t.Run("an invalid conversation is refused", func(t *testing.T) {
		d := started(t, open)
		wantErr(t, d.Create(t.Context(), directory.Conversation{ID: "c1"}), directory.ErrInvalid)
		wantErr(t, d.Create(t.Context(), directory.Conversation{ID: "c.1", Owner: "alice"}), directory.ErrInvalid)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"}))
		_, err := d.AddMember(t.Context(), "c1", "")
		wantErr(t, err, directory.ErrInvalid)
		_, err = d.AddMember(t.Context(), "c.*", "bob")
		wantErr(t, err, directory.ErrInvalid)
	})
	t.Run("what is unknown is not found", func(t *testing.T) {
		d := started(t, open)
		_, err := d.Conversation(t.Context(), "nope")
		wantErr(t, err, directory.ErrNotFound)
		_, err = d.AddMember(t.Context(), "nope", "bob")
		wantErr(t, err, directory.ErrNotFound)
		_, err = d.RemoveMember(t.Context(), "nope", "bob")
		wantErr(t, err, directory.ErrNotFound)
		wantErr(t, d.Delete(t.Context(), "nope"), directory.ErrNotFound)
		if gone, err := d.WasDeleted(t.Context(), "nope"); gone || err != nil {
			t.Errorf("was deleted: %v, %v", gone, err)
		}
	})
	t.Run("members come and go, twice is once", func(t *testing.T) {
		d := started(t, open)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"}))
		for range 2 {
			c, err := d.AddMember(t.Context(), "c1", "bob")
			must(t, err)
			wantMembers(t, c, "bob")
		}
		_, err := d.AddMember(t.Context(), "c1", "alice")
		must(t, err)
		wantOfUser(t, d, "bob", "c1")
		for range 2 {
			c, err := d.RemoveMember(t.Context(), "c1", "bob")
			must(t, err)
			wantMembers(t, c)
		}
		wantOfUser(t, d, "bob")
		_, err = d.RemoveMember(t.Context(), "c1", "alice")
		wantErr(t, err, directory.ErrOwner)
		wantOwner(t, d, "c1", "alice")
	})
	t.Run("categories come and go, twice is once, the default ones stay", func(t *testing.T) {
		d := started(t, open)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice", Categories: []status.Category{"render"}}))
		wantCategories := func(c directory.Conversation, err error, want ...status.Category) {
			t.Helper()
			must(t, err)
			known, err := d.Conversation(t.Context(), "c1")
			must(t, err)
			if !slices.Equal(c.Categories, want) || !known.Equal(c) {
				t.Fatalf("categories are %v, known %v, want %v", c.Categories, known.Categories, want)
			}
		}
		for range 2 {
			c, err := d.AddCategory(t.Context(), "c1", "deploy")
			wantCategories(c, err, "render", "deploy")
		}
		c, err := d.AddCategory(t.Context(), "c1", "engine")
		wantCategories(c, err, "render", "deploy")
		for range 2 {
			c, err := d.RetireCategory(t.Context(), "c1", "render")
			wantCategories(c, err, "deploy")
		}
		_, err = d.RetireCategory(t.Context(), "c1", "engine")
		wantErr(t, err, directory.ErrInvalid)
		for _, change := range []func(context.Context, status.ConversationID, status.Category) (directory.Conversation, error){d.AddCategory, d.RetireCategory} {
			_, err := change(t.Context(), "c1", "Deploy")
			wantErr(t, err, directory.ErrInvalid)
			_, err = change(t.Context(), "nope", "deploy")
			wantErr(t, err, directory.ErrNotFound)
		}
		for i := 1; i < directory.MaxOwnCategories; i++ {
			_, err := d.AddCategory(t.Context(), "c1", status.Category(fmt.Sprintf("more%d", i)))
			must(t, err)
		}
		_, err = d.AddCategory(t.Context(), "c1", "toomany")
		wantErr(t, err, directory.ErrInvalid)
	})
	t.Run("the 1,001st member is refused", func(t *testing.T) {
		d := started(t, open)
		c := directory.Conversation{ID: "c1", Owner: "alice"}
		for i := range directory.MaxMembers {
			c.Members = append(c.Members, longUser(i))
		}
		must(t, d.Create(t.Context(), c))
		_, err := d.AddMember(t.Context(), "c1", "bob")
		wantErr(t, err, directory.ErrInvalid)
		got, err := d.Conversation(t.Context(), "c1")
		must(t, err)
		if len(got.Members) != directory.MaxMembers {
			t.Errorf("%d members", len(got.Members))
		}
	})
	t.Run("what was deleted is gone and can be created again", func(t *testing.T) {
		d := started(t, open)
		for i := range 3 {
			owner := status.UserID(fmt.Sprintf("owner%d", i))
			must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: owner, Members: []status.UserID{"bob"}}))
			wantOwner(t, d, "c1", owner)
			must(t, d.Delete(t.Context(), "c1"))
			_, err := d.Conversation(t.Context(), "c1")
			wantErr(t, err, directory.ErrNotFound)
			wantOfUser(t, d, owner)
			wantOfUser(t, d, "bob")
			if gone, err := d.WasDeleted(t.Context(), "c1"); !gone || err != nil {
				t.Errorf("was deleted: %v, %v", gone, err)
			}
			wantErr(t, d.Delete(t.Context(), "c1"), directory.ErrNotFound)
		}
	})
	t.Run("lists are sorted and by owner, of a user by owner and member", func(t *testing.T) {
		d := started(t, open)
		for _, id := range []status.ConversationID{"b", "a", "C", "d_1", "c"} {
			must(t, d.Create(t.Context(), directory.Conversation{ID: id, Owner: "alice"}))
		}
		must(t, d.Create(t.Context(), directory.Conversation{ID: "aa", Owner: "bob", Members: []status.UserID{"alice"}}))
		wantList(t, d, "", "C", "a", "aa", "b", "c", "d_1")
		wantList(t, d, "alice", "C", "a", "b", "c", "d_1")
		wantList(t, d, "bob", "aa")
		wantList(t, d, "nobody")
		wantOfUser(t, d, "alice", "C", "a", "aa", "b", "c", "d_1")
		ids, err := d.OfUser(t.Context(), "alice", 2)
		must(t, err)
		if !slices.Equal(ids, []status.ConversationID{"C", "a"}) {
			t.Errorf("the first two are %v", ids)
		}
		must(t, d.Delete(t.Context(), "b"))
		wantList(t, d, "", "C", "a", "aa", "c", "d_1")
		var paged []status.ConversationID
		for after := status.ConversationID(""); ; {
			page, err := d.Page(t.Context(), "", after, 2)
			must(t, err)
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				paged = append(paged, c.ID)
			}
			after = page[len(page)-1].ID
		}
		if !slices.Equal(paged, []status.ConversationID{"C", "a", "aa", "c", "d_1"}) {
			t.Errorf("by pages: %v", paged)
		}
	})
	t.Run("an import creates, updates, leaves alone and says which", func(t *testing.T) {
		d := started(t, open)
		created := time.Date(2024, 1, 19, 12, 0, 0, 0, time.UTC)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "same", Owner: "alice", Members: []status.UserID{"bob", "carol"}, Created: created}))
		must(t, d.Create(t.Context(), directory.Conversation{ID: "other", Owner: "alice", Created: created}))
		must(t, d.Create(t.Context(), directory.Conversation{ID: "was", Owner: "alice"}))
		must(t, d.Delete(t.Context(), "was"))
		outcomes := d.Import(t.Context(), []directory.Conversation{
			{ID: "new", Owner: "alice"},
			{ID: "same", Owner: "alice", Members: []status.UserID{"carol", "bob"}},
			{ID: "other", Owner: "bob", Categories: []status.Category{"render"}},
			{ID: "bad"},
			{ID: "was", Owner: "bob"},
			{ID: "new", Owner: "carol"},
			{ID: "new", Owner: "carol"},
		})
		want := []directory.Result{directory.Created, directory.Unchanged, directory.Updated, directory.Failed, directory.Created, directory.Updated, directory.Unchanged}
		for i, o := range outcomes {
			if o.Result != want[i] || (o.Err != nil) != (want[i] == directory.Failed) {
				t.Errorf("outcome %d is %v, %v, want %v", i, o.Result, o.Err, want[i])
			}
		}
		wantErr(t, outcomes[3].Err, directory.ErrInvalid)
		wantOwner(t, d, "new", "carol")
		wantOwner(t, d, "was", "bob")
		c, err := d.Conversation(t.Context(), "other")
		must(t, err)
		if c.Owner != "bob" || !c.Created.Equal(created) {
			t.Errorf("other is %+v", c)
		}
		wantOfUser(t, d, "alice", "same")
		wantList(t, d, "", "new", "other", "same", "was")
	})
	t.Run("writers of one conversation do not lose each other's work", func(t *testing.T) {
		d, e := open(t), open(t)
		start(t, d)
		start(t, e)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"}))
		eventually(t, func() bool { _, err := e.Conversation(t.Context(), "c1"); return err == nil })
		var writers sync.WaitGroup
		for i := range 20 {
			for n, to := range []Directory{d, e} {
				writers.Go(func() {
					if _, err := to.AddMember(t.Context(), "c1", status.UserID(fmt.Sprintf("u%d-%d", n, i))); err != nil {
						t.Error(err)
					}
				})
			}
		}
		writers.Wait()
		eventually(t, func() bool {
			a, _ := d.Conversation(t.Context(), "c1")
			b, _ := e.Conversation(t.Context(), "c1")
			return len(a.Members) == 40 && a.Equal(b)
		})
	})
	t.Run("of two that create the same conversation one wins", func(t *testing.T) {
		d, e := open(t), open(t)
		start(t, d)
		start(t, e)
		for i := range 20 {
			id := status.ConversationID(fmt.Sprintf("c%d", i))
			results := make(chan error, 2)
			for _, by := range []Directory{d, e} {
				go func() { results <- by.Create(t.Context(), directory.Conversation{ID: id, Owner: "alice"}) }()
			}
			one, two := <-results, <-results
			if (one == nil) == (two == nil) {
				t.Errorf("%s: %v and %v", id, one, two)
			}
			wantErr(t, errors.Join(one, two), directory.ErrExists)
		}
	})
	t.Run("changes are told in order, and the directory shows them already", func(t *testing.T) {
		d, e := open(t), open(t)
		start(t, d)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "before", Owner: "alice"}))
		var mu sync.Mutex
		var told []status.ConversationID
		seen := map[status.ConversationID]bool{}
		e.OnChange(func(c directory.Change) {
			_, err := e.Conversation(context.Background(), c.ID)
			mu.Lock()
			defer mu.Unlock()
			told = append(told, c.ID)
			seen[c.ID] = err == nil
		})
		start(t, e)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"}))
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c2", Owner: "alice"}))
		_, err := d.AddMember(t.Context(), "c1", "bob")
		must(t, err)
		_, err = d.AddMember(t.Context(), "c1", "bob")
		must(t, err)
		must(t, d.Delete(t.Context(), "c2"))
		must(t, d.Create(t.Context(), directory.Conversation{ID: "last", Owner: "alice"}))
		eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(told) > 0 && told[len(told)-1] == "last"
		})
		mu.Lock()
		defer mu.Unlock()
		if want := []status.ConversationID{"c1", "c2", "c1", "c2", "last"}; !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		if !seen["c1"] || seen["c2"] || !seen["last"] {
			t.Errorf("what the directory showed when told: %v", seen)
		}
	})
	t.Run("a listener may write", func(t *testing.T) {
		d := open(t)
		done := make(chan error, 1)
		d.OnChange(func(c directory.Change) {
			if c.ID == "c1" {
				done <- d.Create(context.Background(), directory.Conversation{ID: "c2", Owner: "alice"})
			}
		})
		start(t, d)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"}))
		must(t, <-done)
	})
	t.Run("what was written is there after a restart", func(t *testing.T) {
		d := started(t, open)
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice", Members: []status.UserID{"Zoë <z@x>"}, Categories: []status.Category{"render"}}))
		must(t, d.Create(t.Context(), directory.Conversation{ID: "c2", Owner: "alice"}))
		must(t, d.Delete(t.Context(), "c2"))
		before, err := d.Conversation(t.Context(), "c1")
		must(t, err)
		must(t, d.Stop(t.Context()))
		e := started(t, open)
		after, err := e.Conversation(t.Context(), "c1")
		must(t, err)
		if !after.Equal(before) || !after.Created.Equal(before.Created) {
			t.Errorf("before %+v, after %+v", before, after)
		}
		wantList(t, e, "", "c1")
	})
	t.Run("stopping twice, or without a start, is fine; writing then is not", func(t *testing.T) {
		never := open(t)
		must(t, never.Stop(t.Context()))
		wantErr(t, never.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"}), directory.ErrUnavailable)
		d := started(t, open)
		must(t, d.Stop(t.Context()))
		must(t, d.Stop(t.Context()))
		wantErr(t, d.Create(t.Context(), directory.Conversation{ID: "c1", Owner: "alice"}), directory.ErrUnavailable)
	})
	t.Run("a write whose context has ended fails", func(t *testing.T) {
		d := started(t, open)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, d.Create(ctx, directory.Conversation{ID: "c1", Owner: "alice"}), context.Canceled)
	})
}
