package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/session"
	"github.com/statuswire/statuswire/status"
)

// sessionCommand holds the commands about browsers' connections to a running
// server.
type sessionCommand struct {
	List sessionListCommand `cmd:"" help:"List the browsers' connections."`
	Kick kickCommand        `cmd:"" help:"Close all connections of a user; the next login is decided anew."`
}

type sessionListCommand struct {
	adminFlags
	User userID `placeholder:"ID" help:"Only those of this user."`
}

// Run lists the sessions.
func (c *sessionListCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		list, err := client.Sessions(ctx, status.UserID(c.User))
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.out, list...)
		}
		return printSessions(std.out, list, time.Now())
	})
}

func printSessions(w io.Writer, list []session.Info, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no sessions")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tUSER\tADDRESS\tAGE\tCLIENT\tCONVERSATIONS\tSUBSCRIPTIONS\tDELIVERED\tQUEUE\tRTT\tCHANGES")
	for _, i := range list {
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%d\n", i.ID, plain(i.User), i.Address, age(now, i.ConnectedAt), client(i),
			listed(i.Conversations), len(i.Subscriptions), i.Delivered, i.QueueBytes, rtt(i), i.SubscriptionChanges)
	}
	return table.Flush()
}

func age(now, since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return max(0, now.Sub(since)).Round(time.Second).String()
}

// client is the language and version of the browser's library, and its name.
func client(i session.Info) string {
	text := ""
	for _, word := range []string{i.Lang, i.Version, i.Name} {
		if word == "" {
			continue
		}
		if text != "" {
			text += " "
		}
		text += plain(word)
	}
	if text == "" {
		return "-"
	}
	return text
}

func rtt(i session.Info) string {
	if i.RTTMilliseconds == 0 {
		return "-"
	}
	return strconv.FormatFloat(i.RTTMilliseconds, 'f', 1, 64) + "ms"
}

type kickCommand struct {
	adminFlags
	User   userID `required:"" placeholder:"ID" help:"Whose connections to close."`
	Reason string `placeholder:"TEXT" help:"What the browsers are told."`
}

// Run kicks the user.
func (c *kickCommand) Run(ctx context.Context, std streams) error {
	if len(c.Reason) > admin.MaxReasonBytes {
		return &usageError{fmt.Sprintf("--reason has %d bytes: at most %d fit into a close frame", len(c.Reason), admin.MaxReasonBytes)}
	}
	return c.ask(func(client *admin.Client) error {
		n, err := client.Kick(ctx, status.UserID(c.User), c.Reason)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.out, admin.KickResponse{User: status.UserID(c.User), Kicked: n})
		}
		_, err = fmt.Fprintf(std.out, "closed the connections of %s (%d)\n", plain(c.User), n)
		return err
	})
}
