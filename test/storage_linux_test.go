//go:build e2e

package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/statuswire/statuswire/internal/identity"
	"github.com/statuswire/statuswire/internal/keys"
	"github.com/statuswire/statuswire/status"
)

// startOnSmallDisk starts a server whose streams are on a file system of so many
// MiB. It is mounted in a namespace of the server's own, which needs no root.
func startOnSmallDisk(t *testing.T, mib int) *statuswire {
	t.Helper()
	if out, err := exec.Command("unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt").CombinedOutput(); err != nil {
		t.Fatalf("this test mounts a small file system in a namespace of its own, which is refused here (%v: %s): "+
			"install util-linux, and allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, "+
			"sysctl kernel.apparmor_restrict_unprivileged_userns=0; in a container --cap-add SYS_ADMIN)", err, out)
	}
	dir := t.TempDir()
	for _, name := range []string{"streams", "disk"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mount := fmt.Sprintf(`mount -t tmpfs -o size=%dm,mode=700 none "$0/disk" && mount --bind "$0/disk" "$0/streams" && exec "$@"`, mib)
	return launchBy(t, []string{"unshare", "-Urm", "sh", "-c", mount, dir}, dir).whenReady(t)
}

// inNamespace runs a command where the server's file systems are.
func (s *statuswire) inNamespace(t *testing.T, args ...string) {
	t.Helper()
	in := []string{"-t", strconv.Itoa(s.cmd.Process.Pid), "-U", "-m", "--preserve-credentials"}
	if out, err := exec.Command("nsenter", append(in, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("nsenter (of util-linux) %v: %v: %s", args, err, out)
	}
}

// streams is the folder of the streams as the server sees it.
func (s *statuswire) streams() string {
	return filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "root", s.DataDir, "streams")
}

// fillDisk leaves no byte free, and returns what makes room again.
func (s *statuswire) fillDisk(t *testing.T) (free func()) {
	t.Helper()
	path := filepath.Join(s.streams(), "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// says waits for what a page of the server says.
func (s *statuswire) says(t *testing.T, path, want string) {
	t.Helper()
	var body string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		url := s.HTTP + path
		if path == "/metrics" {
			url = s.Metrics
		}
		res, err := http.Get(url)
		if err != nil {
			continue // it has no descriptor for us
		}
		text, err := io.ReadAll(res.Body)
		res.Body.Close()
		if body = string(text); err == nil && strings.Contains(body, want) {
			return
		}
	}
	t.Fatalf("%s says %q, want %q", path, body, want)
}

// longService publishes as a service does that reconnects, and knows what was
// acknowledged, and what was refused.
type longService struct {
	t       *testing.T
	js      jetstream.JetStream
	acked   []string
	refused []string
}

// told is false unless all is there that was acknowledged, in this order. What was
// refused since the store was in trouble may be there once, as after a lost
// acknowledgement: who publishes it again with the same Nats-Msg-Id has it once.
func (p *longService) told(got []string) bool {
	seen := map[string]bool{}
	rest := slices.DeleteFunc(slices.Clone(got), func(text string) bool {
		known := seen[text]
		seen[text] = true
		return !known && slices.Contains(p.refused, text)
	})
	return slices.Equal(rest, p.acked)
}

func newLongService(t *testing.T, s *statuswire) *longService {
	t.Helper()
	js, err := jetstream.New(connectAs(t, s, "service", nats.ReconnectWait(50*time.Millisecond), nats.MaxReconnects(-1)))
	if err != nil {
		t.Fatal(err)
	}
	return &longService{t: t, js: js}
}

func (p *longService) publish(text string, bytes int) error {
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	data := fmt.Appendf(nil, `{"text":%q,"metadata":{"filler":"%s"}}`, text, strings.Repeat("x", bytes))
	_, err := p.js.Publish(ctx, "status.c1.engine", data)
	if err == nil {
		p.acked = append(p.acked, text)
	} else {
		p.refused = append(p.refused, text)
	}
	return err
}

func (p *longService) must(texts ...string) {
	p.t.Helper()
	for _, text := range texts {
		if err := p.publish(text, 0); err != nil {
			p.t.Fatalf("publishing %q: %v", text, err)
		}
	}
}

// untilRefused publishes until it is refused, which must be by an answer that says
// that it may be tried again. A time-out is none.
func (p *longService) untilRefused(bytes int) error {
	p.t.Helper()
	for i := range 10_000 {
		err := p.publish(fmt.Sprintf("on the edge %d, %d refused before", i, len(p.refused)), bytes)
		if err == nil {
			continue
		}
		var api *jetstream.APIError
		if !errors.As(err, &api) || int(api.ErrorCode) != status.ErrUnavailable.ErrCode || api.Code != 503 {
			p.t.Fatalf("refused with %v, want the error 20030", err)
		}
		return err
	}
	p.t.Fatal("the disk does not get full")
	return nil
}

// aliceToken is alice's, made without the server: it may be busy.
func aliceToken(t *testing.T, s *statuswire) string {
	t.Helper()
	set, err := keys.Load(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.Issue(set.TokenSecret, "alice", time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// history is what is stored of c1, by HTTP.
func (s *statuswire) history(t *testing.T) (texts []string) {
	t.Helper()
	for after := uint64(0); ; {
		part, next, more := s.historyAfter(t, after)
		if texts, after = append(texts, part...), next; !more {
			return texts
		}
	}
}

func (s *statuswire) historyAfter(t *testing.T, after uint64) (texts []string, next uint64, more bool) {
	t.Helper()
	url := fmt.Sprintf("%s/v1/conversations/c1/history?limit=10000&after=%d", s.HTTP, after)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+aliceToken(t, s))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for dec := json.NewDecoder(res.Body); ; {
		var line struct {
			Status struct{ Text string }
			Error  any
			End    *struct {
				NextAfter uint64 `json:"next_after"`
				More      bool
			}
		}
		if err := dec.Decode(&line); err != nil || line.Error != nil {
			t.Fatalf("the history ends with %v, %v", err, line.Error)
		}
		if line.End != nil {
			return texts, line.End.NextAfter, line.End.More
		}
		texts = append(texts, line.Status.Text)
	}
}

// exactly checks that the follower, which listens from the beginning, has everything
// that was acknowledged, in order and once, and that its socket has stayed.
func (f *follower) exactly(service *longService) {
	f.t.Helper()
	acked := service.acked
	all := f.statuses(acked[len(acked)-1])
	if got := texts(all); !service.told(got) {
		f.t.Errorf("a browser has %d statuses, want %d, in this order: %q, want %q", len(got), len(acked), got, acked)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := count(f.lines, func(h heard) bool { return h.Event == "disconnect" }); n > 0 {
		f.t.Errorf("a browser was disconnected %d times", n)
	}
}

// tellsStorage checks what an operator finds afterwards in log and audit.
func (s *statuswire) tellsStorage(t *testing.T, cause string) {
	t.Helper()
	log := s.Log()
	if n := strings.Count(log, "a stream cannot store"); n == 0 || n > 8 {
		t.Errorf("the log says %d times that a stream cannot store", n)
	}
	if n := strings.Count(log, `msg="all streams store again"`); n != 1 {
		t.Errorf("the log says %d times that all is well again", n)
	}
	var reasons []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		reasons = nil
		for _, r := range auditOf(t, s) {
			if r.Kind == "storage" {
				reasons = append(reasons, r.Reason)
			}
		}
		all := strings.Join(reasons, "; ")
		if strings.Contains(all, cause) && strings.Contains(all, "all streams store again") {
			return
		}
	}
	t.Errorf("the audit says %q", reasons)
}

// A file system of 16 MiB is full for a moment: publishers are told at once, and
// when there is room again all is as it was, without a restart by anybody.
func TestAfterAFullDiskNothingCouldBePublishedUntilARestart(t *testing.T) {
	s := startOnSmallDisk(t, 16)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	var browsers []*follower
	for i, client := range unmodified {
		browsers = append(browsers, follow(t, s, s.WS, client, []string{tabID, "another-tab-6d1c1a9c7e21"}[i], "status.c1.*"))
	}
	service := newLongService(t, s)
	service.must(numbered("before", 20)...)

	free := s.fillDisk(t)
	service.untilRefused(32 << 10)
	s.says(t, "/readyz", "not ready: ")
	s.says(t, "/readyz", "stream STATUS cannot store: no space left on device")
	s.says(t, "/healthz", "ok")
	s.says(t, "/metrics", `statuswire_nats_stream_healthy{stream="STATUS"} 0`)
	if err := service.untilRefused(0); !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("the publisher is told %v", err)
	}
	// What is stored can be read meanwhile, and a browser can come.
	if got := s.history(t); !service.told(got) {
		t.Errorf("while the disk is full %d of %d statuses can be read", len(got), len(service.acked))
	}
	// An operator's changes go on as long as there is room in the last page, and are
	// then refused with the reason.
	var told string
	for i := 0; !strings.Contains(told, "no space left on device"); i++ {
		if i == 200 {
			t.Fatalf("the operator is told %q", told)
		}
		out, err := exec.Command(s.Bin, "conversation", "create", fmt.Sprint("full-", i), "--owner", "alice", "--data", s.DataDir).CombinedOutput()
		if told = ""; err != nil {
			told = string(out)
		}
	}

	free()
	s.says(t, "/readyz", "ready\n")
	service.must(numbered("after", 20)...)
	s.run(t, "conversation", "create", "c2", "--owner", "alice")
	if got := s.history(t); !service.told(got) {
		t.Errorf("of %d acknowledged statuses %d are stored", len(service.acked), len(got))
	}
	for _, f := range browsers {
		f.exactly(service)
	}
	s.tellsStorage(t, "no space left on device")
	if got := figures(t, metricsText(t, s))["statuswire_nats_restarts_total"]; got < 1 {
		t.Errorf("%v restarts are counted", got)
	}
}

// holdDescriptors leaves the server no file descriptor but those that it has, until
// the returned function is called.
func (s *statuswire) holdDescriptors(t *testing.T) (free func()) {
	t.Helper()
	pid := strconv.Itoa(s.cmd.Process.Pid)
	limit := func(soft string) {
		if out, err := exec.Command("prlimit", "--pid", pid, "--nofile="+soft+":").CombinedOutput(); err != nil {
			t.Fatalf("prlimit (of util-linux): %v: %s", err, out)
		}
	}
	open, err := os.ReadDir(filepath.Join("/proc", pid, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	limits, err := exec.Command("prlimit", "--pid", pid, "--nofile", "--output=SOFT", "--noheadings").Output()
	if err != nil {
		t.Fatalf("prlimit (of util-linux): %v", err)
	}
	limit(strconv.Itoa(len(open) / 2))
	return func() { limit(strings.TrimSpace(string(limits))) }
}

// The server has no file descriptor left, for whatever reason: publishers are told at
// once, and when there are some again all is as it was.
func TestAfterALackOfDescriptorsNothingCouldBePublishedUntilARestart(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	browser := follow(t, s, s.WS, unmodified[0], tabID, "status.c1.*")
	service := newLongService(t, s)
	service.must(numbered("before", 20)...)

	free := s.holdDescriptors(t)
	// A stream opens a file when a block is full, at the latest.
	service.untilRefused(60 << 10)
	if err := service.untilRefused(0); !strings.Contains(err.Error(), "too many open files") {
		t.Errorf("the publisher is told %v", err)
	}

	free()
	s.says(t, "/readyz", "ready\n")
	service.must(numbered("after", 20)...)
	browser.exactly(service)
	if got := s.history(t); !service.told(got) {
		t.Errorf("of %d acknowledged statuses %d are stored", len(service.acked), len(got))
	}
	s.tellsStorage(t, "too many open files")
}

// Somebody removes the folder of the streams while the server runs. The statuses are
// gone, which everybody is told; the conversations are in memory and are written again.
func TestAFolderOfStreamsThatIsRemovedIsMadeAnewAndToldAsAReset(t *testing.T) {
	s := startStatuswire(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice", "--member", "bob")
	token := aliceToken(t, s)
	events := startCurl(t, s, "c1/events", token)
	service := newLongService(t, s)
	service.must(numbered("old", 20)...)
	id := events.expect(numbered("old", 20)...)

	if err := os.RemoveAll(filepath.Join(s.DataDir, "streams")); err != nil {
		t.Fatal(err)
	}
	s.says(t, "/readyz", "it is not there any more")
	s.says(t, "/readyz", "ready\n")
	if got := s.run(t, "conversation", "show", "c1"); !strings.Contains(got, "alice") || !strings.Contains(got, "bob") {
		t.Errorf("the conversation is now %q", got)
	}
	service.acked = nil
	service.must(numbered("new", 20)...)
	startCurl(t, s, "c1/events", token, "-H", "Last-Event-ID: "+id).expectReset(numbered("new", 20)...)
	if log := s.Log(); !strings.Contains(log, "what was stored in it is gone") {
		t.Error("the log does not say that something is gone")
	}
	s.tellsStorage(t, "stream STATUS began anew")

	// It is on the disk: the next process has all of it.
	if err := s.Stop(); err != nil {
		t.Errorf("the end: %v", err)
	}
	again := startStatuswireIn(t, s.DataDir)
	if got := again.run(t, "conversation", "show", "c1"); !strings.Contains(got, "bob") {
		t.Errorf("after a restart the conversation is %q", got)
	}
	if got := again.history(t); !service.told(got) {
		t.Errorf("after a restart %d of %d statuses are stored", len(got), len(service.acked))
	}
}

// 270 sockets push in where there are 128 descriptors, browsers' and services' alike:
// the streams go on.
func TestSocketsThatTakeAllDescriptorsCouldEndTheStreams(t *testing.T) {
	dir := t.TempDir()
	s := launchBy(t, []string{"prlimit", "--nofile=128:128"}, dir).whenReady(t)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	service := newLongService(t, s)
	service.must(numbered("before", 20)...)
	var sockets []net.Conn
	push := func(address string, n int) {
		for range n {
			// The kernel takes them all; the server takes what it can.
			conn, err := net.DialTimeout("tcp", address, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			sockets = append(sockets, conn)
		}
	}
	push(strings.TrimPrefix(s.HTTP, "http://"), 70)
	push(strings.TrimPrefix(s.NATS, "nats://"), 200)
	for i := range 300 { // 18 MB: more than one block
		err := service.publish(fmt.Sprint("meanwhile ", i), 60<<10)
		var api *jetstream.APIError
		if err != nil && (!errors.As(err, &api) || api.Code != 503) {
			t.Fatalf("a publisher is told %v", err)
		}
	}
	for _, conn := range sockets {
		_ = conn.Close()
	}
	s.says(t, "/readyz", "ready\n")
	service.must(numbered("after", 20)...)
	s.run(t, "conversation", "create", "c2", "--owner", "alice")
	if got := s.history(t); !service.told(got) {
		t.Errorf("of %d acknowledged statuses %d are stored", len(service.acked), len(got))
	}
	t.Logf("%d of 340 statuses were acknowledged", len(service.acked))
}

// The volume of the streams is unmounted under the server, and mounted again: it is
// not taken for an empty one.
func TestAVolumeThatIsNotMountedIsWaitedForAndNotMadeAnew(t *testing.T) {
	s := startOnSmallDisk(t, 16)
	s.run(t, "conversation", "create", "c1", "--owner", "alice")
	browser := follow(t, s, s.WS, unmodified[0], tabID, "status.c1.*")
	service := newLongService(t, s)
	service.must(numbered("before", 20)...)

	s.inNamespace(t, "umount", "-l", filepath.Join(s.DataDir, "streams"))
	s.says(t, "/readyz", "it is not there any more")
	service.untilRefused(0)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.Log(), "is on another volume than at the start"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the log does not say what is waited for")
		}
	}
	if left, err := os.ReadDir(s.streams()); err != nil || len(left) > 0 {
		t.Errorf("where the volume was there is now %v, %v", left, err)
	}

	s.inNamespace(t, "mount", "--bind", filepath.Join(s.DataDir, "disk"), filepath.Join(s.DataDir, "streams"))
	s.says(t, "/readyz", "ready\n")
	service.must(numbered("after", 20)...)
	browser.exactly(service)
	if got := s.history(t); !service.told(got) {
		t.Errorf("of %d acknowledged statuses %d are stored", len(service.acked), len(got))
	}
}
