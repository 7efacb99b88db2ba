package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/logtest"
)

func TestStopTwiceIsFine(t *testing.T) {
	e := start(t, options(t))
	stop(t, e)
	stop(t, e)
}

func TestStopWithoutStartIsFine(t *testing.T) {
	e, err := engine.New(options(t))
	if err != nil {
		t.Fatal(err)
	}
	stop(t, e)
	if err := e.Start(t.Context()); !errors.Is(err, engine.ErrStarted) {
		t.Errorf("Start after Stop: %v", err)
	}
}

func TestAnEngineHasOneLife(t *testing.T) {
	e := start(t, options(t))
	if err := e.Start(t.Context()); !errors.Is(err, engine.ErrStarted) {
		t.Errorf("second Start: %v", err)
	}
	if err := connect(t, e, engine.PartFanout).Flush(); err != nil {
		t.Errorf("the second Start did harm: %v", err)
	}
	stop(t, e)
	if err := e.Start(t.Context()); !errors.Is(err, engine.ErrStarted) {
		t.Errorf("Start after Stop: %v", err)
	}
}

func TestOutsideOfItsLifeAnEngineAnswersPlainly(t *testing.T) {
	e, err := engine.New(options(t))
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		if _, err := e.Connect(engine.PartEdge); !errors.Is(err, engine.ErrNotRunning) {
			t.Errorf("%s: Connect: %v", when, err)
		}
		if _, _, err := e.DialLink(browser); !errors.Is(err, engine.ErrNotRunning) {
			t.Errorf("%s: DialLink: %v", when, err)
		}
		if err := e.Health(); !errors.Is(err, engine.ErrNotRunning) {
			t.Errorf("%s: Health: %v", when, err)
		}
		if e.ServerID() != "" || e.ClientURL() != "" {
			t.Errorf("%s: id %q, url %q", when, e.ServerID(), e.ClientURL())
		}
	}
	check("before Start")
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Health(); err != nil {
		t.Errorf("while running: %v", err)
	}
	if _, err := e.Connect("butler"); err == nil {
		t.Error("Connect of an unknown part succeeded")
	}
	stop(t, e)
	check("after Stop")
}

func TestTwoEnginesRunAtOnce(t *testing.T) {
	a, b := start(t, options(t)), start(t, options(t))
	if a.ServerID() == b.ServerID() || a.ClientURL() == b.ClientURL() {
		t.Errorf("both are %s at %s", a.ServerID(), a.ClientURL())
	}
	stop(t, a)
	if err := connect(t, b, engine.PartFanout).Flush(); err != nil {
		t.Errorf("stopping one hurt the other: %v", err)
	}
}

func TestStopClosesTheConnectionsOfTheParts(t *testing.T) {
	e := start(t, options(t))
	nc := connect(t, e, engine.PartFanout)
	stop(t, e)
	if !nc.IsClosed() {
		t.Error("a connection is open")
	}
}

func TestStartThatCannotListenSaysWhyAndLeavesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	opts := options(t)
	opts.Listen = l.Addr().String()
	e, err := engine.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	err = e.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error %v", err)
	}
	stop(t, e)
}

func TestStartEndsWithItsContext(t *testing.T) {
	e, err := engine.New(options(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	stop(t, e)
}

func TestStopWhileStartingEndsBoth(t *testing.T) {
	e, err := engine.New(options(t))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { e.Start(t.Context()) }) // succeeds or not: it must return
	stop(t, e)
	wg.Wait()
	if err := e.Health(); !errors.Is(err, engine.ErrNotRunning) {
		t.Errorf("it runs: %v", err)
	}
}

func TestARestartKeepsTheMessages(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	ack := publish(t, connect(t, e, engine.PartBroadcaster), "ingest.c1.engine", `{"text":"hi"}`)
	stop(t, e)

	again := start(t, opts)
	stream := statusStream(t, again)
	m, err := stream.GetMsg(t.Context(), ack.Sequence)
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject != "status.c1.engine" || string(m.Data) != `{"text":"hi"}` {
		t.Errorf("%s %s", m.Subject, m.Data)
	}
}

func TestARestartBringsTheSettingsUpToDate(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	stop(t, e)
	opts.Retention.MaxAge = time.Hour
	info, err := statusStream(t, start(t, opts)).Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Config.MaxAge != time.Hour {
		t.Errorf("max age %v", info.Config.MaxAge)
	}
}

func TestServerLinesGoToTheLoggerWithoutNotices(t *testing.T) {
	var out logtest.Log
	opts := options(t)
	opts.Listen = "0.0.0.0:0"
	opts.Logger = slog.New(slog.NewTextHandler(&out, nil))
	e := start(t, opts)
	if !strings.HasPrefix(e.ClientURL(), "nats://127.0.0.1:") {
		t.Errorf("url %s", e.ClientURL())
	}
	stop(t, e)
	text := out.String()
	if !strings.Contains(text, "keep it private") {
		t.Errorf("no warning of the open listener in:\n%s", text)
	}
	if strings.Contains(text, "Server is ready") {
		t.Errorf("notices at level Info:\n%s", text)
	}
}

func TestTheLogHasNoTokenAndNoLineForADeniedLogin(t *testing.T) {
	var out logtest.Log
	opts := options(t)
	opts.Logger = slog.New(slog.NewTextHandler(&out, nil))
	e := start(t, opts)
	callout := connect(t, e, engine.PartCallout)
	if _, err := callout.Subscribe("$SYS.REQ.USER.AUTH", func(m *nats.Msg) { m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	if err := callout.Flush(); err != nil {
		t.Fatal(err)
	}
	const token = "c2VjcmV0LXRva2Vu"
	for _, login := range []nats.Option{nats.Token(token), nats.UserInfo("alice", token)} {
		if _, err := nats.Connect(e.ClientURL(), login); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("login: %v", err)
		}
	}
	if text := out.String(); text != "" {
		t.Errorf("denied logins fill the log:\n%s", text)
	}
	for _, garbage := range []string{"CONNCT ", "", "PUB "} {
		conn, _, err := e.DialLink(browser)
		if err != nil {
			t.Fatal(err)
		}
		go io.WriteString(conn, garbage+`{"auth_token":"`+token+"\"}\r\n") // ends with the write or the link
		io.ReadAll(conn)
		conn.Close()
	}
	nc := connect(t, e, engine.PartEdge)
	nc.Publish("edge.forbidden", nil)
	nc.Flush()
	stop(t, e)

	text := out.String()
	if strings.Contains(text, token) {
		t.Errorf("the log shows a token:\n%s", text)
	}
	for _, want := range []string{"Client parser ERROR", "Publish Violation"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log has no %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "level=ERROR") {
		t.Errorf("what a client does wrong is no error of ours:\n%s", text)
	}
}

// statusStream is the stream STATUS as an operator sees it.
func statusStream(t *testing.T, e *engine.Engine) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(dialOperator(t, e))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), engine.StreamStatus)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}
