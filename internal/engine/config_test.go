package engine_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/statuswire/statuswire"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/keys"
)

// lineOf is the number of the first line that holds the text.
func lineOf(t *testing.T, config, text string) int {
	t.Helper()
	for i, line := range strings.Split(config, "\n") {
		if strings.Contains(line, text) {
			return i + 1
		}
	}
	t.Fatalf("nats.conf has no %q", text)
	return 0
}

func TestFaultsInNATSConfAreNamedByFileAndLine(t *testing.T) {
	shipped := string(statuswire.DefaultNATSConfig())
	for _, c := range []struct {
		name string
		old  string // in the shipped file, replaced by
		new  string
		at   string // text in the faulty file on whose line the error is; "" = no line
		want string
	}{
		{"an unknown key at the top", "max_pending: 8MB", "max_pending: 8MB\nmax_pendng: 8MB", "max_pendng", `unknown field "max_pendng"`},
		{"an unknown key in an account", "jetstream: enabled", "jetstream: enabled, jetsteam: x", "jetsteam", `unknown field "jetsteam"`},
		{"an unknown key of a permission", `subscribe: { allow: ["_INBOX_gateway.>"] }`, `subscrib: { allow: ["_INBOX_gateway.>"] }`, "subscrib:", `"subscrib"`},
		{"an unknown variable", "$FANOUT_KEY, perm", "$FANUOT_KEY, perm", "$FANUOT_KEY, perm", "variable $FANUOT_KEY is neither in the environment nor one of $ADMIN_KEY"},
		{"a subject that is none", `"edge.*.*.*"] }`, `"edge..x"] }`, `"edge..x"`, "not a valid subject"},
		{"a wrong type", "proxy_protocol: true", "proxy_protocol: 7", "proxy_protocol: 7", "bool"},
		{"a bracket that is never closed", "\n  AUTH {", "\n  AUTH [", "", ""},
		{"a string that is never closed", `["edge.*.*.*"] }`, `["edge.*.*.*] }`, "", ""},
		{"a number out of range", "max_pending: 8MB", "max_pending: 99999999999999999999", "", "out of the range"},

		{"no JetStream", "sync_interval: 1s", "enabled: false", "jetstream {", "jetstream is not enabled"},
		{"no PROXY protocol", "proxy_protocol: true", "proxy_protocol: false", "proxy_protocol: false", "proxy_protocol must be true"},
		{"producers that stall", "no_fast_producer_stall: true", "", "", "no_fast_producer_stall must be true"},
		{"no bound of slow readers", "max_pending: 8MB", "max_pending: 1GB", "max_pending: 1GB", "max_pending must be between"},
		{"another system account", "system_account: SYS", "system_account: AUTH", "system_account: AUTH", "system_account must be SYS"},
		{"no mapping", `"status.*.*": "submit.$1.$2"`, "", "\n    mappings: {", "needs mappings"},
		{"another mapping", `"submit.$1.$2"`, `"ingest.$1.$2"`, "ingest.$1.$2", "needs mappings"},
		{"an account without JetStream", "jetstream: enabled", "", "\n  STATUS {", "needs jetstream: enabled"},
		{"a part without a user", "nkey: $FANOUT_KEY", "nkey: " + strangerKey(t), "", "the user { nkey: $FANOUT_KEY } is missing"},
		{"a part that may publish everything", `publish: { allow: ["edge.*.*.*"] }`, "", "", "$GATEWAY_KEY needs an allow list"},
		{"a part that may hear everything", `subscribe: { allow: ["_INBOX_audit.>"] }`, "", "", "$AUDIT_KEY needs an allow list"},
		{"a part that the callout would be asked for", "$STATE_STREAMS_KEY, $CALLOUT_KEY", "$STATE_STREAMS_KEY", "auth_users: [", "auth_users must name $CALLOUT_KEY"},
		{"a service that the callout would be asked for", "$SERVICE_KEY, $OPERATOR_KEY, $VIEWER_KEY", "$OPERATOR_KEY, $VIEWER_KEY", "auth_users: [", "auth_users must name $SERVICE_KEY"},
		{"the server's own account without JetStream", "  STATE {\n    jetstream: enabled", "  STATE {", "  STATE {", "account STATE needs jetstream: enabled"},
		{"operators with JetStream", "  OPS {\n", "  OPS {\n    jetstream: enabled\n", "", "account OPS must not have JetStream"},
		{"operators among the services", "nkey: $SERVICE_KEY", "nkey: $OPERATOR_KEY", "", "the user $OPERATOR_KEY must be in account OPS"},
		{"the key of reports among the services", "nkey: $SERVICE_KEY", "nkey: $SYSTEM_KEY", "", "the user $SYSTEM_KEY must be in account OPS"},
		{"a part in another account", "nkey: $PRESENCE_KEY", "nkey: $MARKS_KEY", "", "the user $MARKS_KEY must be in account STATE"},
		{"a client among what the server keeps for itself", "      { nkey: $DIRECTORY_KEY", "      { nkey: " + strangerKey(t) + " }\n      { nkey: $DIRECTORY_KEY", "", "must not be in account STATE"},
		{"a client in the system account", "  SYS {\n", "  SYS {\n    users: [ { user: ops, password: secret } ]\n", "", "the user ops must not be in account SYS"},
		{"an operator who may ask in anybody's name", `"admin.key.*.operator", "admin.why.operator"` + "\n", `"admin.>"` + "\n", "", "in the name of any key"},
		{"another issuer", "issuer: $ISSUER_KEY", "issuer: ADXQUMSUUJZQZ2QXV7WVU7UVTK2WJPHQKYRBOCVKJXCUTVMLHT2YUPIR", "", ""},
		{"another callout account", "account: AUTH", "account: SYS", "    account: SYS", "must be AUTH"},
		{"a listener for browsers that nobody asked for", "\nsystem_account: SYS", "\nwebsocket { listen: 127.0.0.1:8443, no_tls: true }\nsystem_account: SYS", "\nwebsocket {", "native_websocket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(shipped, c.old) {
				t.Fatalf("nats.conf has no %q any more", c.old)
			}
			faulty := strings.Replace(shipped, c.old, c.new, 1)
			for _, moved := range []string{"$OPERATOR_KEY", "$SYSTEM_KEY", "$MARKS_KEY"} { // it cannot be there twice
				if at := strings.LastIndex(faulty, "nkey: "+moved); strings.Count(faulty, "nkey: "+moved) == 2 {
					faulty = faulty[:at] + "nkey: " + strangerKey(t) + faulty[at+len("nkey: "+moved):]
				}
			}
			opts := options(t)
			opts.Config, opts.ConfigName = []byte(faulty), "etc/my.conf"
			_, err := engine.New(opts)
			var fault *engine.ConfigError
			if !errors.As(err, &fault) {
				t.Fatalf("error %v is no ConfigError", err)
			}
			if fault.File != "etc/my.conf" || !strings.HasPrefix(err.Error(), "etc/my.conf:") {
				t.Errorf("error %q does not begin with the file", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want one with %q", err, c.want)
			}
			if c.at != "" {
				text := strings.TrimPrefix(c.at, "\n")
				if want := lineOf(t, faulty, text); fault.Line != want {
					t.Errorf("error %q on line %d, want %d", err, fault.Line, want)
				}
			}
		})
	}
}

func strangerKey(t *testing.T) string {
	t.Helper()
	set, err := keys.Load(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	public, err := set.Service.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestEveryFaultIsReportedInTheOrderOfTheLines(t *testing.T) {
	text := strings.NewReplacer("proxy_protocol: true", "proxy_protocl: true", "timeout: 2", "timeot: 2").Replace(string(statuswire.DefaultNATSConfig()))
	opts := options(t)
	opts.Config = []byte(text)
	_, err := engine.New(opts)
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "proxy_protocl") || !strings.Contains(lines[1], "timeot") {
		t.Errorf("errors:\n%v", err)
	}
}

func TestAFaultInAnIncludedFileNamesThatFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile(filepath.Join(dir, "extra.conf"), []byte("\n\nmax_pendng: 8MB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := options(t)
	opts.Config = append(statuswire.DefaultNATSConfig(), "\ninclude extra.conf\n"...)
	_, err := engine.New(opts)
	if err == nil || err.Error() != `extra.conf:3: unknown field "max_pendng"` {
		t.Errorf("error %v", err)
	}
}

func TestAByteOrderMarkAndUnusedVariablesDoNoHarm(t *testing.T) {
	text := strings.Replace("\ufeff"+string(statuswire.DefaultNATSConfig()), "$SERVICE_KEY, $OPERATOR_KEY, $VIEWER_KEY", "$OPERATOR_KEY, $VIEWER_KEY", 1)
	head, tail, _ := strings.Cut(text, "{ nkey: $SERVICE_KEY")
	_, tail, _ = strings.Cut(tail, "\n\n") // to the end of this user
	opts := options(t)
	opts.Config = []byte(head + "\n" + tail)
	if _, err := engine.New(opts); err != nil {
		t.Error(err)
	}
}

func TestCalloutsAreSealedOnlyWhenTheyCanLeaveTheProcess(t *testing.T) {
	shipped := string(statuswire.DefaultNATSConfig())
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"as shipped", shipped, false},
		{"with an xkey", strings.Replace(shipped, "account: AUTH", "account: AUTH\nxkey: $SEAL_KEY", 1), true},
		{"in a cluster", shipped + "\ncluster { name: c, listen: 127.0.0.1:-1 }\n", true},
		{"with leaf nodes", shipped + "\nleafnodes { listen: 127.0.0.1:-1 }\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := options(t)
			opts.Config = []byte(c.text)
			e, err := engine.New(opts)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.SealsCallouts(); got != c.want {
				t.Errorf("SealsCallouts %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheNativeWebSocketIsThereWhenAskedFor(t *testing.T) {
	opts := options(t)
	opts.Config = append(statuswire.DefaultNATSConfig(), "\nwebsocket { listen: 127.0.0.1:-1, no_tls: true }\n"...)
	opts.NativeWebSocket = true
	e, err := engine.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if !e.NativeWebSocket() {
		t.Error("NativeWebSocket is false")
	}
}

func TestTheProgramHandlesSignalsAndLogsItself(t *testing.T) {
	opts := options(t)
	opts.Config = append(statuswire.DefaultNATSConfig(), "\ntrace: true\n"...)
	e, err := engine.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if o := e.ServerOptions(); !o.NoSigs || !o.NoLog {
		t.Errorf("NoSigs %v, NoLog %v", o.NoSigs, o.NoLog)
	}
}

func TestOptionsThatCannotBeUsedAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*engine.Options)
		want string
	}{
		{"no keys", func(o *engine.Options) { o.Keys = nil }, "keys are missing"},
		{"no folder", func(o *engine.Options) { o.StoreDir = "" }, "folder of the streams is missing"},
		{"an address without a port", func(o *engine.Options) { o.Listen = "localhost" }, `"localhost" is not host:port`},
		{"a port that is none", func(o *engine.Options) { o.Listen = "localhost:nats" }, "number from 0 to 65535"},
		{"a port too high", func(o *engine.Options) { o.Listen = "localhost:70000" }, "number from 0 to 65535"},
		{"a short age", func(o *engine.Options) { o.Retention.MaxAge = 1 }, "too short"},
		{"few bytes", func(o *engine.Options) { o.Retention.MaxBytes = 10 }, "too small"},
		{"a negative count", func(o *engine.Options) { o.Retention.MaxPerSubject = -1 }, "negative"},
		{"many replicas", func(o *engine.Options) { o.Replicas = 7 }, "1 to 5"},
		{"a negative timeout", func(o *engine.Options) { o.ReadyTimeout = -1 }, "negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			opts := options(t)
			c.set(&opts)
			if _, err := engine.New(opts); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestNoErrorShowsASeed(t *testing.T) {
	opts := options(t)
	for _, text := range []string{"x", "accounts { STATUS { users: [ $SERVICE_KEY ] } }", "authorization { token: $ISSUER_KEY }"} {
		opts.Config = []byte(text)
		_, err := engine.New(opts)
		if err == nil {
			t.Fatalf("no error for %q", text)
		}
		for _, word := range strings.FieldsFunc(err.Error(), func(r rune) bool { return !('A' <= r && r <= 'Z' || '2' <= r && r <= '7') }) {
			if strings.HasPrefix(word, "SU") && len(word) > 50 || strings.HasPrefix(word, "SA") && len(word) > 50 {
				t.Errorf("error %q shows a seed", err)
			}
		}
	}
	if !slices.Contains(engine.Parts(), engine.PartCallout) {
		t.Error("the callout is no part")
	}
}

func TestWhoHearsNoPresenceNeedsNotBeDeniedItsGroups(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	for subjects, want := range map[string][]string{
		`"status.*.engine"`: {"status.> browsers.>"},
		`"presence.*"`:      {"presence.> browsers.>"},
		`">"`:               {"status.> browsers.>", "presence.> browsers.>"},
		`"other.>"`:         nil,
		``:                  {"status.> browsers.>", "presence.> browsers.>"}, // all that there is
	} {
		permissions := ""
		if subjects != "" {
			permissions = ", permissions: { subscribe: { allow: [" + subjects + "] } }"
		}
		var log bytes.Buffer
		opts := options(t)
		opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
		opts.Config = []byte(strings.Replace(string(statuswire.DefaultNATSConfig()), "users: [",
			"users: [ { nkey: "+public+permissions+" }", 1))
		if _, err := engine.New(opts); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{"status.> browsers.>", "presence.> browsers.>"} {
			if got := strings.Contains(log.String(), `deny="`+line+`"`); got != slices.Contains(want, line) {
				t.Errorf("who may hear %s, warned of %s: %v: %s", subjects, line, got, log.String())
			}
		}
	}
}

func TestAUserWhoMayTakeFromAGroupOfBrowsersIsNamed(t *testing.T) {
	const line = `deny: ["status.> browsers.>", "presence.> browsers.>"]`
	for i, text := range []string{
		string(statuswire.DefaultNATSConfig()),
		strings.Replace(string(statuswire.DefaultNATSConfig()), line, "", 1),
	} {
		var log bytes.Buffer
		opts := options(t)
		opts.Config, opts.Logger = []byte(text), slog.New(slog.NewTextHandler(&log, nil))
		if _, err := engine.New(opts); err != nil {
			t.Fatal(err)
		}
		service, err := opts.Keys.Service.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(log.String(), "queue groups of browsers"); n != 2*i || n > 0 && !strings.Contains(log.String(), service) {
			t.Errorf("%d warnings, want %d: %s", n, 2*i, log.String())
		}
	}
}
