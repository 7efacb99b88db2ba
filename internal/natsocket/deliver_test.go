package natsocket_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/natsocket"
	"github.com/statuswire/statuswire/internal/outbox"
)

func TestARunIsWrittenAtOnceButForWhatTheBrowserMayNotHave(t *testing.T) {
	run := &fanout.Run{}
	var frames [][]byte
	for _, category := range []string{"engine", "secret", "tool"} {
		m := &fanout.Message{Subject: "status.c1." + category, Data: []byte("x")}
		run.Messages = append(run.Messages, m)
		frames = append(frames, natsocket.Encode(m, "7"))
	}
	for _, c := range []struct {
		name string
		most int
		deny string
		want [][]byte
	}{
		{"without a bound all of it", 0, "", frames},
		{"with a maximum within the run what is due", 2, "", frames[:2]},
		{"with a maximum above it all of it", 4, "", frames},
		{"with a subject denied the others", 0, "status.c1.secret", [][]byte{frames[0], frames[2]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, browser := net.Pipe() // not the kernel's: all goes through the queue
			defer browser.Close()
			defer conn.Close()
			everything := judge{jwt.Permission{Allow: jwt.StringList{"status.c1.*"}}}
			if c.deny != "" {
				everything.sub.Deny.Add(c.deny)
			}
			all := receivers(t, everything, []net.Conn{conn}, func(int) string { return "7" })
			r := all[0].(interface {
				fanout.RunReceiver
				Tally() *outbox.Tally
				Outbox() *outbox.Outbox
			})
			r.Outbox().Limit(r.Tally(), c.most)
			r.DeliverRun(run, nil)
			must(t, browser.SetReadDeadline(time.Now().Add(patience)))
			want := bytes.Join(c.want, nil)
			got := make([]byte, len(want))
			_, err := io.ReadFull(browser, got)
			must(t, err)
			if !bytes.Equal(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			eventually(t, "nothing else waits", func() bool { return r.Outbox().Backlog() == 0 })
		})
	}
}
