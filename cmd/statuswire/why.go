package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

type whyCommand struct {
	adminFlags
	User    userID `required:"" placeholder:"ID" help:"The user."`
	Subject string `required:"" placeholder:"SUBJECT" help:"What the user's browser subscribes to or asks: status.c1.engine."`
	Queue   string `placeholder:"NAME" help:"Queue group of the subscription."`
	Action  string `placeholder:"subscribe|publish" enum:",subscribe,publish" default:"" help:"What the browser does. Default: publish for edge.… and gateway.…, which are requests, else subscribe."`
}

// Run explains what the server would decide now.
func (c *whyCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		x, err := client.Why(ctx, session.Question{User: status.UserID(c.User), Subject: c.Subject, Queue: c.Queue, Action: c.Action})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.out, x)
		}
		return printExplanation(std.out, x)
	})
}

func printExplanation(w io.Writer, x session.Explanation) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, step := range x.Steps {
		fmt.Fprintf(table, "%s\t%s\n", step.Name, printable(step.Found))
		fmt.Fprintf(table, "\t  from: %s\n", printable(step.From))
	}
	return table.Flush()
}
