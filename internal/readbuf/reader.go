// Package readbuf reads connections that are silent nearly all the time: a buffer is
// held only while there is more in it than a few bytes.
//
// A bufio.Reader of 4 KiB for each of many thousand connections is most of what they
// take. Here the wait for the next bytes is a read of a few, into the Reader itself;
// what does not fit there goes on in a buffer of a pool, which has it back as soon as
// it is empty.
package readbuf

import (
	"bufio"
	"errors"
	"io"
	"sync"
)

const (
	// Size is that of a buffer, in bytes: what Peek can return.
	Size = 4096
	// few is what is waited for. A ping, a pong and a header of a WebSocket fit.
	few = 32
	// maxEmptyReads is how often a Read may return neither bytes nor an error.
	maxEmptyReads = 100
)

var buffers = sync.Pool{New: func() any { return new([Size]byte) }}

// Reader reads a connection. It is a bufio.Reader as far as it goes, and like that
// not safe for concurrent use.
type Reader struct {
	from  io.Reader
	rest  []byte      // what was read and not taken: of small, or of large
	large *[Size]byte // of the pool; nil while small is enough
	small [few]byte
}

// New reads what is in the buffer of in, which is taken out of it, and then from.
// in may be nil.
func New(in *bufio.Reader, from io.Reader) *Reader {
	r := &Reader{from: from}
	if in == nil || in.Buffered() == 0 {
		return r
	}
	// What is buffered can be peeked at without an error.
	early, _ := in.Peek(in.Buffered())
	if len(early) > Size {
		r.from = io.MultiReader(in, from)
		return r
	}
	r.hold()
	r.rest = r.large[:copy(r.large[:], early)]
	_, _ = in.Discard(len(early))
	return r
}

// hold has what is there be in a large buffer, at its beginning.
func (r *Reader) hold() {
	if r.large == nil {
		r.large = buffers.Get().(*[Size]byte)
	}
	r.rest = r.large[:copy(r.large[:], r.rest)]
}

// release gives the buffer back if it is empty.
func (r *Reader) release() {
	if len(r.rest) == 0 && r.large != nil {
		buffers.Put(r.large)
		r.large, r.rest = nil, nil
	}
}

// Buffered is how many bytes can be had without a read.
func (r *Reader) Buffered() int { return len(r.rest) }

// Peek returns the next n bytes without taking them; they are valid until the next
// call. With fewer it returns the error of the read as well, and the next Peek reads
// on; more than Size is bufio.ErrBufferFull.
func (r *Reader) Peek(n int) ([]byte, error) {
	if n > Size {
		return r.rest, bufio.ErrBufferFull
	}
	for empty := 0; len(r.rest) < n; {
		had := len(r.rest)
		if err := r.fill(); err != nil && len(r.rest) < n {
			return r.rest, err
		}
		if len(r.rest) > had {
			empty = 0
			continue
		}
		if empty++; empty == maxEmptyReads {
			return r.rest, io.ErrNoProgress
		}
	}
	return r.rest[:n], nil
}

// fill reads once.
func (r *Reader) fill() error {
	r.release()
	if len(r.rest) == 0 {
		n, err := r.from.Read(r.small[:])
		r.rest = r.small[:n]
		return err
	}
	r.hold()
	had := len(r.rest)
	n, err := r.from.Read(r.large[had:])
	r.rest = r.large[:had+n]
	return err
}

// Discard takes the next n bytes, of those that are buffered at most, and returns how
// many that were.
func (r *Reader) Discard(n int) (int, error) {
	if n < 0 {
		return 0, bufio.ErrNegativeCount
	}
	taken := min(n, len(r.rest))
	r.rest = r.rest[taken:]
	r.release()
	if taken < n {
		return taken, errShort
	}
	return taken, nil
}

var errShort = errors.New("readbuf: fewer bytes are buffered than are to be discarded")

// Read implements io.Reader.
func (r *Reader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		return r.from.Read(b)
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	r.release()
	return n, nil
}
