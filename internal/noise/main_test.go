package noise_test

import (
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/statuswire/statuswire/internal/logtest"
	"github.com/statuswire/statuswire/internal/noise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// paper is what a process's log is written on.
type paper struct{ logtest.Log }

// lines returns those with the text in them, all with "".
func (p *paper) lines(text string) (found []string) {
	for line := range strings.Lines(p.String()) {
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
