package broadcaster_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/status"
)

func TestWhileTheStreamCannotStoreAStatusIsRefusedAtOnceWithTheReason(t *testing.T) {
	var failing atomic.Bool
	h := openWith(t, broadcaster.Options{Storable: func() error {
		if failing.Load() {
			return errors.New("stream STATUS cannot store: no space left on device")
		}
		return nil
	}})
	js, err := jetstream.New(h.service(t))
	check(t, err)
	publish := func(payload string) *jetstream.APIError {
		t.Helper()
		_, err := js.Publish(soon(t), "status.c1.engine", []byte(payload))
		var api *jetstream.APIError
		if err != nil && !errors.As(err, &api) {
			t.Fatal(err)
		}
		return api
	}
	failing.Store(true)
	if api := publish(`{"text":"hi"}`); api == nil || int(api.ErrorCode) != status.ErrUnavailable.ErrCode || !strings.Contains(api.Description, "no space left on device") {
		t.Errorf("got %+v", api)
	}
	// What is wrong for good is told as ever: publishing it again would not help.
	if api := publish(`{}`); api == nil || int(api.ErrorCode) != status.ErrNoText.ErrCode {
		t.Errorf("a status without a text: %+v", api)
	}
	failing.Store(false)
	if api := publish(`{"text":"hi"}`); api != nil {
		t.Errorf("afterwards: %+v", api)
	}
}

func TestWhoWaitsForAStreamThatHasFailedIsAnswered(t *testing.T) {
	h := open(t)
	nc := h.service(t)
	before := time.Now()
	inbox := nc.NewRespInbox()
	answers, err := nc.SubscribeSync(inbox)
	check(t, err)
	ask := func() string {
		t.Helper()
		m, err := answers.NextMsg(10 * time.Second)
		check(t, err)
		return string(m.Data)
	}
	check(t, nc.PublishMsg(&nats.Msg{Subject: "status.c1.engine", Reply: inbox, Data: []byte(`{"text":"hi"}`)}))
	if got := ask(); !strings.Contains(got, `"seq":1`) {
		t.Fatalf("got %s", got)
	}
	h.broadcaster.StreamFailed(time.Now().Add(time.Hour)) // all was well until after it
	h.broadcaster.StreamFailed(before)
	check(t, nc.PublishMsg(&nats.Msg{Subject: "status.c1.engine", Reply: inbox, Data: []byte(`{"text":"hi"}`)}))
	if got := ask(); !strings.Contains(got, `"seq":2`) {
		t.Errorf("told twice, or too early: %s", got)
	}
	h.broadcaster.StreamFailed(before)
	if got := ask(); !strings.Contains(got, `"err_code":20030`) {
		t.Errorf("got %s", got)
	}
}
