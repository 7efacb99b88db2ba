package consumers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/statuswire/statuswire/status"
)

const (
	subjectRoot = "consumer.create."
	apiRoot     = "$JS.API.CONSUMER.CREATE."
)

// maxRequestBytes is far above what a client asks with.
const maxRequestBytes = 64 << 10

// maxIdle is how long a consumer is kept at most that nobody pulls from: while a
// person looks at one page of `nats stream view`.
const maxIdle = time.Hour

// request is a JetStream consumer_create_request (nats-server 2.15.2). What it may
// not hold has no field here, and is refused.
type request struct {
	Stream   string `json:"stream_name"`
	Config   config `json:"config"`
	Action   string `json:"action,omitempty"`
	Pedantic bool   `json:"pedantic,omitempty"`
}

// config is what of a consumer's configuration an operator decides.
type config struct {
	Name           string   `json:"name,omitempty"`
	Description    string   `json:"description,omitempty"`
	DeliverPolicy  string   `json:"deliver_policy"`
	OptStartSeq    uint64   `json:"opt_start_seq,omitempty"`
	OptStartTime   string   `json:"opt_start_time,omitempty"`
	FilterSubject  string   `json:"filter_subject,omitempty"`
	FilterSubjects []string `json:"filter_subjects,omitempty"`
	ReplayPolicy   string   `json:"replay_policy"`
	HeadersOnly    bool     `json:"headers_only,omitempty"`
	MaxWaiting     int      `json:"max_waiting,omitempty"`

	InactiveThreshold time.Duration `json:"inactive_threshold,omitempty"`

	// Clients name these, and get them as they are here: nothing is acknowledged,
	// nothing is kept on disk.
	AckPolicy     string `json:"ack_policy"`
	Replicas      int    `json:"num_replicas"`
	MemoryStorage bool   `json:"mem_storage"`
}

// asked is config with what clients send besides and do not get.
type asked struct {
	config
	Durable       string            `json:"durable_name"`
	AckWait       time.Duration     `json:"ack_wait"`
	MaxDeliver    int               `json:"max_deliver"`
	MaxAckPending int               `json:"max_ack_pending"`
	Metadata      map[string]string `json:"metadata"`
	PauseUntil    time.Time         `json:"pause_until"` // the zero time, by jsm.go
}

// parse reads a request for the stream and returns what JetStream is to be asked
// instead. Everything that has no field in asked is refused by its name.
func parse(stream, subject string, data []byte) (api string, body []byte, err error) {
	tail, ok := strings.CutPrefix(subject, subjectRoot)
	if !ok || !strings.HasPrefix(tail, stream+".") {
		return "", nil, fmt.Errorf("subject %s is not %s%s.<name>", status.Quote(subject), subjectRoot, stream)
	}
	if len(data) > maxRequestBytes {
		return "", nil, fmt.Errorf("request has %d bytes, at most %d are allowed", len(data), maxRequestBytes)
	}
	var r struct {
		Stream   string `json:"stream_name"`
		Config   asked  `json:"config"`
		Action   string `json:"action"`
		Pedantic bool   `json:"pedantic"`
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return "", nil, fmt.Errorf("only consumers that pull can be made here: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return "", nil, fmt.Errorf("request is more than one JSON value")
	}
	if r.Stream != stream {
		return "", nil, fmt.Errorf("stream %s is not the subject's: %q", status.Quote(r.Stream), stream)
	}
	if !r.Config.PauseUntil.IsZero() {
		return "", nil, fmt.Errorf("a consumer cannot be made paused: leave pause_until out")
	}
	c := r.Config.config
	if c.Name == "" {
		c.Name = r.Config.Durable
	}
	c.InactiveThreshold = min(max(c.InactiveThreshold, 0), maxIdle)
	c.AckPolicy, c.Replicas, c.MemoryStorage = "none", 1, true
	body, err = json.Marshal(request{Stream: r.Stream, Config: c, Action: r.Action})
	return apiRoot + tail, body, err
}
