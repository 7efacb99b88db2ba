package consumers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/consumers"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server and the service for AUDIT, and returns an operator.
func serve(t *testing.T, opts consumers.Options) *nats.Conn {
	t.Helper()
	dir := t.TempDir()
	set, err := keys.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Options{Listen: "127.0.0.1:0", StoreDir: dir, Keys: set})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e.Stop) })
	nc, err := e.Connect(engine.PartStateConsumers)
	if err != nil {
		t.Fatal(err)
	}
	s, err := consumers.New(nc, engine.StreamAudit, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s.Stop); stop(t, s.Stop) })
	public, err := set.Operator.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	operator, err := nats.Connect(e.ClientURL(), nats.Nkey(public, set.Operator.Sign), nats.CustomInboxPrefix(status.InboxOperator))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(operator.Close)
	return operator
}

func stop(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Error(err)
	}
}

// made is JetStream's answer.
type made struct {
	Error  *status.Error
	Name   string
	Config map[string]any
}

func create(t *testing.T, nc *nats.Conn, tail, body string) made {
	t.Helper()
	m, err := nc.Request("$JS.API.CONSUMER.CREATE.AUDIT."+tail, []byte(body), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var a made
	if err := json.Unmarshal(m.Data, &a); err != nil {
		t.Fatalf("%s: %v", m.Data, err)
	}
	return a
}

func TestAnOperatorsConsumerPullsAndIsForgotten(t *testing.T) {
	operator := serve(t, consumers.Options{})
	a := create(t, operator, "view", `{"stream_name":"AUDIT","action":"create","config":{"name":"view","durable_name":"view","deliver_policy":"all",`+
		`"ack_policy":"explicit","ack_wait":30000000000,"max_deliver":-1,"max_ack_pending":1000,"replay_policy":"instant","num_replicas":3,"inactive_threshold":864000000000000}}`)
	if a.Error != nil || a.Name != "view" {
		t.Fatalf("%+v", a)
	}
	for key, want := range map[string]any{"durable_name": nil, "ack_policy": "none", "mem_storage": true, "num_replicas": 1.0, "inactive_threshold": float64(time.Hour), "deliver_subject": nil} {
		if a.Config[key] != want {
			t.Errorf("%s is %v, want %v", key, a.Config[key], want)
		}
	}
}

// A consumer that pushes sends a stream's messages to any subject of the account.
func TestAConsumerThatPushesIsRefused(t *testing.T) {
	operator := serve(t, consumers.Options{})
	for name, config := range map[string]string{
		"to a subject":      `"name":"x","deliver_subject":"audit.admin.kicked"`,
		"in capitals":       `"name":"x","DELIVER_SUBJECT":"$KV.directory.c1"`,
		"to nobody":         `"name":"x","deliver_subject":""`,
		"in a group":        `"name":"x","deliver_group":"g"`,
		"with flow control": `"name":"x","flow_control":true`,
		"samples":           `"name":"x","sample_freq":"100%"`,
		"pinned":            `"name":"x","priority_groups":["a"]`,
		"paused":            `"name":"x","pause_until":"2099-01-01T00:00:00Z"`,
		"what is to come":   `"name":"x","anything_new":1`,
	} {
		a := create(t, operator, "x", `{"stream_name":"AUDIT","config":{`+config+`,"deliver_policy":"all","ack_policy":"none","replay_policy":"instant"}}`)
		if a.Error == nil || a.Error.ErrCode != status.ErrBadRequest.ErrCode {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for name, body := range map[string]string{
		"nothing":        "",
		"no JSON":        "no JSON",
		"two":            `{"stream_name":"AUDIT","config":{"name":"x"}}{}`,
		"another stream": `{"stream_name":"KV_directory","config":{"name":"x"}}`,
		"too much":       `{"stream_name":"AUDIT","config":{"name":"x","description":"` + strings.Repeat("x", 70<<10) + `"}}`,
	} {
		if a := create(t, operator, "x", body); a.Error == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	m, err := operator.Request("$JS.API.CONSUMER.INFO.AUDIT.x", nil, 5*time.Second)
	if err != nil || !strings.Contains(string(m.Data), "consumer not found") {
		t.Errorf("one was made all the same: %s, %v", m.Data, err)
	}
}

func TestOperatorsConsumersAreBounded(t *testing.T) {
	operator := serve(t, consumers.Options{MaxConsumers: 3})
	body := `{"stream_name":"AUDIT","config":{"name":"c%d","inactive_threshold":60000000000,"deliver_policy":"all","ack_policy":"none","replay_policy":"instant"}}`
	for i := range 3 {
		if a := create(t, operator, fmt.Sprintf("c%d", i), fmt.Sprintf(body, i)); a.Error != nil {
			t.Fatal(a.Error)
		}
	}
	if a := create(t, operator, "c3", fmt.Sprintf(body, 3)); a.Error == nil || a.Error.ErrCode != status.ErrOverloaded.ErrCode {
		t.Errorf("the fourth: %+v", a)
	}
}

func TestAServiceHasOneLife(t *testing.T) {
	for name, opts := range map[string]consumers.Options{"consumers": {MaxConsumers: -1}, "timeout": {Timeout: -1}} {
		if _, err := consumers.New(nil, "AUDIT", opts); err == nil {
			t.Errorf("negative %s are taken", name)
		}
	}
	s, err := consumers.New(nil, "AUDIT", consumers.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, s.Stop)
	if err := s.Start(t.Context()); err == nil {
		t.Error("it starts after Stop")
	}
}

func FuzzARequestThatIsTakenMakesAConsumerThatPulls(f *testing.F) {
	f.Add("consumer.create.AUDIT.x", []byte(`{"stream_name":"AUDIT","config":{"name":"x","deliver_subject":"y"}}`))
	f.Add("consumer.create.AUDIT.x.audit.>", []byte(`{"stream_name":"AUDIT","config":{"name":"x","filter_subject":"audit.>"}}`))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		api, body, err := consumers.Parse("AUDIT", subject, data)
		if err != nil {
			return
		}
		if !strings.HasPrefix(api, "$JS.API.CONSUMER.CREATE.AUDIT.") {
			t.Errorf("JetStream is asked on %q", api)
		}
		for _, no := range []string{"deliver_subject", "durable_name", "deliver_group"} {
			var asked struct {
				Config map[string]any `json:"config"`
			}
			if err := json.Unmarshal(body, &asked); err != nil || asked.Config[no] != nil {
				t.Errorf("%s: %v", body, err)
			}
		}
	})
}
