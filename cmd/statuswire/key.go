package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keyring"
	"github.com/statuswire/statuswire/internal/keys"
)

// keyCommand holds the commands about who may connect to the NATS server.
type keyCommand struct {
	Create keyCreateCommand `cmd:"" help:"Make a key of its own for a person or a service."`
	List   keyListCommand   `cmd:"" help:"List the keys."`
	End    keyEndCommand    `cmd:"" help:"End a key: its connections are closed, and it never logs in again."`
}

type keyCreateCommand struct {
	adminFlags
	Name     keyName    `arg:"" help:"What it is called, in the audit too: 1 to 32 of a-z 0-9 _ -, a letter first."`
	Role     string     `required:"" enum:"operator,viewer,service" placeholder:"ROLE" help:"operator administers, viewer only looks, service publishes statuses."`
	Category []category `sep:"none" placeholder:"NAME" help:"A service may publish to this category only. May be repeated."`
}

// Run makes the seed, writes it, and tells the server the public key.
func (c *keyCreateCommand) Run(ctx context.Context, std streams) error {
	name := keyring.Name(c.Name)
	if len(c.Category) > 0 && c.Role != string(keyring.RoleService) {
		return &usageError{"--category is for services: the others publish to none, or to all"}
	}
	endpoints, err := readEndpoints(c.Data)
	if err != nil {
		return err
	}
	return c.call(func(caller *caller) error {
		pair, err := keys.MakeNamed(c.Data, string(name))
		if errors.Is(err, os.ErrExist) {
			return fmt.Errorf("%s is there already: choose another name, or move that file away", keys.NamedFile(c.Data, string(name)))
		}
		if err != nil {
			return err
		}
		made, err := c.register(ctx, caller, pair)
		if err != nil {
			return err
		}
		if err := engine.WriteNamedContext(c.Data, endpoints.NATS, string(name), "Statuswire: "+c.Role+" "+string(name), name.InboxPrefix()); err != nil {
			return err
		}
		return c.print(std.out, made)
	})
}

// register tells the server the public key. The seed is taken away again when the
// server has refused it, and kept when it may have taken it.
func (c *keyCreateCommand) register(ctx context.Context, caller *caller, pair nkeys.KeyPair) (admin.KeyInfo, error) {
	file := keys.NamedFile(c.Data, string(c.Name))
	public, err := pair.PublicKey()
	if err != nil {
		return admin.KeyInfo{}, errors.Join(err, os.Remove(file))
	}
	made, err := caller.client.CreateKey(ctx, admin.CreateKeyRequest{Name: string(c.Name), Role: c.Role, Categories: categories(c.Category), Public: public})
	err = caller.explained(err)
	switch {
	case err == nil:
		return made, nil
	case wasRefused(err):
		return admin.KeyInfo{}, errors.Join(err, os.Remove(file))
	}
	return admin.KeyInfo{}, fmt.Errorf("%w: the server may have made the key or not (`statuswire key list` tells); %s holds its seed", err, file)
}

// wasRefused is true when the server has said no, or was never asked.
func wasRefused(err error) bool {
	for _, refusal := range []error{
		admin.ErrBadRequest, admin.ErrKeyExists, admin.ErrKeyInvalid, admin.ErrKeyBuiltIn, admin.ErrTooManyKeys, admin.ErrNoService, errNotAllowed,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// madeKey is what create prints in JSON.
type madeKey struct {
	admin.KeyInfo
	File        string `json:"file"` // of the seed
	InboxPrefix string `json:"inbox_prefix"`
}

func (c *keyCreateCommand) print(out io.Writer, made admin.KeyInfo) error {
	file := keys.NamedFile(c.Data, made.Name)
	prefix := keyring.Name(made.Name).InboxPrefix()
	if c.JSON {
		return printJSON(out, madeKey{made, file, prefix})
	}
	heard := "*"
	if len(made.Categories) > 0 {
		heard = string(made.Categories[0])
	}
	first := "sub 'status.*." + heard + "'"
	switch keyring.Role(made.Role) {
	case keyring.RoleOperator:
		first = "req admin.key.list." + made.Name + " '{}'"
	case keyring.RoleViewer:
		first = "req admin.session.list." + made.Name + " '{}'"
	case keyring.RoleService:
	}
	_, err := fmt.Fprintf(out, `created %s: %s
seed          %s
inbox prefix  %s
try           XDG_CONFIG_HOME=%s nats --context %s %s
`, made.Name, roleText(made), file, prefix, shellQuote(c.Data), made.Name, first)
	return err
}

func roleText(k admin.KeyInfo) string {
	if len(k.Categories) == 0 {
		return k.Role
	}
	return k.Role + " of " + listed(k.Categories)
}

type keyListCommand struct {
	adminFlags
}

// Run lists the keys.
func (c *keyListCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		list, err := client.Keys(ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(std.out, list...)
		}
		table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "NAME\tROLE\tCATEGORIES\tCREATED\tPUBLIC KEY")
		for _, k := range list {
			created := "in DIR/keys"
			if !k.BuiltIn {
				created = k.Created.Format(time.RFC3339)
			}
			limited := "all"
			switch {
			case len(k.Categories) > 0:
				limited = listed(k.Categories)
			case k.Role != string(keyring.RoleService) && k.Role != string(keyring.RoleOperator):
				limited = "-"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", plain(k.Name), plain(k.Role), limited, created, plain(k.Public))
		}
		return table.Flush()
	})
}

type keyEndCommand struct {
	adminFlags
	Name string `arg:"" help:"The key."`
}

// Run ends the key, and takes its seed and context out of the data folder: they are
// of no use any more.
func (c *keyEndCommand) Run(ctx context.Context, std streams) error {
	return c.ask(func(client *admin.Client) error {
		ended, err := client.EndKey(ctx, c.Name)
		if err != nil {
			return err
		}
		removed, err := c.clear(ended)
		if err != nil {
			return fmt.Errorf("%s has ended, but its file stays: %w", ended.Name, err)
		}
		if c.JSON {
			return printJSON(std.out, ended)
		}
		text := ""
		if len(removed) > 0 {
			text = "; removed " + strings.Join(removed, " and ")
		}
		_, err = fmt.Fprintf(std.out, "ended %s%s\n", ended.Name, text)
		return err
	})
}

// clear removes the seed, if it is the ended key's, and the context that names it.
func (c *keyEndCommand) clear(ended admin.KeyInfo) (removed []string, err error) {
	if _, err := keyring.ParseName(ended.Name); err != nil {
		return nil, nil // no name of a file of ours
	}
	pair, err := keys.ReadNamed(c.Data, ended.Name)
	if err != nil {
		return nil, nil // it is elsewhere, or not a key
	}
	if public, err := pair.PublicKey(); err != nil || public != ended.Public {
		return nil, nil
	}
	for _, file := range []string{keys.NamedFile(c.Data, ended.Name), engine.ContextFile(c.Data, ended.Name)} {
		switch err := os.Remove(file); {
		case err == nil:
			removed = append(removed, filepath.Clean(file))
		case !errors.Is(err, os.ErrNotExist):
			return removed, err
		}
	}
	return removed, nil
}
