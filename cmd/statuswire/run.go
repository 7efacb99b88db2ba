package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/statuswire/statuswire/internal/text"
)

// Exit codes: scripts rely on them.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// streams are the standard streams of one run.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// commands is the command line. Its help texts are what a user sees first.
type commands struct {
	Serve        serveCommand        `cmd:"" help:"Run the server."`
	Token        tokenCommand        `cmd:"" help:"Print a token for a user, signed with the development secret."`
	Conversation conversationCommand `cmd:"" help:"Create, change and list conversations on the running server."`
	Session      sessionCommand      `cmd:"" help:"List and end browsers' connections to the running server."`
	Key          keyCommand          `cmd:"" help:"Make, list and end keys of operators, viewers and services on the running server."`
	Why          whyCommand          `cmd:"" help:"Explain what would be decided now about a user and a subject, and from what."`
	Check        checkCommand        `cmd:"" help:"Check both configuration files: what is wrong, with file and line."`

	Version kong.VersionFlag `help:"Print the version."`
}

// usageError is a fault of the command line that the parser cannot see.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

// run is the whole program, but for the process around it: it parses args, runs
// the command until it is done or ctx is cancelled, and returns the exit code.
func run(ctx context.Context, args []string, std streams) int {
	exited := false
	parser, err := kong.New(&commands{},
		kong.Name("statuswire"),
		kong.Description("Status updates from services to browsers, over NATS.\n\n"+
			"Exit codes: 0 done, 1 it did not work, 2 the command line is wrong."),
		kong.Vars{"version": version()},
		kong.Writers(std.out, std.err),
		kong.Exit(func(int) { exited = true }), // --help and --version
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(std),
	)
	if err != nil {
		return fail(std, exitFailed, err)
	}
	if err := checkUTF8(args); err != nil {
		return fail(std, exitUsage, err)
	}
	command, err := parser.Parse(args)
	if exited {
		return exitOK
	}
	if err != nil {
		return fail(std, exitUsage, fmt.Errorf("%w (`statuswire --help` shows the commands)", err))
	}
	err = command.Run()
	var usage *usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return fail(std, exitUsage, err)
	}
	return fail(std, exitFailed, err)
}

// checkUTF8 finds the argument that is none: what is sent to the server, or written
// into a file, would have U+FFFD in its place.
func checkUTF8(args []string) error {
	for i, arg := range args {
		if fault := text.Check([]byte(arg)); fault != nil {
			return fmt.Errorf("argument %d, %q: %w: write it as UTF-8", i+1, arg, fault)
		}
	}
	return nil
}

// fail prints the error, each line of it as one of its own.
func fail(std streams, code int, err error) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(std.err, "statuswire: %s\n", strings.TrimRight(line, "\n"))
	}
	return code
}
