package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// conversationCommand holds the commands that ask the admin service of a
// running server.
type conversationCommand struct {
	Create   createCommand   `cmd:"" help:"Create a conversation."`
	Delete   deleteCommand   `cmd:"" help:"Delete a conversation and every status that is kept of it."`
	List     listCommand     `cmd:"" help:"List the conversations by id."`
	Show     showCommand     `cmd:"" help:"Show one conversation."`
	Add      addCommand      `cmd:"" help:"Let a user see a conversation."`
	Remove   removeCommand   `cmd:"" help:"Take a member out of a conversation."`
	Category categoryCommand `cmd:"" help:"Add and retire categories of a conversation."`
	Import   importCommand   `cmd:"" help:"Create or change conversations from a file of JSON lines: {\"id\", \"owner\", \"members\", \"categories\"}."`
}

// adminFlags are what these commands share.
type adminFlags struct {
	dataFlag
	JSON bool `name:"json" help:"Print JSON, for scripts: one object a line."`
	// As is a name of the operator's own or of a named key.
	As string `default:"operator" env:"STATUSWIRE_KEY" placeholder:"KEY" help:"Whose key in DIR/keys to use, and whose name stands in the audit. Default: ${default}."`
}

// ask connects, has f ask, and disconnects.
func (a adminFlags) ask(f func(*admin.Client) error) error {
	return a.call(func(c *caller) error { return f(c.client) })
}

// call is ask for who wants to know what an error means before it returns.
func (a adminFlags) call(f func(*caller) error) error {
	c, err := dial(a.Data, a.As)
	if err != nil {
		return err
	}
	defer c.nc.Close()
	return c.explained(f(c))
}

// idArg is the conversation that a command is about.
type idArg struct {
	ID conversationID `arg:"" help:"The conversation."`
}

type createCommand struct {
	adminFlags
	idArg
	Owner    userID     `required:"" placeholder:"USER" help:"The user to whom it belongs."`
	Member   []userID   `sep:"none" placeholder:"USER" help:"Another user who sees it. May be repeated."`
	Category []category `sep:"none" placeholder:"NAME" help:"A category beside engine, tool, workflow, progress, error and info. May be repeated."`
}

// Run creates the conversation.
func (c *createCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		made, err := client.Create(ctx, admin.CreateRequest{
			ID:         status.ConversationID(c.ID),
			Owner:      status.UserID(c.Owner),
			Members:    users(c.Member),
			Categories: categories(c.Category),
		})
		if err != nil {
			return err
		}
		return c.changed(std.out, "created", made)
	})
}

type deleteCommand struct {
	adminFlags
	idArg
}

// Run deletes the conversation.
func (c *deleteCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		purged, err := client.Delete(ctx, status.ConversationID(c.ID))
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.out, admin.DeleteResponse{ID: status.ConversationID(c.ID), Purged: purged})
		}
		_, err = fmt.Fprintf(std.out, "deleted %s and its statuses (%d)\n", c.ID, purged)
		return err
	})
}

type listCommand struct {
	adminFlags
	Owner userID `placeholder:"USER" help:"Only those that belong to this user."`
}

// Run lists the conversations.
func (c *listCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		list, err := client.List(ctx, status.UserID(c.Owner))
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.out, list...)
		}
		return printTable(std.out, list)
	})
}

type showCommand struct {
	adminFlags
	idArg
}

// shown is a conversation as show prints it in JSON, which import reads.
type shown struct {
	directory.Conversation
	Subscribers *session.Use `json:"subscribers,omitempty"`
}

// Run shows the conversation, and who listens in it.
func (c *showCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		found, use, err := client.Subscribers(ctx, status.ConversationID(c.ID))
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.out, shown{found, use})
		}
		return printConversation(std.out, found, use)
	})
}

// memberFlag is whom add and remove are about.
type memberFlag struct {
	Member []userID `required:"" sep:"none" placeholder:"USER" help:"The user. May be repeated."`
}

type addCommand struct {
	adminFlags
	idArg
	memberFlag
}

// Run adds the members.
func (c *addCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		return c.each(ctx, std.out, c.idArg, c.memberFlag, client.Add)
	})
}

type removeCommand struct {
	adminFlags
	idArg
	memberFlag
}

// Run removes the members.
func (c *removeCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		return c.each(ctx, std.out, c.idArg, c.memberFlag, client.Remove)
	})
}

// each changes the conversation for one member after the other, and prints what
// it is then.
func (a adminFlags) each(ctx context.Context, out io.Writer, id idArg, m memberFlag,
	change func(context.Context, status.ConversationID, status.UserID) (directory.Conversation, error)) error {
	var now directory.Conversation
	for _, user := range users(m.Member) {
		var err error
		if now, err = change(ctx, status.ConversationID(id.ID), user); err != nil {
			return err
		}
	}
	return a.changed(out, "changed", now)
}

type importCommand struct {
	adminFlags
	File string `arg:"" placeholder:"FILE" help:"The file; - is the standard input."`
}

// Run imports the lines. Lines that fail are told, and the others imported.
func (c *importCommand) Run(ctx context.Context, std streams) error {
	lines := std.in
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("cannot import: %w", err)
		}
		defer file.Close()
		lines = file
	}
	return c.ask(func(client *admin.Client) error {
		sum, err := client.Import(ctx, lines, nil)
		errs := []error{c.printSum(std.out, sum)}
		for _, e := range sum.Errors {
			errs = append(errs, e)
		}
		if told := len(sum.Errors); told < sum.Failed {
			errs = append(errs, fmt.Errorf("and %d more lines failed", sum.Failed-told))
		}
		return errors.Join(append(errs, err)...)
	})
}

func (c *importCommand) printSum(out io.Writer, sum admin.ImportResponse) error {
	if c.JSON {
		return printJSON(out, sum)
	}
	_, err := fmt.Fprintf(out, "created %d, updated %d, unchanged %d, failed %d\n", sum.Created, sum.Updated, sum.Unchanged, sum.Failed)
	return err
}
