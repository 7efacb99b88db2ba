//go:build e2e

package test

import (
	"context"
	"strings"
	"testing"
	"time"

	shipped "github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/app"
)

// TestLostStatusesReachUnmodifiedClients runs node/configured/lost.mjs: the stream
// stops to republish for a moment, while unmodified clients are watching.
func TestLostStatusesReachUnmodifiedClients(t *testing.T) {
	const publish = `publish: { allow: ["submit.*.*"` // of the service
	conf := string(shipped.DefaultNATSConfig())
	if strings.Count(conf, publish) != 1 {
		t.Fatalf("nats.conf does not have %s once", publish)
	}
	opts := app.Options{DataDir: t.TempDir(), HTTP: "127.0.0.1:0"}
	opts.Engine.Listen = "127.0.0.1:0"
	opts.Engine.Config = []byte(strings.Replace(conf, publish, publish+`, "$JS.API.INFO", "$JS.API.STREAM.INFO.STATUS", "$JS.API.STREAM.UPDATE.STATUS"`, 1))
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
	runNodeTests(t, "node", append(nodeEnv(t, s), "STATUSWIRE_LEDGER="+ledgerFile(t)), "configured/lost.mjs")
	if got := figures(t, metricsText(t, s)); got["statuswire_fanout_mended_total"] == 0 {
		t.Errorf("nothing was lost: %v", got)
	}
}
