//go:build e2e

package test

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const cliTimeout = 20 * time.Second // of one nats command

// natsCLI is the nats command line with the contexts in a server's data folder.
type natsCLI struct {
	bin     string
	dataDir string
}

// newNATSCLI finds the nats command line: NATS_CLI, .tools/bin, or the PATH. Without
// one the test fails: a suite that skips itself proves nothing.
func newNATSCLI(t *testing.T, s *statuswire) natsCLI {
	t.Helper()
	bin := os.Getenv("NATS_CLI")
	if bin == "" {
		bin = filepath.Join("..", ".tools", "bin", "nats")
	}
	if _, err := os.Stat(bin); err != nil {
		if bin, err = exec.LookPath("nats"); err != nil {
			t.Fatal("the nats command line is not there: run `GOBIN=$PWD/.tools/bin go install github.com/nats-io/natscli/nats@v0.5.0` in the root of the repository")
		}
	}
	return natsCLI{bin: bin, dataDir: s.DataDir}
}

func (c natsCLI) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.bin, args...)
	cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+c.dataDir, "NO_COLOR=1")
	return cmd
}

// run returns everything that the command printed; it must succeed.
func (c natsCLI) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.try(t, args...)
	if err != nil {
		t.Fatalf("nats %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (c natsCLI) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cliTimeout)
	defer cancel()
	out, err := c.command(ctx, args...).CombinedOutput()
	return string(out), err
}

func wantIn(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %q:\n%s", what, want, text)
		}
	}
}

// hears is what `nats sub` prints of one message on the subject. It says that it is
// subscribing before it does: so the message is made again until it has one.
func (c natsCLI) hears(t *testing.T, subject string, message func()) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), cliTimeout)
	defer cancel()
	sub := c.command(ctx, "sub", "--count=1", subject)
	stderr, err := sub.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var heard strings.Builder
	sub.Stdout = &heard
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stderr).ReadString('\n'); err != nil || !strings.Contains(line, "Subscribing on "+subject) {
		t.Fatalf("nats sub says %q, %v", line, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- sub.Wait() }() // ends with the command
	for {
		message()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			return heard.String()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func TestTheNATSCommandLineWorksWithTheContextsInTheDataFolder(t *testing.T) {
	s := startStatuswire(t)
	cli := newNATSCLI(t, s)
	s.run(t, "conversation", "create", "demo", "--owner", "alice")

	t.Run("the operator hears what a service publishes", func(t *testing.T) {
		heard := cli.hears(t, "status.>", func() {
			out := cli.run(t, "--context", "service", "pub", "status.demo.engine", `{"text":"hi from the command line"}`)
			wantIn(t, "nats pub", out, `Published 35 bytes to "status.demo.engine"`)
		})
		wantIn(t, "nats sub", heard, `"status.demo.engine"`, "Nats-Sequence: ", "hi from the command line", `"category":"engine"`, `"timestamp"`)
	})

	t.Run("a service gets the stream's acknowledgement, or the reason", func(t *testing.T) {
		out := cli.run(t, "--context", "service", "pub", "--jetstream", "status.demo.tool", `{"text":"hi"}`)
		wantIn(t, "nats pub --jetstream", out, "STATUS")
		out, err := cli.try(t, "--context", "service", "pub", "--jetstream", "status.demo.nonsense", `{"text":"hi"}`)
		if err == nil {
			t.Errorf("an unknown category was stored:\n%s", out)
		}
		wantIn(t, "nats pub --jetstream", out, "nonsense")
	})

	t.Run("the operator looks into the stream", func(t *testing.T) {
		wantIn(t, "nats stream info", cli.run(t, "stream", "info", "STATUS"), "ingest.*.* to status.", "status.*.*", "Direct Get: true")
		wantIn(t, "nats stream ls", cli.run(t, "stream", "ls"), "STATUS")
		wantIn(t, "nats stream info", cli.run(t, "stream", "info", "AUDIT"), "audit.*")
		wantIn(t, "nats sub --stream", cli.run(t, "sub", "--stream", "AUDIT_ADMIN", "audit.>", "--all", "--terminate-at-end", "--raw"), `"conversation":"demo"`)
		wantIn(t, "nats stream get", cli.run(t, "stream", "get", "STATUS", "1"), "status.demo.engine", "hi from the command line")
		wantIn(t, "nats stream subjects", cli.run(t, "stream", "subjects", "STATUS"), "status.demo.engine", "status.demo.tool")
		wantIn(t, "nats stream view", viewStream(t, cli, "STATUS"), "status.demo.engine", "hi from the command line")
		wantIn(t, "nats kv get", cli.run(t, "kv", "get", "directory", "demo", "--raw"), `"alice"`)
	})

	t.Run("the operator sees the services and asks them", func(t *testing.T) {
		list := cli.run(t, "micro", "ls")
		wantIn(t, "nats micro ls", list, "edge", "admin")
		wantIn(t, "nats micro info", cli.run(t, "micro", "info", "edge"), "edge.*.join")
		wantIn(t, "nats micro info", cli.run(t, "micro", "info", "admin"), "admin.conversation.list")
		wantIn(t, "nats req", cli.run(t, "req", "edge.demo.join", ""), `"conversation":"demo"`, "hi from the command line")
		wantIn(t, "nats account info", cli.run(t, "account", "info"), "Account: OPS")
	})

	t.Run("a service cannot look inside, an operator cannot destroy", func(t *testing.T) {
		for _, args := range [][]string{
			{"--context", "service", "sub", "--count=1", "--wait=1s", "submit.>"},
			{"--context", "service", "stream", "ls"},
			{"--context", "operator", "stream", "purge", "STATUS", "--force"},
			{"--context", "operator", "stream", "rm", "AUDIT", "--force"},
			{"--context", "operator", "pub", "ingest.demo.engine", "forged"},
			{"--context", "system", "server", "config", "reload", "--force", serverID(t, cli)},
		} {
			// Some commands succeed after they have shown the violation.
			if out, _ := cli.try(t, append(args, "--timeout=1s")...); !strings.Contains(strings.ToLower(out), "permissions violation") {
				t.Errorf("nats %s says nothing of permissions:\n%s", strings.Join(args, " "), out)
			}
		}
	})
}

// viewStream runs `nats stream view` under a terminal, which it insists on.
func viewStream(t *testing.T, cli natsCLI, stream string) string {
	t.Helper()
	if _, err := exec.LookPath("script"); err != nil {
		t.Fatal("script (util-linux) is not installed: nats stream view wants a terminal")
	}
	ctx, cancel := context.WithTimeout(t.Context(), cliTimeout)
	defer cancel()
	cmd := cli.command(ctx)
	cmd.Path, _ = exec.LookPath("script")
	cmd.Args = []string{"script", "--quiet", "--return", "--command", cli.bin + " stream view " + stream, "/dev/null"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nats stream view: %v\n%s", err, out)
	}
	return string(out)
}

// serverID asks the server for its id as an operator does.
func serverID(t *testing.T, cli natsCLI) string {
	t.Helper()
	out := cli.run(t, "--context", "system", "req", "--raw", "$SYS.REQ.SERVER.PING", "")
	var reply struct {
		Server struct {
			ID string `json:"id"`
		} `json:"server"`
	}
	if err := json.Unmarshal([]byte(out), &reply); err != nil || reply.Server.ID == "" {
		t.Fatalf("PING: %v\n%s", err, out)
	}
	return reply.Server.ID
}

func TestTheNATSCommandLineReportsAndKicksBrowsersWithLinksKept(t *testing.T) {
	config := filepath.Join(t.TempDir(), "statuswire.conf")
	if err := os.WriteFile(config, []byte("links: keep\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startStatuswire(t, "--config", config)
	cli := newNATSCLI(t, s)

	b := openBrowser(t, s)
	b.logIn(t, s.run(t, "token", "--user", "alice"), map[string]any{"name": "alices-tab"})
	host, port, err := net.SplitHostPort(b.conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}

	report := cli.run(t, "--context", "system", "server", "report", "connections")
	wantIn(t, "nats server report connections", report, "alices-tab", host)
	found := connectionsOf(t, cli, "alice")
	if len(found) != 1 || found[0].IP != host || found[0].Port != port {
		t.Fatalf("the server shows %+v for alice, who is at %s:%s", found, host, port)
	}

	out := cli.run(t, "--context", "system", "server", "request", "kick", found[0].CID, serverID(t, cli))
	if err := b.conn.SetReadDeadline(time.Now().Add(browserTimeout)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err = b.lines.ReadString('\n'); err != nil {
			break
		}
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Errorf("the socket is open %v after the kick, which said %s", browserTimeout, out)
	}
}

type connection struct{ CID, IP, Port string }

// connectionsOf asks the server for the connections of one user.
func connectionsOf(t *testing.T, cli natsCLI, user string) []connection {
	t.Helper()
	out := cli.run(t, "--context", "system", "req", "--raw", "$SYS.REQ.SERVER.PING.CONNZ", `{"auth":true,"user":"`+user+`"}`)
	var reply struct {
		Data struct {
			Connections []struct {
				CID  json.Number `json:"cid"`
				IP   string      `json:"ip"`
				Port json.Number `json:"port"`
			} `json:"connections"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(out), &reply); err != nil {
		t.Fatalf("CONNZ: %v\n%s", err, out)
	}
	var found []connection
	for _, c := range reply.Data.Connections {
		found = append(found, connection{c.CID.String(), c.IP, c.Port.String()})
	}
	return found
}
