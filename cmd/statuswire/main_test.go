package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/keys"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"statuswire": main})
}

// The scripts need no server; those that do are in test/.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": exitStatus,
			"keys":   makeKeys,
		},
	})
}

// exitStatus runs a command that must end with the status: status 2 statuswire nonsense.
func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status code command...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) {
		code = string(rune('0' + exit.ExitCode()))
	}
	if code != args[0] {
		ts.Fatalf("exit status is %s, want %s", code, args[0])
	}
}

// makeKeys makes the keys of a data folder, as the first start does.
func makeKeys(ts *testscript.TestScript, neg bool, args []string) {
	_, err := keys.Load(ts.MkAbs(args[0]))
	ts.Check(err)
}

func TestServeRunsUntilItIsTold(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Chdir(t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, log bytes.Buffer
	ended := make(chan int, 1)
	go func() { // ends with cancel
		ended <- run(ctx, strings.Fields("serve --http 127.0.0.1:0 --nats-listen 127.0.0.1:0"), streams{strings.NewReader(""), &out, &log})
	}()
	waitForFile(t, filepath.Join("data", "endpoints.json"))

	var listed, complaint bytes.Buffer
	if code := run(t.Context(), []string{"conversation", "list"}, streams{strings.NewReader(""), &listed, &complaint}); code != exitOK {
		t.Errorf("list: exit code %d, %s", code, complaint.String())
	}
	if listed.String() != "no conversations\n" {
		t.Errorf("list printed %q", listed.String())
	}

	complaint.Reset()
	if code := run(t.Context(), strings.Fields("serve --http 127.0.0.1:0 --nats-listen 127.0.0.1:0"), streams{strings.NewReader(""), &listed, &complaint}); code != exitFailed ||
		complaint.String() != "statuswire: another server runs with the data folder data: stop it, or name another folder with --data\n" {
		t.Errorf("a second server in the same folder: exit code %d, %s", code, complaint.String())
	}

	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("serve: exit code %d\n%s%s", code, out.String(), log.String())
	}
	for _, want := range []string{"WebSocket  ws://127.0.0.1:", "NATS       nats://127.0.0.1:", "data       data\n", "ready\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("serve did not print %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "demo") {
		t.Errorf("without --demo it speaks of the demo:\n%s", out.String())
	}
}

func TestAnArgumentThatIsNotUTF8IsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"conversation", "create", "c1", "--owner", "caf\xe9"}, `argument 5, "caf\xe9": column 4: byte 0xe9 is not UTF-8: write it as UTF-8`},
		{[]string{"conversation", "create", "c1", "--owner=é\xff"}, `argument 4, "--owner=é\xff": column 10: byte 0xff is not UTF-8: write it as UTF-8`},
		{[]string{"session", "kick", "--user", "alice", "--reason", "\xc0\xaf"}, `argument 6, "\xc0\xaf": column 1: byte 0xc0 is not UTF-8: write it as UTF-8`},
		{[]string{"serve", "--data", "data\xe9"}, `argument 3, "data\xe9": column 5: byte 0xe9 is not UTF-8: write it as UTF-8`},
		{[]string{"token", "--user", "\ufffd"}, "--user: bad user id \"\ufffd\": U+FFFD stands for what could not be read: write the id as UTF-8"},
	} {
		var out, complaint bytes.Buffer
		code := run(t.Context(), tt.args, streams{strings.NewReader(""), &out, &complaint})
		if code != exitUsage || complaint.String() != "statuswire: "+tt.want+"\n" || out.Len() > 0 {
			t.Errorf("%q: exit code %d, %s%s", tt.args, code, complaint.String(), out.String())
		}
	}
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("something was made: %v, %v", entries, err)
	}
}

func TestServeTellsWhoCannotListen(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Chdir(t.TempDir())
	var out, log bytes.Buffer
	code := run(t.Context(), strings.Fields("serve --http 203.0.113.1:1 --nats-listen 127.0.0.1:0"), streams{strings.NewReader(""), &out, &log})
	if code != exitFailed || !strings.Contains(log.String(), "statuswire: start the HTTP listener: listen tcp 203.0.113.1:1") {
		t.Errorf("exit code %d, %s%s", code, out.String(), log.String())
	}
}

func waitForFile(t *testing.T, file string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not appear", file)
}
