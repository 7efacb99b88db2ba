package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/config"
	"github.com/statuswire/statuswire/internal/engine"
)

type serveCommand struct {
	fileFlags
	dataFlag
	HTTP        string `name:"http" placeholder:"ADDR" help:"Where page, WebSocket and health checks listen; port 0 picks a free one. Default: as the settings say, 127.0.0.1:8080."`
	NATSListen  string `name:"nats-listen" placeholder:"ADDR" help:"Where services and the nats CLI connect; port 0 picks a free one. Default: as nats.conf says, 127.0.0.1:4222."`
	AllowShrink bool   `help:"Let a lower limit in the block retention drop statuses that are stored. Without it such a start is refused."`
	Demo        bool   `help:"Add a demo conversation, and hand its users' tokens to the page. On a loopback address only."`
}

// Run serves until SIGINT, SIGTERM or SIGHUP, then closes everything in order. A second
// signal ends the process at once.
func (c *serveCommand) Run(ctx context.Context, std streams) error {
	// Whoever reads stdout or stderr may go (`serve | head`, a log collector that
	// restarts): then a line is lost, as os/signal has it, and not the server. The
	// other commands end by it, as a filter does.
	signal.Ignore(syscall.SIGPIPE)
	opts, err := c.options()
	if err != nil {
		return err
	}
	unlock, err := lockDataDir(opts.DataDir)
	if err != nil {
		return err
	}
	defer unlock()
	opts.Logger = slog.New(slog.NewTextHandler(std.err, nil))
	limitMemory(opts.Logger)
	a, err := app.New(opts)
	if err != nil {
		return err
	}
	ctx, stopSignals := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stopSignals()
	go giveBack(ctx) // ends with the context
	if err := a.Start(ctx); err != nil {
		return adviseStart(err)
	}
	if err := c.announce(std.out, a.Endpoints()); err != nil {
		opts.Logger.Warn("stdout is closed", "error", err)
	}
	var dead error
	select {
	case <-ctx.Done():
	case <-a.Dead():
		dead = fmt.Errorf("only a new process can serve again, so this one ends: %w", a.Alive())
		opts.Logger.Error(dead.Error())
	}
	stopSignals() // the next signal has its usual effect
	return errors.Join(dead, stop(a, opts, std))
}

// adviseStart says what to do about the most common faults. The NATS server
// reports a used address as text only.
func adviseStart(err error) error {
	if errors.As(err, new(*engine.ShrinkError)) {
		return fmt.Errorf("%w: raise the limits, or add --allow-shrink to drop them", err)
	}
	if strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("%w: stop what listens there, or name another address with --http, --nats-listen or the setting metrics", err)
	}
	return err
}

// options are those of the files, and what the command line says instead.
func (c *serveCommand) options() (app.Options, error) {
	for flag, addr := range map[string]string{"--http": c.HTTP, "--nats-listen": c.NATSListen} {
		if err := config.CheckAddress(addr); addr != "" && err != nil {
			return app.Options{}, &usageError{fmt.Sprintf("%s: %v", flag, err)}
		}
	}
	opts, err := config.Load(c.files(), nil) // the warnings come with the start
	if err != nil {
		return app.Options{}, err
	}
	opts.DataDir = c.Data
	opts.Demo = c.Demo
	if c.HTTP != "" {
		opts.HTTP = c.HTTP
	}
	opts.Engine.Listen = c.NATSListen
	opts.Engine.AllowShrink = c.AllowShrink
	return opts, c.checkDemo(opts)
}

// checkDemo refuses a demo that would be open to others or could not log in.
func (c *serveCommand) checkDemo(opts app.Options) error {
	switch t := opts.Token; {
	case !c.Demo:
		return nil
	case !app.IsLoopback(opts.HTTP):
		return &usageError{fmt.Sprintf("--demo hands tokens to everybody who asks, so it needs a loopback address: "+
			"http is %s, write --http 127.0.0.1:8080 or leave --demo out", opts.HTTP)}
	case len(t.Secret) > 0 || t.Issuer != "" || t.Audience != "":
		return &usageError{"--demo makes tokens with the development secret, which the token block of the settings shuts out: " +
			"leave the block or --demo out"}
	}
	return nil
}

// stop bounds the whole shutdown: two steps may use up their time, the others
// are quick. By default that is 22 s, within the 30 s of Kubernetes.
func stop(a *app.App, opts app.Options, std streams) error {
	fmt.Fprintln(std.out, "stopping; once more to stop at once")
	drain := opts.DrainTimeout
	if drain == 0 {
		drain = app.DefaultDrainTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*drain+max(opts.Gateway.CloseSpread, 2*time.Second))
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		return fmt.Errorf("the shutdown was not clean: %w", err)
	}
	return nil
}
