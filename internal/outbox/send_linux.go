package outbox

import (
	"syscall"
	"unsafe"
)

// sendNow gives the kernel what it takes of b at once. It never waits, so Go's
// scheduler need not know of it: told, it would take the processor away from a
// fan-out that spends most of its time in here, and give it back each time.
func sendNow(fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
