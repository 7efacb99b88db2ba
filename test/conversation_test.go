//go:build e2e

package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// result is what one run of the command line left.
type result struct {
	code     int
	out, err string
}

// command runs the binary with the data folder of s.
func (s *statuswire) command(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return commandLine(t, s.Bin, stdin, append(args, "--data", s.DataDir)...)
}

func commandLine(t *testing.T, bin, stdin string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = t.TempDir()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("%v: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// conversation is what --json prints.
type conversation struct {
	ID         string    `json:"id"`
	Owner      string    `json:"owner"`
	Members    []string  `json:"members"`
	Categories []string  `json:"categories"`
	Created    time.Time `json:"created"`
}

// conversations reads one object a line.
func conversations(t *testing.T, r result) []conversation {
	t.Helper()
	if r.code != 0 || r.err != "" {
		t.Fatalf("exit code %d, %s", r.code, r.err)
	}
	var list []conversation
	for line := range strings.Lines(r.out) {
		var c conversation
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		list = append(list, c)
	}
	return list
}

func TestAConversationsLife(t *testing.T) {
	s := startStatuswire(t)
	for _, step := range []struct {
		args []string
		want result
	}{
		{[]string{"list"}, result{0, "no conversations\n", ""}},
		{[]string{"create", "c1", "--owner", "alice", "--member", "bob", "--member", "d, e", "--category", "build"},
			result{0, "created c1: owner alice, members bob, \"d, e\"\n", ""}},
		{[]string{"create", "c1", "--owner", "mallory"}, result{1, "", `c1`}},
		{[]string{"add", "c1", "--member", "carol"}, result{0, "changed c1: owner alice, members bob, carol, \"d, e\"\n", ""}},
		{[]string{"add", "c1", "--member", "carol"}, result{0, "changed c1: owner alice, members bob, carol, \"d, e\"\n", ""}},
		{[]string{"remove", "c1", "--member", "bob", "--member", "d, e"}, result{0, "changed c1: owner alice, members carol\n", ""}},
		{[]string{"remove", "c1", "--member", "bob"}, result{0, "changed c1: owner alice, members carol\n", ""}},
		{[]string{"remove", "c1", "--member", "alice"}, result{1, "", `owner`}},
		{[]string{"show", "c2"}, result{1, "", "not found"}},
		{[]string{"add", "c2", "--member", "bob"}, result{1, "", "not found"}},
		{[]string{"delete", "c2"}, result{1, "", "not found"}},
		{[]string{"create", "c3", "--owner", "alice", "--category", "engine"}, result{1, "", "default category"}},
		{[]string{"delete", "c1"}, result{0, "deleted c1 and its statuses (0)\n", ""}},
		{[]string{"show", "c1"}, result{1, "", "not found"}},
		{[]string{"list"}, result{0, "no conversations\n", ""}},
	} {
		name := strings.Join(step.args, " ")
		got := s.command(t, "", append([]string{"conversation"}, step.args...)...)
		if got.code != step.want.code || got.out != step.want.out {
			t.Errorf("%s: got %+v, want %+v", name, got, step.want)
		}
		if step.want.err == "" && got.err != "" || !strings.Contains(got.err, step.want.err) {
			t.Errorf("%s: stderr is %q, want one with %q", name, got.err, step.want.err)
		}
		if got.code != 0 && (!strings.HasPrefix(got.err, "statuswire: ") || strings.Count(got.err, "\n") != 1) {
			t.Errorf("%s: stderr is not one line of statuswire: %q", name, got.err)
		}
	}
}

func TestConversationsForScripts(t *testing.T) {
	s := startStatuswire(t)
	made := conversations(t, s.command(t, "", "conversation", "create", "c1", "--owner", "alice", "--member", "bob", "--category", "build", "--json"))
	if len(made) != 1 || made[0].ID != "c1" || made[0].Owner != "alice" || !slices.Equal(made[0].Members, []string{"bob"}) ||
		!slices.Equal(made[0].Categories, []string{"build"}) || time.Since(made[0].Created).Abs() > time.Minute {
		t.Errorf("create printed %+v", made)
	}
	shown := conversations(t, s.command(t, "", "conversation", "show", "c1", "--json"))
	if len(shown) != 1 || !shown[0].Created.Equal(made[0].Created) || shown[0].Owner != "alice" {
		t.Errorf("show printed %+v", shown)
	}
	added := conversations(t, s.command(t, "", "conversation", "add", "c1", "--member", "carol", "--json"))
	if len(added) != 1 || !slices.Equal(added[0].Members, []string{"bob", "carol"}) {
		t.Errorf("add printed %+v", added)
	}
	conversations(t, s.command(t, "", "conversation", "create", "c0", "--owner", "zoe", "--json"))

	for owner, want := range map[string][]string{"": {"c0", "c1"}, "alice": {"c1"}, "nobody": nil} {
		args := []string{"conversation", "list", "--json"}
		if owner != "" {
			args = append(args, "--owner", owner)
		}
		var got []string
		for _, c := range conversations(t, s.command(t, "", args...)) {
			got = append(got, c.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("list of %q printed %v, want %v", owner, got, want)
		}
	}
}

func TestDeleteTakesTheStatusesAlong(t *testing.T) {
	s := startStatuswire(t)
	conversations(t, s.command(t, "", "conversation", "create", "c1", "--owner", "alice", "--json"))
	conversations(t, s.command(t, "", "conversation", "create", "c10", "--owner", "alice", "--json"))
	js := serviceJetStream(t, s)
	for _, subject := range []string{"status.c1.engine", "status.c1.tool", "status.c10.engine"} {
		if _, err := js.Publish(subject, []byte(`{"text":"hi"}`)); err != nil {
			t.Fatalf("publish %s: %v", subject, err)
		}
	}
	got := s.command(t, "", "conversation", "delete", "c1", "--json")
	if want := `{"id":"c1","purged":2}` + "\n"; got.code != 0 || got.out != want {
		t.Errorf("delete printed %+v, want %s", got, want)
	}
	got = s.command(t, "", "conversation", "delete", "c10")
	if want := "deleted c10 and its statuses (1)\n"; got.code != 0 || got.out != want {
		t.Errorf("delete printed %+v, want %s", got, want)
	}
}

// serviceJetStream connects as a service does.
func serviceJetStream(t *testing.T, s *statuswire) nats.JetStreamContext {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(filepath.Join(s.DataDir, "keys", "service.nk"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.NATS, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestImport(t *testing.T) {
	s := startStatuswire(t)
	lines := `{"id":"i1","owner":"alice","members":["bob"],"categories":["build"]}
{"id":"i2","owner":"alice"}

{"id":"i3","owner":"zoe"}
`
	file := filepath.Join(t.TempDir(), "conversations.jsonl")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name, stdin string
		args        []string
		code        int
		out         string
		err         []string // what each line holds
	}{
		{name: "a file", args: []string{file}, out: "created 3, updated 0, unchanged 0, failed 0\n"},
		{name: "the same again", args: []string{file}, out: "created 0, updated 0, unchanged 3, failed 0\n"},
		{name: "standard input", stdin: `{"id":"i2","owner":"bob"}`, args: []string{"-"}, out: "created 0, updated 1, unchanged 0, failed 0\n"},
		{name: "lines that fail", args: []string{"-"}, code: 1,
			stdin: `{"id":"i4","owner":"alice"}` + "\n" + `{"id":"i 5","owner":"alice"}` + "\n" + `nonsense` + "\n" + `{"id":"i6","ownr":"alice"}` + "\n",
			out:   "created 1, updated 0, unchanged 0, failed 3\n",
			err:   []string{"line 2: ", "line 3: ", "line 4: "}},
		{name: "no such file", args: []string{file + "x"}, code: 1, err: []string{"no such file"}},
	} {
		got := s.command(t, step.stdin, append([]string{"conversation", "import"}, step.args...)...)
		if got.code != step.code || got.out != step.out {
			t.Errorf("%s: got %+v, want exit code %d and %q", step.name, got, step.code, step.out)
		}
		told := slices.Collect(strings.Lines(got.err))
		if len(told) != len(step.err) {
			t.Errorf("%s: stderr is %q", step.name, got.err)
			continue
		}
		for i, want := range step.err {
			if !strings.HasPrefix(told[i], "statuswire: ") || !strings.Contains(told[i], want) {
				t.Errorf("%s: stderr line %q, want one with %q", step.name, told[i], want)
			}
		}
	}
}

func TestWhatListPrintsImportReads(t *testing.T) {
	from, to := startStatuswire(t), startStatuswire(t)
	for _, id := range []string{"c1", "c2", "c3"} {
		conversations(t, from.command(t, "", "conversation", "create", id, "--owner", "alice", "--member", "bob", "--category", "build", "--json"))
	}
	moved := from.command(t, "", "conversation", "list", "--json")
	got := to.command(t, moved.out, "conversation", "import", "-", "--json")
	if got.code != 0 || !strings.Contains(got.out, `"created":3`) {
		t.Fatalf("import: %+v", got)
	}
	if again := to.command(t, "", "conversation", "list", "--json"); again.out != moved.out {
		t.Errorf("the conversations differ:\n%s\n%s", again.out, moved.out)
	}
}

func TestCommandsThatReachNoServer(t *testing.T) {
	s := startStatuswire(t)
	stranger := startStatuswire(t)
	mixed := t.TempDir() // the address of one server, the keys of another
	for to, from := range map[string]string{
		filepath.Join(mixed, "endpoints.json"):      filepath.Join(s.DataDir, "endpoints.json"),
		filepath.Join(mixed, "keys", "operator.nk"): filepath.Join(stranger.DataDir, "keys", "operator.nk"),
	} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ data, want string }{
		"a folder that is not there":       {filepath.Join(mixed, "none"), "no server runs with the data folder"},
		"the key of another server":        {mixed, "runs with another data folder"},
		"a folder in which no server runs": {t.TempDir(), "start `statuswire serve --data "},
	} {
		got := commandLine(t, s.Bin, "", "conversation", "list", "--data", c.data)
		if got.code != 1 || got.out != "" || !strings.HasPrefix(got.err, "statuswire: ") || !strings.Contains(got.err, c.want) {
			t.Errorf("%s: got %+v, want %q", name, got, c.want)
		}
	}
}
