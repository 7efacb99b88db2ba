package storage

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// ErrStuck is what Engine.Restart returns, wrapped, when the old server does not
// end: no other may use its folder, so only a new process helps.
var ErrStuck = errors.New("the old NATS server does not end")

// Fault is why one stream cannot store.
type Fault struct {
	Stream string
	Cause  string // for everybody, without a path: "no space left on device"
	Detail string // for the log
	Stays  bool   // it ends only with a new server
	Gone   bool   // the stream or its folder is not there
}

// Error is "stream STATUS cannot store: no space left on device".
func (f Fault) Error() string { return fmt.Sprintf("stream %s cannot store: %s", f.Stream, f.Cause) }

// Cause is the short form of what nats-server or the operating system says of a
// failed write: only what kind of failure it is, as the rest names paths.
func Cause(text string) string {
	for _, errno := range []syscall.Errno{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EMFILE, syscall.ENFILE, syscall.EROFS,
		syscall.EACCES, syscall.EPERM, syscall.EIO, syscall.ESTALE, syscall.ENODEV, syscall.ENOENT,
	} {
		if strings.Contains(text, errno.Error()) {
			return errno.Error()
		}
	}
	return "write error"
}
