package main

import (
	"fmt"
	"time"

	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

// dataFlag names the data folder.
type dataFlag struct {
	Data string `default:"data" placeholder:"DIR" help:"Data folder of the server. Default: ${default}."`
}

type tokenCommand struct {
	dataFlag
	User string        `required:"" placeholder:"ID" help:"The user that the token speaks for."`
	TTL  time.Duration `name:"ttl" default:"1h" placeholder:"1h" help:"How long it is valid. Default: ${default}."`
}

// maxTokenTTL keeps a token from outliving every reason for it.
const maxTokenTTL = 365 * 24 * time.Hour

// Run prints the token.
func (c *tokenCommand) Run(std streams) error {
	user, err := status.ParseUserID(c.User)
	if err != nil {
		return &usageError{fmt.Sprintf("--user: %v", err)}
	}
	if c.TTL < time.Second || c.TTL > maxTokenTTL {
		return &usageError{fmt.Sprintf("--ttl is %v: it must be 1s to 8760h", c.TTL)}
	}
	secret, err := keys.ReadTokenSecret(c.Data)
	if err != nil {
		return err
	}
	token, err := identity.Issue(secret, user, c.TTL, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, token)
	return err
}
