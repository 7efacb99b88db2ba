package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/config"
	"github.com/statuswire/statuswire/internal/limit"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestBadStatuswireConf(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad configurations found: %v", err)
	}
	t.Setenv("STATUSWIRE_TEST_SECRET", "short-secret-of-the-environment")
	secrets, err := filepath.Glob("testdata/bad/*secret*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range secrets { // a checkout does not keep these modes
		mode := os.FileMode(0o600)
		if strings.Contains(file, "for-everybody") {
			mode = 0o644
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".conf"), func(t *testing.T) {
			_, err := config.Load(config.Files{Statuswire: file}, nil)
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "short-secret") || strings.Contains(err.Error(), "a-secret-that-everybody-can-read") {
				t.Errorf("the error tells the secret: %v", err)
			}
			golden(t, file+".golden", strings.ReplaceAll(err.Error(), "testdata/bad/", "")+"\n")
		})
	}
}

// golden compares got with the file, or writes it under -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./config -update writes it)", err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", file, got, want)
	}
}

func TestGoodSettings(t *testing.T) {
	dir := t.TempDir()
	secret := strings.Repeat("s", 40)
	write(t, filepath.Join(dir, "token.secret"), secret+"\n")
	if err := os.Chmod(filepath.Join(dir, "token.secret"), 0o640); err != nil { // for the group, as Kubernetes has it
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "limits.conf"), "subscriptions: 7\n")
	t.Setenv("STATUSWIRE_TEST_LIFETIME", "15m0s")
	file := filepath.Join(dir, "my.conf")
	write(t, file, `
LIMIT = 128KB
HTTP = "[::1]:9000"
allowed_origins: ["https://app.example.com", "https://*.example.org"]
links: keep; cookie: sw_token
grant_lifetime: $STATUSWIRE_TEST_LIFETIME
native_websocket: yes
token { secret_file: token.secret, issuer: "shop", audience: statuswire, leeway: 0 }
trusted_proxies: ["10.0.0.0/8", "2001:db8::7", "::ffff:192.0.2.1"]; proxy_protocol: on
limits { include "limits.conf", categories: 3, operations: 4, frames: 12, subscription_changes: 5, connections_per_user: 6, connections_per_address: 9,
  failed_logins: 8, upgrades_per_address: 13, upgrades: 10, handshakes: 11, dry_run: [categories, "upgrades"], payload: $LIMIT, queue: "2 MiB", control_line: 1k, connect_timeout: 1500ms }
keepalive { ping_interval: 90 }
retention { max_age: "5m", max_bytes: 5GB, max_per_subject: 10 }
callout { workers: 2, queue: 3 }
shutdown { drain: "1m", close_spread: "0.5s" }
`)
	o, err := config.Load(config.Files{Statuswire: file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, same := range map[string]bool{
		"http":              o.HTTP == "[::1]:9000",
		"allowed_origins":   strings.Join(o.Gateway.AllowedOrigins, " ") == "https://app.example.com https://*.example.org",
		"links":             o.Gateway.KeepLinks,
		"cookie":            o.Gateway.TokenCookie == "sw_token",
		"grant_lifetime":    o.Callout.GrantLifetime == 15*time.Minute,
		"native_websocket":  o.Engine.NativeWebSocket,
		"token.secret_file": string(o.Token.Secret) == secret,
		"token.issuer":      o.Token.Issuer == "shop",
		"token.audience":    o.Token.Audience == "statuswire",
		"trusted_proxies":   fmt.Sprint(o.Gateway.TrustedProxies) == "[10.0.0.0/8 2001:db8::7/128 192.0.2.1/32]",
		"proxy_protocol":    o.ProxyProtocol,
		"limits": o.Gateway.Limits == limit.Options{
			MeterRules: limit.MeterRules{
				Categories:    limit.Rule{Value: 3, DryRun: true},
				Subscriptions: limit.Rule{Value: 7},
				Operations:    limit.Rule{Value: 4},
			},
			Frames:                limit.Rule{Value: 12},
			SubscriptionChanges:   limit.Rule{Value: 5},
			ConnectionsPerUser:    limit.Rule{Value: 6},
			ConnectionsPerAddress: limit.Rule{Value: 9},
			FailedLogins:          limit.Rule{Value: 8},
			UpgradesPerAddress:    limit.Rule{Value: 13},
			Upgrades:              limit.Rule{Value: 10, DryRun: true},
			Handshakes:            limit.Rule{Value: 11},
		},
		"the grants' limits":    o.Callout.MaxCategories == 3 && o.Callout.MaxSubscriptions == 7 && o.Callout.ChangesPerMinute == 5,
		"limits.payload":        o.Gateway.MaxPayloadBytes == 128<<10 && o.Callout.MaxPayloadBytes == 128<<10,
		"limits.queue":          o.Gateway.MaxQueueBytes == 2<<20,
		"limits.control_line":   o.Gateway.MaxControlLineBytes == 1000,
		"limits.connect":        o.Gateway.ConnectTimeout == 1500*time.Millisecond,
		"keepalive":             o.Gateway.PingInterval == 90*time.Second && o.Gateway.PongTimeout == 0,
		"retention.max_age":     o.Engine.Retention.MaxAge == 5*time.Minute,
		"retention.max_bytes":   o.Engine.Retention.MaxBytes == 5<<30,
		"retention.per_subject": o.Engine.Retention.MaxPerSubject == 10,
		"callout":               o.Callout.Workers == 2 && o.Callout.QueueLength == 3,
		"shutdown.drain":        o.DrainTimeout == time.Minute,
		"shutdown.close_spread": o.Gateway.CloseSpread == 500*time.Millisecond,
	} {
		if !same {
			t.Errorf("%s did not arrive: %+v", name, o)
		}
	}
}

func TestAMissingFileIsAnErrorOnlyWhenItWasNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	o, err := config.Load(config.Files{}, nil)
	if err != nil {
		t.Fatalf("without files: %v", err)
	}
	if o.Engine.ConfigName != "built-in nats.conf" || o.HTTP != "127.0.0.1:8080" {
		t.Errorf("without files: got %q, %q", o.Engine.ConfigName, o.HTTP)
	}
	for _, f := range []config.Files{{Statuswire: "other.conf"}, {NATS: "other.conf"}} {
		_, err := config.Load(f, nil)
		if want := "other.conf: the configuration file cannot be read: no such file or directory"; err == nil || err.Error() != want {
			t.Errorf("%+v: got %v, want %s", f, err, want)
		}
	}
	write(t, "statuswire.conf", `http: "127.0.0.1:9999"`)
	natsConf := "# mine\n" + string(statuswire.DefaultNATSConfig())
	write(t, "nats.conf", natsConf)
	o, err = config.Load(config.Files{}, nil)
	if err != nil || o.HTTP != "127.0.0.1:9999" || o.Engine.ConfigName != "nats.conf" || string(o.Engine.Config) != natsConf {
		t.Errorf("the files of the working directory are not read: %q, %q, %v", o.HTTP, o.Engine.ConfigName, err)
	}
}

func FuzzParse(f *testing.F) {
	shipped, err := os.ReadFile("../statuswire.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shipped)
	files, _ := filepath.Glob("testdata/bad/*.conf")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, odd := range []string{
		"", "{", "}", "{ http: ':0' }", "http: ':0'}", "a: $a", "limits: $limits", "limits { limits { } }", "limits []",
		"limits { payload: 1kbb, queue: 9223372036854775807GB }", "links: 'close\x00'", "LIMITS { Subscriptions: 1 }",
		"retention.max_age: 24h", "allowed_origins: [[['*']]]", "http: 2006-01-02T15:04:05Z", "token { secret: $PATH }",
		"\ufefflinks: close", "a.b.c { d: 1 }", "token { secret: (\nmany\nlines\n)\n}",
	} {
		f.Add([]byte(odd))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(strings.ToLower(string(data)), "include") {
			t.Skip("reads files")
		}
		o, err := config.Parse("fuzz.conf", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "fuzz.conf:") {
				t.Errorf("an error without the file: %v", err)
			}
			return
		}
		if err := o.Gateway.Validate(); err != nil {
			t.Errorf("what the parser accepts, the gateway does not: %v", err)
		}
	})
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestACalloutOfOnesOwn(t *testing.T) {
	o, err := config.Parse("statuswire.conf", []byte("callout { external: true }"))
	if err != nil || !o.ExternalCallout {
		t.Errorf("%v, %v", o.ExternalCallout, err)
	}
	// The shipped nats.conf names none.
	file := filepath.Join(t.TempDir(), "my.conf")
	write(t, file, "callout { external: true }\n")
	_, err = config.Load(config.Files{Statuswire: file}, nil)
	for _, want := range []string{"needs a user for the service that decides logins", `must be allowed to subscribe to "$SYS._INBOX.>"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
