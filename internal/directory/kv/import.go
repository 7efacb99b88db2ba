package kv

import (
	"context"

	"github.com/statuswire/statuswire/internal/bucket"
	"github.com/statuswire/statuswire/internal/directory"
)

// Import creates the conversations that are not there and replaces owner,
// members and categories of those that are; Created of these stays, unless the
// import has one. The writes are pipelined. The outcome at i is that of list[i];
// the later of two with the same id wins. It returns when the view shows all.
func (d *Directory) Import(ctx context.Context, list []directory.Conversation) []directory.Outcome {
	outcomes := make([]directory.Outcome, len(list))
	keys := make([]string, len(list))
	for i, c := range list {
		keys[i] = string(c.ID)
	}
	errs := d.bucket.EditMany(ctx, keys, func(i int, e *entry) (what decision, err error) {
		what, outcomes[i].Result, err = importDecision(list[i], e)
		return what, err
	})
	for i, err := range errs {
		if err != nil {
			outcomes[i] = directory.Outcome{Err: translated(list[i].ID, err)}
		}
	}
	return outcomes
}

// importDecision says what an import makes of what is there.
func importDecision(c directory.Conversation, e *entry) (decision, directory.Result, error) {
	if err := c.Validate(); err != nil {
		return decision{}, directory.Failed, err
	}
	if err := unbroken(c.ID, e); err != nil {
		return decision{}, directory.Failed, err
	}
	if e.State != bucket.Live {
		return decision{Write: true, Next: stamped(c)}, directory.Created, nil
	}
	if c.Created.IsZero() {
		c.Created = e.Value.Created
	}
	c = c.Normalized()
	if c.Equal(e.Value) && c.Created.Equal(e.Value.Created) {
		return decision{Next: c}, directory.Unchanged, nil
	}
	return decision{Write: true, Next: c}, directory.Updated, nil
}
