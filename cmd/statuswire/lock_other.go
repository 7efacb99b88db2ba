//go:build !unix && !windows

package main

import "os"

// lockFile does nothing here: there is no lock that ends with the process.
func lockFile(*os.File) error { return nil }
