package noise_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/noise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paper is what a process's log is written on.
type paper struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

// lines returns those with the text in them, all with "".
func (p *paper) lines(text string) (found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(p.b.String()) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found
}

func newLog(opts noise.Options) (*slog.Logger, *noise.Handler, *paper) {
	p := &paper{}
	h := noise.New(slog.NewTextHandler(p, nil), opts)
	return slog.New(h), h, p
}
