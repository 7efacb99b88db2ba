package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/statuswire/statuswire/admin"
	"github.com/statuswire/statuswire/app"
	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/status"
)

// Limits that the fuzzed connections meet, and the short grace of presence.
const (
	fuzzCategories    = 8
	fuzzSubscriptions = 12
	fuzzChanges       = 40
	fuzzGrace         = 5 * time.Millisecond
)

// lifeApp is a whole app in this process, with those who use it beside the
// browsers. All runs of a fuzz target share one, because it takes a second to start.
type lifeApp struct {
	app      *app.App
	ws, http string
	metrics  string
	secret   []byte
	service  *nats.Conn
	js       nats.JetStreamContext
	operator *nats.Conn
	admin    *admin.Client
	system   *nats.Conn

	keepLinks bool

	runs   int // makes names that no run had before
	dialed int // as well
	tokens int // issued
	all    *lifeApps
}

func startLifeApp(dir string, keepLinks bool) (*lifeApp, error) {
	set, err := keys.Load(dir)
	if err != nil {
		return nil, err
	}
	opts := app.Options{DataDir: dir, HTTP: "127.0.0.1:0"}
	opts.Engine.Listen = "127.0.0.1:0"
	opts.Callout.MaxCategories = fuzzCategories
	opts.Callout.MaxSubscriptions = fuzzSubscriptions
	opts.Callout.ChangesPerMinute = fuzzChanges
	opts.Presence.Grace = fuzzGrace
	opts.Presence.Settle = time.Millisecond
	opts.Presence.Spacing = time.Millisecond
	opts.Gateway.KeepLinks = keepLinks
	opts.Gateway.CloseSpread = time.Millisecond
	opts.Gateway.SettleTimeout = grantLag // never the reason, however slow the machine is
	opts.Gateway.Limits.Operations = limit.Rule{Value: 100_000}
	opts.Gateway.Limits.Frames = limit.Rule{Value: 100_000} // frames are cut anywhere
	opts.Gateway.Limits.UpgradesPerAddress = limit.Rule{Value: 1_000_000}
	opts.Gateway.Limits.GrantChanges = limit.Rule{Value: 10_000}
	opts.Gateway.Limits.ConnectionsPerUser = limit.Rule{Value: 100_000}
	opts.Gateway.Limits.ConnectionsPerAddress = limit.Rule{Value: 1_000_000}
	opts.Gateway.Limits.Upgrades = limit.Rule{Value: 1_000_000}
	opts.Gateway.Limits.FailedLogins = limit.Rule{Value: 1_000, DryRun: true}
	a := &lifeApp{secret: set.TokenSecret, keepLinks: keepLinks}
	if a.app, err = app.New(opts); err != nil {
		return nil, err
	}
	if err := a.app.Start(context.Background()); err != nil {
		return nil, err
	}
	e := a.app.Endpoints()
	a.ws, a.http, a.metrics = e.WS, e.HTTP, e.Metrics
	if a.service, err = connectWithKey(e.NATS, keys.ServiceFile(dir)); err != nil {
		return nil, err
	}
	if a.js, err = a.service.JetStream(); err != nil {
		return nil, err
	}
	if a.operator, err = connectWithKey(e.NATS, keys.OperatorFile(dir), nats.CustomInboxPrefix(status.InboxOperator)); err != nil {
		return nil, err
	}
	if a.system, err = connectWithKey(e.NATS, keys.SystemFile(dir), nats.CustomInboxPrefix(status.InboxSystem)); err != nil {
		return nil, err
	}
	a.admin = admin.NewClient(a.operator, admin.OperatorName)
	return a, nil
}

func connectWithKey(url, file string, opts ...nats.Option) (*nats.Conn, error) {
	key, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		return nil, err
	}
	return nats.Connect(url, append(opts, key)...)
}

func (a *lifeApp) stop() error {
	a.service.Close()
	a.operator.Close()
	a.system.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lifePatience)
	defer cancel()
	return a.app.Stop(ctx)
}

// lifeApps are the apps of this process, each started when it is first wanted.
type lifeApps struct {
	dir        string
	apps       [2]*lifeApp
	goroutines int // of the process when nobody was connected; 0 for not yet counted
}

func newLifeApps(f *testing.F) *lifeApps {
	dir, err := os.MkdirTemp("", "statuswire-life-")
	if err != nil {
		f.Fatal(err)
	}
	all := &lifeApps{dir: dir}
	f.Cleanup(func() {
		for _, a := range all.apps {
			if a == nil {
				continue
			}
			if err := a.stop(); err != nil {
				f.Error(err)
			}
		}
		_ = os.RemoveAll(dir)
	})
	return all
}

// get returns the app that keeps a link for each browser, or the one that does not.
func (all *lifeApps) get(t testing.TB, keepLinks bool) *lifeApp {
	i := 0
	if keepLinks {
		i = 1
	}
	if all.apps[i] == nil {
		a, err := startLifeApp(filepath.Join(all.dir, strconv.Itoa(i)), keepLinks)
		if err != nil {
			t.Fatal(err)
		}
		a.all = all
		all.apps[i], all.goroutines = a, 0
	}
	return all.apps[i]
}

func (a *lifeApp) token(t testing.TB, user status.UserID, ttl time.Duration) string {
	a.tokens++
	token, err := identity.Issue(a.secret, user, ttl, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// present is who is present in the conversation, by user.
func (a *lifeApp) present(c status.ConversationID) (map[status.UserID]int, error) {
	m, err := a.operator.Request("edge."+string(c)+".presence", nil, lifePatience)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Members []struct {
			User        status.UserID `json:"user"`
			Connections int           `json:"connections"`
		} `json:"members"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil || answer.Error != nil {
		return nil, fmt.Errorf("presence of %s: %s (%v)", c, m.Data, err)
	}
	all := map[status.UserID]int{}
	for _, member := range answer.Members {
		all[member.User] = member.Connections
	}
	return all, nil
}

// kickLink has the NATS server end the connection with the name.
func (a *lifeApp) kickLink(name string) (found bool, err error) {
	m, err := a.system.Request("$SYS.REQ.SERVER.PING.CONNZ", []byte(`{"limit":4096}`), lifePatience)
	if err != nil {
		return false, err
	}
	var report struct {
		Server struct{ ID string }
		Data   struct {
			Connections []struct {
				CID  uint64
				Name string
			}
		}
	}
	if err := json.Unmarshal(m.Data, &report); err != nil {
		return false, err
	}
	for _, c := range report.Data.Connections {
		if c.Name != name {
			continue
		}
		found = true
		_, err := a.system.Request("$SYS.REQ.SERVER."+report.Server.ID+".KICK", fmt.Appendf(nil, `{"cid":%d}`, c.CID), lifePatience)
		if err != nil {
			return true, err
		}
	}
	return found, nil
}

// figures are the metrics without labels.
func (a *lifeApp) figures() (map[string]int, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: lifePatience}
	r, err := client.Get(a.metrics)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	all := map[string]int{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = int(n)
		}
	}
	return all, nil
}
