package engine

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/statuswire/statuswire/internal/storage"
)

// stream is one that makeStreams has made, or has found.
type stream struct {
	account, name string
	created       time.Time // tells one life of it from the next
}

// is true for the same stream, in whichever life.
func (s stream) is(other stream) bool { return s.account == other.account && s.name == other.name }

// note keeps what was made.
func (e *Engine) note(s stream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	made := append([]stream(nil), e.made...) // Restart holds the old ones
	for i := range made {
		if made[i].is(s) {
			made[i] = s
			e.made = made
			return
		}
	}
	e.made = append(made, s)
}

func (e *Engine) streams() []stream {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.made
}

// Streams are the names of all that the engine has made, in the order of making.
func (e *Engine) Streams() (names []string) {
	for _, s := range e.streams() {
		names = append(names, s.name)
	}
	return names
}

// StoreDir is the folder of the streams.
func (e *Engine) StoreDir() string { return e.server.StoreDir }

// Troubled is signalled when the server has logged an error, which may be of a
// stream.
func (e *Engine) Troubled() <-chan struct{} { return e.troubled }

// Inspect says of each stream that cannot store why. It reads the folder, which
// takes some 0.1 ms, or as long as the disk hangs.
func (e *Engine) Inspect() (faults []storage.Fault) {
	srv := e.running()
	for _, s := range e.streams() {
		fault := storage.Fault{Cause: "the NATS server is not running", Stays: true}
		if srv != nil {
			fault = inspect(srv, s)
		}
		if fault.Cause == "" {
			continue
		}
		fault.Stream = s.name
		if fault.Detail == "" {
			fault.Detail = fault.Cause
		}
		faults = append(faults, fault)
	}
	return faults
}

// inspect finds what is wrong with one stream; no Cause is nothing.
func inspect(srv *server.Server, s stream) storage.Fault {
	config := srv.JetStreamConfig()
	if config == nil || !srv.JetStreamEnabled() { // as after a write that the system has not permitted
		return storage.Fault{Cause: "JetStream has shut down", Stays: true}
	}
	health := srv.Healthz(&server.HealthzOptions{Account: s.account, Stream: s.name})
	if srv.JetStreamIsClustered() {
		// Others may have the stream, and one that catches up is no fault.
		if strings.Contains(health.Error, "write error") {
			return storage.Fault{Cause: storage.Cause(health.Error), Detail: health.Error, Stays: true}
		}
		return storage.Fault{}
	}
	folder := filepath.Join(config.StoreDir, s.account, "streams", s.name)
	// Health lists the folder, and takes one that it cannot list for one that is not
	// there (nats-server 2.15.2). This look needs no file descriptor.
	switch _, err := os.Stat(folder); {
	case errors.Is(err, fs.ErrNotExist) && health.Status != "ok":
		return storage.Fault{Cause: "it is not there any more", Detail: "missing: " + folder, Stays: true, Gone: true}
	case errors.Is(err, fs.ErrNotExist):
		return storage.Fault{} // removed between the two looks: the next one tells
	case err != nil:
		return storage.Fault{Cause: storage.Cause(err.Error()), Detail: err.Error()}
	case health.Status == "ok":
		return storage.Fault{}
	case strings.Contains(health.Error, "write error"):
		return storage.Fault{Cause: storage.Cause(health.Error), Detail: health.Error, Stays: true}
	case health.StatusCode != http.StatusNotFound:
		return storage.Fault{Cause: "the NATS server does not serve it", Detail: health.Error, Stays: true}
	}
	if _, err := os.ReadDir(filepath.Dir(folder)); err != nil {
		return storage.Fault{Cause: storage.Cause(err.Error()), Detail: err.Error()}
	}
	return storage.Fault{} // it was listed meanwhile: the next look tells
}
