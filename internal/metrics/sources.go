package metrics

import "time"

// Sources are asked at each scrape, from several goroutines. One that is nil is
// left out, and so are its figures. The types are declared here because metrics
// stands below the parts, or beside them.
type Sources struct {
	Gateway     func() GatewayStats
	Fanout      func() FanoutStats
	Callout     func() CalloutStats
	Broadcaster func() BroadcasterStats
	Edge        func() map[string]EndpointStats // by the endpoint's name
	Audit       func() AuditStats
	Marks       func() MarkStats
	// LogOmitted is how many log lines were left out.
	LogOmitted func() uint64
	Storage    func() StorageStats
	// Server is the embedded NATS server. With an error the figure nats_up is 0
	// and the server's others are left out.
	Server func() (ServerStats, error)
}

// GatewayStats are those of gateway.Stats that nobody pushes.
type GatewayStats struct {
	Credentials int    // tokens whose grant is held
	IdleGrants  int    // of them, those without a connection
	IdleBytes   int    // that these take
	Links       uint64 // links opened for a verdict
	LinksKept   int64  // links open now
	SlowCloses  uint64 // sockets closed because they read too slowly
	Shed        uint64 // statuses of low priority left out because a browser was slow
	Sheltered   int    // bytes that wait for slow browsers
	Resumed     uint64 // subscriptions that went on where an earlier connection was

	HTTPConnections, HTTPConnectionsLimit int // now, sockets included; how many there may be
}

// FanoutStats are those of fanout.Stats that nobody pushes.
type FanoutStats struct {
	Topics   int    // subjects with an upstream subscription now
	Upstream int    // subscriptions of the fan-out's connection now
	Limit    int    // how many it may have; 0: no bound
	Doubles  uint64 // statuses dropped because they came before
	Mended   uint64 // statuses fetched to mend a hole
	Replayed uint64 // statuses fetched for one subscription
	Failed   uint64 // holes and replays that were given up

	CatchingUp int // subscriptions that are still sent what they missed

	Kept         int    // subjects that nobody is subscribed to, kept for those who come back
	TailStatuses int    // newest statuses that are in memory
	TailBytes    int    // their memory
	Hits, Misses uint64 // subscriptions of those who came back, served from memory or from the stream
	Recalled     uint64 // statuses sent from memory
}

// CalloutStats are those of authcallout.Stats.
type CalloutStats struct {
	Granted uint64
	Denied  map[string]uint64 // by cause; the causes with a bounded number of names
	Foreign uint64            // requests of other servers, passed over
	Queued  int               // requests that wait for a worker now
}

// BroadcasterStats are those of broadcaster.Stats.
type BroadcasterStats struct {
	Received   uint64
	Forwarded  uint64
	Refused    map[string]uint64 // by the name of the error in the status table
	Unanswered uint64
	Dropped    uint64
}

// EndpointStats are those of edge.EndpointStats.
type EndpointStats struct {
	Answered, Refused uint64
	DurationTotal     time.Duration
}

// AuditStats are those of audit.Stats.
type AuditStats struct {
	Recorded, Lost, Overflowed, Records, Retries uint64
	Open                                         int

	Acts ActStats // of administrators
}

// ActStats are those of audit.ActStats.
type ActStats struct {
	Recorded, Written, Lost, Retries uint64
	Waiting                          int
}

// MarkStats are those of mark.Stats and mark.KeeperStats.
type MarkStats struct {
	Keys, Away, Bytes                    int // now
	Forgotten, Refused                   uint64
	Written, WrittenBytes, WriteFailures uint64
}

// StorageStats are those of storage.Watch.
type StorageStats struct {
	Healthy  map[string]bool // whether it can store, by stream
	Restarts uint64          // of the NATS server, because a stream could not
}

// ServerStats is what the embedded NATS server says about itself: Varz, and for
// the streams Jsz.
type ServerStats struct {
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
