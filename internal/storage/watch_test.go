package storage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/storage"
)

// disk is an engine whose streams fail and come back as the test says. A stream that
// has failed stays so until a restart at which the disk is well.
type disk struct {
	dir      string
	troubled chan struct{}

	mu       sync.Mutex // guards what follows
	faults   []storage.Fault
	well     bool          // a restart helps
	restarts []time.Time   // when they began
	errs     error         // what a restart returns; nil: it works
	anew     []string      // what begins anew with a restart
	hang     chan struct{} // not nil: Inspect waits for it
}

func newDisk(t *testing.T) *disk {
	return &disk{dir: t.TempDir(), troubled: make(chan struct{}, 1), well: true}
}

func (d *disk) Streams() []string         { return []string{"STATUS", "AUDIT"} }
func (d *disk) StoreDir() string          { return d.dir }
func (d *disk) Troubled() <-chan struct{} { return d.troubled }

func (d *disk) Inspect() []storage.Fault {
	d.mu.Lock()
	hang := d.hang
	d.mu.Unlock()
	if hang != nil {
		<-hang
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.faults)
}

func (d *disk) Restart(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restarts = append(d.restarts, time.Now())
	if d.errs != nil {
		return nil, d.errs
	}
	if d.well {
		d.faults = nil
	}
	return d.anew, nil
}

func (d *disk) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *disk) times() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.restarts)
}

var full = storage.Fault{Stream: "STATUS", Cause: "no space left on device", Detail: "write /x/1.blk: no space left on device", Stays: true}

// told is what a watch has said.
type told struct {
	mu  sync.Mutex // guards all
	all []storage.Change
}

func (o *told) hear(c storage.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, c)
}

func (o *told) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, c := range o.all {
		for _, f := range c.Failed {
			all = append(all, f.Error())
		}
		if c.Recovered {
			all = append(all, fmt.Sprintf("recovered after %v anew %v", c.Lasted, c.Anew))
		}
	}
	return strings.Join(all, "; ")
}

func watch(t *testing.T, d *disk, opts storage.Options) (*storage.Watch, *told) {
	t.Helper()
	heard := &told{}
	opts.OnChange = heard.hear
	w, err := storage.New(d, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, heard
}

func stop(t *testing.T, w *storage.Watch) {
	t.Helper()
	if err := w.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestAStreamThatFailsIsToldAndBroughtBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		w, heard := watch(t, d, storage.Options{})
		defer stop(t, w)
		time.Sleep(3500 * time.Millisecond)
		if w.Fault("STATUS") != nil || w.Alive() != nil || heard.String() != "" {
			t.Fatalf("all is well, and it says %v", heard)
		}
		d.set(func() { d.faults = []storage.Fault{full} })
		d.troubled <- struct{}{}
		synctest.Wait()
		if w.Fault("STATUS") == nil {
			t.Error("it was not looked at when the server had logged an error")
		}
		if w.Fault("AUDIT") != nil {
			t.Error("a stream that is well counts as failing")
		}
		time.Sleep(2 * time.Second)
		if len(d.times()) != 1 || w.Restarts() != 1 || w.Fault("STATUS") != nil || w.Faults() != nil {
			t.Errorf("restarts %v, faults %v", d.times(), w.Faults())
		}
		const want = "stream STATUS cannot store: no space left on device; recovered after 500ms anew []"
		if heard.String() != want {
			t.Errorf("heard %q, want %q", heard, want)
		}
	})
}

func TestADiskThatStaysFullCausesNoRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		// A folder in the place of the probe's file cannot be written to.
		blocked := filepath.Join(d.dir, "probe.tmp")
		if err := os.Mkdir(blocked, 0o700); err != nil {
			t.Fatal(err)
		}
		w, _ := watch(t, d, storage.Options{})
		defer stop(t, w)
		d.set(func() { d.faults = []storage.Fault{full} })
		time.Sleep(time.Hour)
		if n := len(d.times()); n != 0 {
			t.Errorf("%d restarts while nothing can be written", n)
		}
		if w.Alive() != nil {
			t.Errorf("a full disk is no reason to kill the process: %v", w.Alive())
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if len(d.times()) != 1 || w.Faults() != nil {
			t.Errorf("10 s after the cause has gone: restarts %v, faults %v", d.times(), w.Faults())
		}
		if left, _ := os.ReadDir(d.dir); len(left) != 0 {
			t.Errorf("the probe has left %v", left)
		}
	})
}

func TestACauseThatComesBackIsMetMoreAndMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		w, _ := watch(t, d, storage.Options{})
		defer stop(t, w)
		d.set(func() { d.well = false; d.faults = []storage.Fault{full} })
		time.Sleep(30 * time.Minute)
		times := d.times()
		if n := len(times); n < 20 || n > 40 {
			t.Errorf("%d restarts in half an hour of a disk that fails at once", n)
		}
		var last time.Duration
		for i := 1; i < len(times); i++ {
			wait := times[i].Sub(times[i-1])
			if wait < last-time.Second || wait > 62*time.Second {
				t.Errorf("restart %d came %v after the one before, which had waited %v", i, wait, last)
			}
			last = wait
		}
		// After a quiet time the next failure is met at once again.
		d.set(func() { d.well = true })
		time.Sleep(20 * time.Minute)
		before := len(d.times())
		d.set(func() { d.faults = []storage.Fault{full} })
		time.Sleep(3 * time.Second)
		if n := len(d.times()); n != before+1 {
			t.Errorf("%d restarts after a quiet time, want 1", n-before)
		}
	})
}

func TestRestartsThatGoOnFailingEndInGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		w, _ := watch(t, d, storage.Options{})
		defer stop(t, w)
		d.set(func() { d.errs = errors.New("address already in use"); d.faults = []storage.Fault{full} })
		time.Sleep(4 * time.Minute)
		if w.Alive() != nil {
			t.Fatalf("given up too early: %v", w.Alive())
		}
		select {
		case <-w.Dead():
		case <-time.After(10 * time.Minute):
			t.Fatal("it never gives up")
		}
		if err := w.Alive(); err == nil || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("it says %v", err)
		}
	})
}

func TestAServerThatDoesNotEndIsGivenUpAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		w, _ := watch(t, d, storage.Options{})
		defer stop(t, w)
		d.set(func() { d.errs = fmt.Errorf("%w: after 30s", storage.ErrStuck); d.faults = []storage.Fault{full} })
		select {
		case <-w.Dead():
		case <-time.After(5 * time.Second):
			t.Fatal("it is not given up")
		}
		if !errors.Is(w.Alive(), storage.ErrStuck) {
			t.Errorf("it says %v", w.Alive())
		}
	})
}

func TestADiskThatHangsCountsAsFailingAndInTheEndAsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		w, heard := watch(t, d, storage.Options{})
		defer stop(t, w)
		hang := make(chan struct{})
		d.set(func() { d.hang = hang })
		time.Sleep(30 * time.Second)
		if err := w.Fault("STATUS"); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("after 30 s: %v", err)
		}
		if w.Alive() != nil {
			t.Errorf("30 s are no reason to kill the process: %v", w.Alive())
		}
		time.Sleep(2 * time.Minute)
		if w.Alive() == nil {
			t.Error("the storage hangs for minutes, and the process counts as alive")
		}
		d.set(func() { d.hang = nil })
		close(hang)
		time.Sleep(3 * time.Second)
		if w.Faults() != nil || w.Alive() != nil || !strings.HasSuffix(heard.String(), "anew []") {
			t.Errorf("when it answers again: faults %v, alive %v, heard %s", w.Faults(), w.Alive(), heard)
		}
		if n := len(d.times()); n != 0 {
			t.Errorf("%d restarts for a disk that only was slow", n)
		}
	})
}

func TestAStreamThatIsAwayForAMomentIsNotMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		w, heard := watch(t, d, storage.Options{})
		defer stop(t, w)
		time.Sleep(500 * time.Millisecond)
		gone := storage.Fault{Stream: "STATUS", Cause: "it is not there any more", Stays: true, Gone: true}
		d.set(func() { d.faults = []storage.Fault{gone} })
		time.Sleep(time.Second) // one look
		d.set(func() { d.faults = nil })
		time.Sleep(10 * time.Second)
		if n := len(d.times()); n != 0 {
			t.Errorf("%d restarts although somebody has made it anew by hand", n)
		}
		d.set(func() { d.faults = []storage.Fault{gone}; d.anew = []string{"STATUS"} })
		time.Sleep(5 * time.Second)
		if n := len(d.times()); n != 1 {
			t.Errorf("%d restarts for a stream that stays away", n)
		}
		if !strings.HasSuffix(heard.String(), "anew [STATUS]") {
			t.Errorf("nobody was told what is gone: %s", heard)
		}
	})
}

func TestWhatPassesByItselfNeedsNoRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk(t)
		w, heard := watch(t, d, storage.Options{})
		defer stop(t, w)
		d.set(func() { d.faults = []storage.Fault{{Stream: "AUDIT", Cause: "too many open files"}} })
		time.Sleep(time.Minute)
		if w.Fault("AUDIT") == nil || len(d.times()) != 0 {
			t.Errorf("fault %v, restarts %v", w.Fault("AUDIT"), d.times())
		}
		d.set(func() { d.faults = nil })
		time.Sleep(2 * time.Second)
		if w.Faults() != nil || !strings.Contains(heard.String(), "recovered") {
			t.Errorf("faults %v, heard %s", w.Faults(), heard)
		}
	})
}

func TestAWatchHasOneLife(t *testing.T) {
	d := newDisk(t)
	w, _ := watch(t, d, storage.Options{})
	if err := w.Start(t.Context()); !errors.Is(err, storage.ErrStarted) {
		t.Errorf("second Start: %v", err)
	}
	stop(t, w)
	stop(t, w)
	never, err := storage.New(d, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stop(t, never)
	if err := never.Start(t.Context()); !errors.Is(err, storage.ErrStarted) {
		t.Errorf("Start after Stop: %v", err)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]storage.Options{
		"every":        {Every: -1},
		"probe bytes":  {ProbeBytes: -1},
		"probe files":  {ProbeFiles: -1},
		"longest wait": {LongestWait: -time.Second},
	} {
		if _, err := storage.New(newDisk(t), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestACauseNamesNoPath(t *testing.T) {
	for text, want := range map[string]string{
		"JetStream stream 'STATUS > STATUS' write error: write /data/streams/1.blk: no space left on device": "no space left on device",
		"open /data/x: too many open files":  "too many open files",
		"read /data/x: input/output error":   "input/output error",
		"something else about /data/secrets": "write error",
	} {
		if got := storage.Cause(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
