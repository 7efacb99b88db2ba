package fanout

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// Repair reads the STATUS stream where the live flow is not enough.
type Repair interface {
	// State is the stream's of now, or of a second ago. What is read afterwards may at
	// most be of a later epoch.
	State(ctx context.Context) (StreamState, error)
	// LastSequences returns the newest sequence of each literal subject that
	// matches one of the subjects, and a sequence up to which that is all there is.
	LastSequences(ctx context.Context, subjects ...string) (last map[string]uint64, upTo uint64, err error)
	// Range returns what is stored from the sequence on, of whatever subject, in order,
	// as much as comes at once; nothing at the stream's end.
	Range(ctx context.Context, from uint64) ([]Stored, error)
	// Replay reads what is stored after place on subject, a literal or all of a
	// conversation.
	Replay(subject string, place Place) Replay
	// Mend is a Replay that is not to wait behind others: everybody who receives
	// from a topic waits for it.
	Mend(subject string, place Place) Replay
}

// StreamState is what the stream says of itself.
type StreamState struct {
	Epoch       string // names its life, "" when that is not known
	First, Last uint64 // the first sequence that it has, and the last one that it gave
	PerSubject  int    // how many statuses of a subject it keeps; ≤ 0: no bound
}

// Replay reads a part of the stream piece by piece. It is used by one goroutine.
type Replay interface {
	// Next returns the next piece. After an error it is not called again.
	// ErrAheadOfStream says that the place is of other data.
	Next(ctx context.Context) (Piece, error)
}

// Piece is a part of a replay.
type Piece struct {
	Statuses  []Stored // in order; may be none although there are more
	Epoch     string   // what UpTo is of
	UpTo      uint64   // everything wanted up to this sequence was returned
	Truncated uint64   // not 0: something wanted before Statuses was dropped by retention; the first sequence that can be had
	Done      bool     // this is the end; Next then asks for what came since
}

// Stored is a status as the stream keeps it.
type Stored struct {
	Subject  string
	Sequence uint64
	Time     time.Time // when it was stored; zero when that is not known
	Header   nats.Header
	Data     []byte
}

// ErrAheadOfStream is returned by a Replay whose place is above the last sequence
// of the stream, or of another epoch: the place is of other data.
var ErrAheadOfStream = errors.New("the place is not of the stream's data of now")

// Pacer is a Receiver that a replay waits for.
type Pacer interface {
	Receiver
	// Ready returns when the receiver can take some more: up to 16 KiB of
	// payload, or one status. An error ends the subscription with its text as the
	// reason, but for that of ctx, which ends with the subscription.
	Ready(ctx context.Context) error
	// HasRoom is true when Ready would return at once. It must not block.
	HasRoom() bool
}
