package engine

import (
	"errors"

	"github.com/nats-io/nats-server/v2/server"
)

// Stats is what the server says about itself (its Varz and Jsz).
type Stats struct {
	Connections      int    // open now, our own parts' included
	TotalConnections uint64 // since the start
	Subscriptions    int
	InMsgs, OutMsgs  int64
	InBytes          int64
	OutBytes         int64
	SlowConsumers    int64
	MemoryBytes      int64 // of the process

	StoreBytes       uint64 // JetStream, on disk
	StoreMemoryBytes uint64 // JetStream, in memory
	APIRequests      uint64 // to JetStream
	APIErrors        uint64

	Streams []StreamStats
}

// StreamStats is one stream's state.
type StreamStats struct {
	Name         string
	Messages     uint64
	Bytes        uint64
	Subjects     int // that have at least one message
	LastSequence uint64
}

// Stats asks the server; it takes some 0.1 ms.
func (e *Engine) Stats() (Stats, error) {
	srv, err := e.dialable()
	if err != nil {
		return Stats{}, err
	}
	v, varErr := srv.Varz(nil)
	j, jsErr := srv.Jsz(&server.JSzOptions{Streams: true})
	if err := errors.Join(varErr, jsErr); err != nil {
		return Stats{}, err
	}
	s := Stats{
		Connections: v.Connections, TotalConnections: v.TotalConnections, Subscriptions: int(v.Subscriptions),
		InMsgs: v.InMsgs, OutMsgs: v.OutMsgs, InBytes: v.InBytes, OutBytes: v.OutBytes,
		SlowConsumers: v.SlowConsumers, MemoryBytes: v.Mem,
		StoreBytes: j.Store, StoreMemoryBytes: j.Memory, APIRequests: j.API.Total, APIErrors: j.API.Errors,
	}
	for _, account := range j.AccountDetails {
		for _, st := range account.Streams {
			s.Streams = append(s.Streams, StreamStats{
				Name: st.Name, Messages: st.State.Msgs, Bytes: st.State.Bytes,
				Subjects: st.State.NumSubjects, LastSequence: st.State.LastSeq,
			})
		}
	}
	return s, nil
}
