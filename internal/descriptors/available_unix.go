//go:build unix

package descriptors

import "syscall"

// Available is how many the process may have open now. The Go runtime raises the
// soft limit to the hard one at the start (package os, since Go 1.19), so this is
// what `ulimit -Hn` says. Where it cannot be read there is no limit.
func Available() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return most
	}
	// Cur is signed on some systems, and there -1 is no limit.
	if n := uint64(l.Cur); n < most {
		return int(n)
	}
	return most
}
