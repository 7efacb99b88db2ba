package app_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/gateway"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/logtest"
)

func engineOnFreePort() engine.Options { return engine.Options{Listen: "127.0.0.1:0"} }

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// call opens a connection, writes all and returns it.
func call(t *testing.T, a *app.App, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.Endpoints().HTTP, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// answered is the status line and the body of the answer; "closed" when there is none.
func answered(t *testing.T, conn net.Conn) string {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "closed"
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return "101"
	}
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSpace(string(body)))
}

const health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

// headerV2 is a PROXY header, version 2, of a TCP connection over IPv4.
func headerV2(from [4]byte) string {
	return "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + string(from[:]) + "\x7f\x00\x00\x01\x10\x00\x20\x00"
}

const localV2 = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

func TestProxyHeadersFromTrustedProxies(t *testing.T) {
	within := func(d time.Duration) *app.App {
		a := newApp(t, app.Options{ProxyProtocol: true, Gateway: gateway.Options{
			TrustedProxies: loopback, ConnectTimeout: d,
			Limits: limit.Options{ConnectionsPerAddress: limit.Rule{Value: 1}},
		}})
		start(t, a)
		return a
	}
	// Who answers must have time to, on a busy machine too.
	a, impatient := within(time.Minute), within(100*time.Millisecond)
	tests := []struct {
		name, text, want string
		to               *app.App
	}{
		{"version 1", "PROXY TCP4 192.0.2.1 127.0.0.1 5 6\r\n" + health, "200 ok", a},
		{"version 1, IPv6", "PROXY TCP6 2001:db8::1 ::1 5 6\r\n" + health, "200 ok", a},
		{"version 2", headerV2([4]byte{192, 0, 2, 2}) + health, "200 ok", a}, // of another address: the first may count a moment longer
		{"version 2, the proxy's own connection", localV2 + health, "200 ok", a},
		{"no header", health, "closed", a},
		{"half a header", "PROXY TCP4 192.0.2.1", "closed", impatient},
		{"a header that is wrong", "PROXY TCP4 nobody nowhere 5 6\r\n" + health, "closed", a},
		{"nothing", "", "closed", impatient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.to
			if got := answered(t, call(t, a, tt.text)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	t.Run("limits see the address that the header tells", func(t *testing.T) {
		for _, tt := range []struct {
			from [4]byte
			want string
		}{
			{[4]byte{192, 0, 2, 7}, "101"},
			{[4]byte{192, 0, 2, 7}, "429 this address has 1 connections, which is its limit: close one first"},
			{[4]byte{192, 0, 2, 8}, "101"},
		} {
			if got := answered(t, call(t, a, headerV2(tt.from)+upgrade)); got != tt.want {
				t.Errorf("%v: got %q, want %q", tt.from, got, tt.want)
			}
		}
	})
}

func TestAProxyHeaderFromAnybodyElseIsNotBelieved(t *testing.T) {
	others := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	a := newApp(t, app.Options{ProxyProtocol: true, Gateway: gateway.Options{TrustedProxies: others}})
	start(t, a)
	for _, header := range []string{"PROXY TCP4 192.0.2.1 127.0.0.1 5 6\r\n", headerV2([4]byte{192, 0, 2, 1})} {
		if got := answered(t, call(t, a, header+health)); !strings.HasPrefix(got, "400") {
			t.Errorf("got %q", got)
		}
	}
	if got := answered(t, call(t, a, health)); got != "200 ok" {
		t.Errorf("without a header: %q", got)
	}
	if _, err := app.New(app.Options{DataDir: t.TempDir(), ProxyProtocol: true}); err == nil || !strings.Contains(err.Error(), "TrustedProxies") {
		t.Errorf("nobody is trusted: %v", err)
	}
}

func TestALimitOnConnectionsShowsInMetricsAndAudit(t *testing.T) {
	dir := t.TempDir()
	a := newApp(t, app.Options{DataDir: dir, Gateway: gateway.Options{
		TrustedProxies: loopback, Limits: limit.Options{ConnectionsPerAddress: limit.Rule{Value: 1}},
	}})
	start(t, a)
	operator := connectOperator(t, a, dir)
	records, err := operator.SubscribeSync("audit.limited")
	if err != nil {
		t.Fatal(err)
	}
	if err := operator.Flush(); err != nil {
		t.Fatal(err)
	}
	from := strings.Replace(upgrade, "Host: x", "Host: x\r\nX-Forwarded-For: 192.0.2.9", 1)
	for _, want := range []string{"101", "429 this address has 1 connections, which is its limit: close one first"} {
		if got := answered(t, call(t, a, from)); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	_, metrics := get(t, a.Endpoints().Metrics)
	if !strings.Contains(metrics, `statuswire_refusals_total{dry_run="false",reason="connections_per_address"} 1`) {
		t.Error("not in the metrics")
	}
	record, err := records.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"limit":"connections_per_address"`, `"address":"192.0.2.9"`, `"code":429`, `"count":1`, "which is its limit"} {
		if !strings.Contains(string(record.Data), want) {
			t.Errorf("the record has no %s: %s", want, record.Data)
		}
	}
}

func TestAnAddressHasSoManyConnectionsWhateverTheyDo(t *testing.T) {
	dir := t.TempDir()
	a := newApp(t, app.Options{DataDir: dir, Gateway: gateway.Options{
		ConnectTimeout: time.Minute, Limits: limit.Options{ConnectionsPerAddress: limit.Rule{Value: 3}},
	}})
	start(t, a)
	refused := "429 this address has 3 connections, which is its limit: close one first"
	sockets := []net.Conn{call(t, a, upgrade), call(t, a, upgrade)}
	for _, s := range sockets {
		if got := answered(t, s); got != "101" {
			t.Fatal(got)
		}
	}
	idle := call(t, a, health)
	if got := answered(t, idle); got != "200 ok" {
		t.Fatal(got)
	}
	var third net.Conn
	until(t, "the idle one gives way to a third socket", func() bool { // the server has to notice first that it is idle
		third = call(t, a, upgrade)
		return answered(t, third) == "101"
	})
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the idle connection is not closed: %v", err)
	}
	if got := answered(t, call(t, a, upgrade)); got != refused {
		t.Errorf("a fourth socket: %q", got)
	}
	if got := answered(t, call(t, a, "GET /v1/conversations/c1/events HTTP/1.1\r\nHost: x\r\n\r\n")); !strings.HasPrefix(got, "429 ") {
		t.Errorf("a stream: %q", got)
	}
	if got := answered(t, call(t, a, health)); got != "200 ok" {
		t.Errorf("a health check beside them: %q", got)
	}
	_ = third.Close()
	until(t, "what is closed does not count any more", func() bool { return answered(t, call(t, a, upgrade)) == "101" })
	until(t, "the metrics count three", func() bool { // what was refused ends a moment later
		_, metrics := get(t, a.Endpoints().Metrics)
		return strings.Contains(metrics, "\nstatuswire_http_connections 3\n")
	})
}

func TestConnectionsOfAllTogetherAreBoundedByTheDescriptors(t *testing.T) {
	log := &logtest.Log{}
	// 110 leave 6 for browsers.
	a := newApp(t, app.Options{Descriptors: 110, Logger: slog.New(slog.NewTextHandler(log, nil)), Gateway: gateway.Options{ConnectTimeout: time.Minute,
		Limits: limit.Options{Connections: limit.Rule{Value: 10}}}})
	start(t, a)
	for i := range 6 {
		if got := answered(t, call(t, a, upgrade)); got != "101" {
			t.Fatalf("socket %d: %q", i, got)
		}
	}
	const full = "503 this server has all the connections that it can have: try again"
	if got := answered(t, call(t, a, upgrade)); got != full {
		t.Errorf("one more: %q", got)
	}
	stream := call(t, a, "GET /v1/conversations/c1/events HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(stream), nil)
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "5" || !resp.Close {
		t.Errorf("a stream: %v, %v", resp, err)
	}
	if got := answered(t, call(t, a, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")); got != "200 ready" {
		t.Errorf("a health check beside them: %q", got)
	}
	for _, want := range []string{
		`msg="connections of all browsers together" limit=6 descriptors=110 reserved=104`,
		"limits.connections is 10, but of the 110 files that this process may open 6 are left for browsers",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, log)
		}
	}
	if _, err := app.New(app.Options{DataDir: t.TempDir(), Descriptors: 100}); err == nil || !strings.Contains(err.Error(), "ulimit -n") {
		t.Errorf("with 100 descriptors: %v", err)
	}
}
