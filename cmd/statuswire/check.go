package main

import (
	"fmt"
	"log/slog"

	"github.com/statuswire/statuswire/config"
)

// fileFlags name the configuration files.
type fileFlags struct {
	Config string `placeholder:"FILE" help:"Settings of Statuswire. Default: statuswire.conf in this folder if there is one, else what is built in."`
	NATS   string `name:"nats" placeholder:"FILE" help:"Settings of the NATS server. Default: nats.conf in this folder if there is one, else what is built in."`
}

func (f fileFlags) files() config.Files {
	return config.Files{Statuswire: f.Config, NATS: f.NATS}
}

type checkCommand struct {
	fileFlags
}

// Run prints "ok", or returns everything that is wrong. Warnings, and what follows
// from the settings on this machine, go to stderr.
func (c *checkCommand) Run(std streams) error {
	log := slog.New(slog.NewTextHandler(std.err, nil))
	opts, err := config.Load(c.files(), log)
	if err != nil {
		return err
	}
	opts.Report(log)
	_, err = fmt.Fprintln(std.out, "ok")
	return err
}
