//go:build !unix

package main

// lockDataDir does nothing here: there is no flock.
func lockDataDir(string) (unlock func(), err error) { return func() {}, nil }
