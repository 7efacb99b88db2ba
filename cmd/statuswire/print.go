package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/statuswire/statuswire/internal/directory"
	"github.com/statuswire/statuswire/internal/session"
)

// changed prints a conversation that a command has just made or changed.
func (a adminFlags) changed(w io.Writer, what string, c directory.Conversation) error {
	if a.JSON {
		return printJSON(w, c)
	}
	_, err := fmt.Fprintf(w, "%s %s: owner %s, members %s\n", what, c.ID, plain(c.Owner), listed(c.Members))
	return err
}

// printJSON prints each value on a line of its own: what list prints, import reads.
func printJSON[T any](w io.Writer, values ...T) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for _, v := range values {
		if err := encoder.Encode(v); err != nil {
			return err
		}
	}
	return nil
}

func printTable(w io.Writer, list []directory.Conversation) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "no conversations")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tOWNER\tMEMBERS\tCREATED")
	for _, c := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.ID, plain(c.Owner), listed(c.Members), c.Created.Format(time.RFC3339))
	}
	return table.Flush()
}

func printConversation(w io.Writer, c directory.Conversation, use *session.Use) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "id\t%s\n", c.ID)
	fmt.Fprintf(table, "owner\t%s\n", plain(c.Owner))
	fmt.Fprintf(table, "members\t%s\n", listed(c.Members))
	fmt.Fprintf(table, "categories\t%s\n", listed(c.AllCategories()))
	fmt.Fprintf(table, "created\t%s\n", c.Created.Format(time.RFC3339))
	if use != nil {
		fmt.Fprintf(table, "subscribers\t%s\n", subscribers(use))
	}
	return table.Flush()
}

// subscribers says who listens, in the order of the categories' names.
func subscribers(use *session.Use) string {
	if use.Connections == 0 {
		return "none"
	}
	var each []string
	for _, name := range slices.Sorted(maps.Keys(use.Categories)) {
		each = append(each, fmt.Sprintf("%s %d", plain(name), use.Categories[name]))
	}
	return fmt.Sprintf("%d connections of %d users: %s", use.Connections, use.Users, strings.Join(each, ", "))
}

// listed writes at most ten of the list.
func listed[T ~string](list []T) string {
	if len(list) == 0 {
		return "none"
	}
	const most = 10
	words := make([]string, 0, most)
	for _, s := range list[:min(most, len(list))] {
		words = append(words, plain(s))
	}
	text := strings.Join(words, ", ")
	if more := len(list) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// plain quotes what would confuse the reader or the terminal.
func plain[T ~string](s T) string {
	if q := strconv.Quote(string(s)); q != `"`+string(s)+`"` || strings.ContainsAny(string(s), ", ") {
		return q
	}
	return string(s)
}

// printable is a text of one line with what would confuse the terminal escaped.
func printable(text string) string {
	q := strconv.Quote(text)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}
