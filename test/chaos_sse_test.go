//go:build e2e

package test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sseClient reads the events of one conversation and comes back with the last id
// that it has seen, as an EventSource does.
type sseClient struct {
	name         string
	url          string // of the events
	token        string
	conversation string
	silence      time.Duration // without a byte the connection is given up
	log          *chaosLog
	subjects     []string
	forgetful    bool // the server does not keep everything

	lastID string
}

// sseRetry is the time from the end of one connection to the next.
const sseRetry = 200 * time.Millisecond

// run ends with ctx.
func (c *sseClient) run(ctx context.Context) {
	c.lastID = "0" // from the beginning: the first connection may be cut before its first event
	for first := true; ; first = false {
		if !first {
			c.tell(said{Reconnected: true})
		}
		c.connect(ctx)
		pause := time.NewTimer(sseRetry)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// connect reads one connection to its end.
func (c *sseClient) connect(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(c.silence, cancel)
	defer quiet.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		c.wrong("%v", err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Last-Event-ID", c.lastID)
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return // broken on the way
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		if res.StatusCode < http.StatusInternalServerError {
			c.wrong("HTTP %s", res.Status)
		}
		return
	}
	c.tell(said{Ready: true})
	var id, event, data string
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		quiet.Reset(c.silence)
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "event":
			event = value
		case "data":
			data = value
		case "": // the end of an event, or a comment
			if lines.Text() == "" && data != "" {
				c.event(id, event, data)
				id, event, data = "", "", ""
			}
		}
	}
}

func (c *sseClient) event(id, event, data string) {
	switch event {
	case "status":
		var s struct {
			Category string `json:"category"`
			Metadata struct{ N uint64 }
		}
		number, _, _ := strings.Cut(id, "-")
		seq, err := strconv.ParseUint(number, 10, 64)
		if err := cmp.Or(err, json.Unmarshal([]byte(data), &s)); err != nil {
			c.wrong("event %q %s: %v", id, data, err)
			return
		}
		c.lastID = id
		c.tell(said{Subject: "status." + c.conversation + "." + s.Category, N: s.Metadata.N, Seq: seq})
	case "truncated":
		var gap struct {
			First uint64 `json:"first_seq"`
		}
		if err := json.Unmarshal([]byte(data), &gap); err != nil || !c.forgetful {
			c.wrong("truncated: %s", data)
			return
		}
		for _, subject := range c.subjects {
			c.tell(said{Subject: subject, First: gap.First})
		}
	case "error":
		var refusal struct{ Error struct{ Code int } }
		if err := json.Unmarshal([]byte(data), &refusal); err != nil || refusal.Error.Code < http.StatusInternalServerError {
			c.wrong("error: %s", data)
		}
	}
}

func (c *sseClient) wrong(format string, args ...any) {
	c.tell(said{Wrong: fmt.Sprintf(format, args...)})
}

func (c *sseClient) tell(s said) {
	s.Client = c.name
	c.log.add(s) // the name is the log's own
}
