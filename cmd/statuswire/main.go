// Command statuswire runs the server, issues development tokens, keeps
// conversations and shows sessions on a running server, explains its decisions, and
// checks the configuration files.
//
// What it prints is on stdout; each error is a line on stderr that begins with
// "statuswire: ". It exits with
//
//	0  done
//	1  it did not work; stderr says why and what to do
//	2  the command line is wrong
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}
