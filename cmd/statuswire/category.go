package main

import (
	"context"
	"fmt"
	"io"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/status"
)

// categoryCommand holds the commands about a conversation's own categories.
type categoryCommand struct {
	Add    addCategoryCommand    `cmd:"" help:"Give a conversation categories of its own."`
	Retire retireCategoryCommand `cmd:"" help:"Take categories of its own from a conversation: nothing more can be published to them."`
}

// categoryFlag is what add and retire are about.
type categoryFlag struct {
	Category []category `required:"" sep:"none" placeholder:"NAME" help:"The category. May be repeated."`
}

type addCategoryCommand struct {
	adminFlags
	idArg
	categoryFlag
}

// Run adds the categories.
func (c *addCategoryCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		return c.eachCategory(ctx, std.out, c.idArg, c.categoryFlag, client.AddCategory)
	})
}

type retireCategoryCommand struct {
	adminFlags
	idArg
	categoryFlag
}

// Run retires the categories.
func (c *retireCategoryCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		return c.eachCategory(ctx, std.out, c.idArg, c.categoryFlag, client.RetireCategory)
	})
}

// eachCategory changes the conversation for one category after the other, and
// prints what it is then.
func (a adminFlags) eachCategory(ctx context.Context, out io.Writer, id idArg, f categoryFlag,
	change func(context.Context, status.ConversationID, status.Category) (directory.Conversation, error)) error {
	var now directory.Conversation
	for _, name := range categories(f.Category) {
		var err error
		if now, err = change(ctx, status.ConversationID(id.ID), name); err != nil {
			return err
		}
	}
	if a.JSON {
		return printJSON(out, now)
	}
	_, err := fmt.Fprintf(out, "changed %s: categories %s\n", now.ID, listed(now.AllCategories()))
	return err
}
