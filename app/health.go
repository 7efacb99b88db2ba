package app

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/statuswire/statuswire/internal/audit"
	"github.com/statuswire/statuswire/internal/engine"
	"github.com/statuswire/statuswire/internal/history"
	"github.com/statuswire/statuswire/internal/metrics"
	"github.com/statuswire/statuswire/internal/storage"
)

// makeStorage makes the watch over the streams. What asks it before it is started
// hears that all is well.
func (a *App) makeStorage() (err error) {
	opts := a.opts.Storage
	opts.Logger = a.log
	opts.OnChange = a.storageChanged
	a.storage, err = storage.New(a.engine, opts)
	return err
}

// storable says whether a stream can store, for the part that writes to it.
func (a *App) storable(stream string) func() error {
	return func() error { return a.storage.Fault(stream) }
}

// storageChanged tells who waits for a stream that has failed, and the audit, which
// writes when it can.
func (a *App) storageChanged(c storage.Change) {
	for _, f := range c.Failed {
		if f.Stream == engine.StreamStatus {
			// At the last look it did store, but that took a moment.
			a.broadcaster.StreamFailed(c.Good.Add(-a.storage.LookTime()))
		}
		a.audit.Record(audit.Event{Kind: audit.KindStorage, Subject: f.Stream, Reason: f.Error()})
	}
	if !c.Recovered {
		return
	}
	if slices.Contains(c.Anew, engine.StreamStatus) {
		// Nothing is stored before this has returned: nobody takes a status of the new
		// stream for one of the old. What was read of its epoch must be too old first.
		time.Sleep(history.EpochFresh)
		a.fanout.CheckEpoch()
	}
	a.awaitViews()
	for _, name := range c.Anew {
		a.audit.Record(audit.Event{Kind: audit.KindStorage, Subject: name, Reason: "stream " + name + " began anew, empty: what was stored in it is gone"})
	}
	a.audit.Record(audit.Event{Kind: audit.KindStorage, Reason: "all streams store again after " + c.Lasted.String()})
}

// awaitViews waits for the directory and the keyring, which read their buckets again
// behind a restart, and write them again when they began anew.
func (a *App) awaitViews() {
	for deadline := time.Now().Add(viewsTimeout); time.Now().Before(deadline); time.Sleep(viewsEvery) {
		if a.directory.Ready() == nil && a.keyring.Ready() == nil {
			return
		}
	}
	a.log.Warn("the directory or the keyring is not up to date yet")
}

const (
	viewsTimeout = 5 * time.Second
	viewsEvery   = 10 * time.Millisecond
)

// Dead is closed when only a new process can serve again; Alive says why.
func (a *App) Dead() <-chan struct{} { return a.storage.Dead() }

// Alive is nil as long as it makes sense to let the process live: it serves, or is
// about to bring back by itself what does not.
func (a *App) Alive() error { return a.storage.Alive() }

// Ready is nil when browsers and services can be served, else why not.
func (a *App) Ready() error {
	if !a.ready.Load() {
		return errors.New("starting or stopping")
	}
	var faults []string
	for _, f := range a.storage.Faults() {
		faults = append(faults, f.Error())
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	if a.directory.Ready() != nil {
		return errors.New("the directory is not up to date")
	}
	if a.keyring.Ready() != nil {
		return errors.New("the keyring is not up to date")
	}
	return nil
}

func (a *App) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := a.Alive(); err != nil {
		answer(w, http.StatusServiceUnavailable, "not alive: "+err.Error())
		return
	}
	answer(w, http.StatusOK, "ok")
}

func (a *App) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := a.Ready(); err != nil {
		answer(w, http.StatusServiceUnavailable, "not ready: "+err.Error())
		return
	}
	answer(w, http.StatusOK, "ready")
}

func (a *App) storageStats() metrics.StorageStats {
	s := metrics.StorageStats{Restarts: a.storage.Restarts(), Healthy: map[string]bool{}}
	for _, name := range a.engine.Streams() {
		s.Healthy[name] = a.storage.Fault(name) == nil
	}
	return s
}
