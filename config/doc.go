// Package config turns the two configuration files into app.Options. It is the
// only package that reads them.
//
//	statuswire.conf  what is Statuswire's own: settings.go is its table
//	nats.conf        what is NATS: handed to internal/engine, which checks it
//
// Both use NATS configuration syntax: comments, units (64KB), include, variables
// from the file or the environment ($NAME). Both are optional; the files shipped
// with the program are built in and say the same as no file at all.
//
// Every error names file and line and what to write instead, and all errors are
// reported at once, not only the first.
package config
