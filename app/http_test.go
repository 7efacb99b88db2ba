package app_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/broadcaster"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/status"
)

// TestAStreamOutlivesTheBoundsOfItsRequest is about a stream of events behind a
// proxy that tells the address in a PROXY header: it counts for that address, and
// the time that an HTTP request may take does not end it.
func TestAStreamOutlivesTheBoundsOfItsRequest(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	const headTimeout = 100 * time.Millisecond
	a := newApp(t, app.Options{DataDir: dir, Demo: true, ProxyProtocol: true, Gateway: gateway.Options{
		TrustedProxies: loopback, ConnectTimeout: headTimeout,
		Limits: limit.Options{ConnectionsPerAddress: limit.Rule{Value: 1}},
	}})
	start(t, a)
	secret, err := keys.ReadTokenSecret(dir)
	must(err)
	token, err := identity.Issue(secret, app.DemoOwner, time.Hour, time.Now())
	must(err)
	request := headerV2([4]byte{192, 0, 2, 7}) + fmt.Sprintf("GET /v1/conversations/%s/events?categories=error HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", app.DemoConversation, token)
	conn := call(t, a, request)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(err)
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if got := answered(t, call(t, a, request)); !strings.HasPrefix(got, "429 ") || !strings.Contains(got, "this address has 1 connections") {
		t.Errorf("a second one gets %q", got)
	}
	time.Sleep(headTimeout + 5500*time.Millisecond) // more than the server's ReadTimeout

	key, err := nats.NkeyOptionFromSeed(keys.ServiceFile(dir))
	must(err)
	publisher, err := broadcaster.NewPublisher(connectAs(t, a.Endpoints().NATS, key), broadcaster.PublisherOptions{})
	must(err)
	_, err = publisher.Publish(t.Context(), app.DemoConversation, status.Message{Category: "error", Text: "still here"})
	must(err)
	must(conn.SetReadDeadline(time.Now().Add(10 * time.Second)))
	for in := bufio.NewReader(resp.Body); ; {
		text, err := in.ReadString('\n')
		must(err)
		if strings.Contains(text, `"text":"still here"`) {
			return
		}
	}
}
