//go:build e2e

package test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	shipped "github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/app"
)

// forget removes the stream's files; the server must not run.
func forget(t *testing.T, dataDir, stream string) {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dataDir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, filepath.Join("streams", stream)) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) != 1 {
		t.Fatalf("the files of %s: %v, %v", stream, paths, err)
	}
	if err := os.RemoveAll(paths[0]); err != nil {
		t.Fatal(err)
	}
}

func numbered(what string, n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf("%s %d", what, i+1))
	}
	return texts
}

// expectReset reads that there was a reset, and then all of the texts.
func (c *curl) expectReset(texts ...string) (id string) {
	c.t.Helper()
	if e := c.next(); e["event"] != "truncated" || e["data"] != `{"first_seq":1}` {
		c.t.Fatalf("got %v, want to be told of the reset", e)
	}
	return c.expect(texts...)
}

// The server's data is lost while everybody is away, and the new stream has more
// than they had seen when they come back. The stream MARKS stays as it is.
func TestAStreamThatWasMadeAnewIsNotTakenForTheOldOne(t *testing.T) {
	dir := t.TempDir()
	s := startStatuswireIn(t, dir)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	token := s.run(t, "token", "--user", "alice")
	network := s.network(t)
	var followers []*follower
	for i, client := range unmodified {
		name := []string{tabID, "another-tab-6d1c1a9c7e21"}[i]
		followers = append(followers, follow(t, s, "ws://"+network.address(), client, name, "status.c1.engine"))
	}
	events, some := startCurl(t, s, "c1/events", token), startCurl(t, s, "c1/events?categories=engine,tool&snapshot=true", token)
	p := newPublisher(t, s)
	p.publish("engine", numbered("old", 5)...)
	for _, f := range followers {
		f.statuses("old 5")
	}
	s.marked(t, "engine", 5)
	id, idOfSome := events.expect(numbered("old", 5)...), some.expect(numbered("old", 5)...)

	network.setTarget("")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	forget(t, dir, "STATUS")
	s = startStatuswireIn(t, dir)
	p = newPublisher(t, s)
	all := numbered("new", 20)
	p.publish("engine", all...)
	network.setTarget(s.address())

	startCurl(t, s, "c1/events", token, "-H", "Last-Event-ID: "+id).expectReset(all...)
	startCurl(t, s, "c1/events?categories=engine,tool&snapshot=true", token, "-H", "Last-Event-ID: "+idOfSome).expectReset(all...)
	for _, f := range followers {
		came := f.statuses("new 20")
		came = slices.DeleteFunc(came, func(h heard) bool { return strings.HasPrefix(h.Text, "old") })
		if got := texts(came); !slices.Equal(got, all) {
			t.Errorf("came %v", got)
		}
		if came[0].Truncated != "1" {
			t.Errorf("the first of the new stream says %+v", came[0])
		}
	}
	_, epoch, _ := strings.Cut(id, "-")
	refusedHTTP(t, s, "c1/history?after=5&epoch="+epoch, token, 409, 20121)
}

// An operator removes the stream of a server that runs, and makes it again.
func TestAStreamThatIsMadeAnewUnderARunningServer(t *testing.T) {
	const publish = `publish: { allow: ["submit.*.*"` // of the service
	conf := string(shipped.DefaultNATSConfig())
	if strings.Count(conf, publish) != 1 {
		t.Fatalf("nats.conf does not have %s once", publish)
	}
	opts := app.Options{DataDir: t.TempDir(), HTTP: "127.0.0.1:0"}
	opts.Engine.Listen = "127.0.0.1:0"
	opts.Engine.Config = []byte(strings.Replace(conf, publish, publish+`, "$JS.API.INFO", "$JS.API.STREAM.INFO.STATUS", "$JS.API.STREAM.DELETE.STATUS", "$JS.API.STREAM.CREATE.STATUS"`, 1))
	opts.Fanout.CheckEvery = time.Second
	a, err := app.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	e := a.Endpoints()
	s := &statuswire{Bin: binary(t), DataDir: opts.DataDir, HTTP: e.HTTP, WS: e.WS, NATS: e.NATS, Metrics: e.Metrics}
	needClient(t)
	runNodeTests(t, "node", append(nodeEnv(t, s), "STATUSWIRE_LEDGER="+ledgerFile(t)), "configured/anew.mjs")
}
