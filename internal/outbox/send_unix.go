//go:build unix && !linux

package outbox

import "syscall"

// sendNow gives the kernel what it takes of b at once; fd does not block.
func sendNow(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
