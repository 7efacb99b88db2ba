package bench_test

import (
	"testing"
	"time"

	"github.com/statuswire/statuswire/bench"
)

func TestOptionsThatCannotBeMeasuredAreRefused(t *testing.T) {
	good := bench.Options{Row: bench.Rows()[0], Statuswire: "x", Self: "y", Duration: time.Second, Rounds: 1}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*bench.Options){
		"no sockets":              func(o *bench.Options) { o.Row.Sockets = 0 },
		"subjects without socket": func(o *bench.Options) { o.Row.Subjects = 3 },
		"no rate":                 func(o *bench.Options) { o.Row.Rate = 0 },
		"no binary":               func(o *bench.Options) { o.Statuswire = "" },
		"no program":              func(o *bench.Options) { o.Self = "" },
		"no time":                 func(o *bench.Options) { o.Duration = 0 },
		"no rounds":               func(o *bench.Options) { o.Rounds = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if o.Validate() == nil {
				t.Fatal("no error")
			}
		})
	}
}

func TestIdleOptionsThatCannotBeMeasuredAreRefused(t *testing.T) {
	good := func() bench.IdleOptions {
		o := bench.DefaultIdle()
		o.Statuswire, o.Centrifugo, o.Self = "x", "y", "z"
		return o
	}
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*bench.IdleOptions){
		"no rows":                 func(o *bench.IdleOptions) { o.Rows = nil },
		"no sockets":              func(o *bench.IdleOptions) { o.Rows[1].Sockets = 0 },
		"subjects without socket": func(o *bench.IdleOptions) { o.Rows[2].Subjects = 3 },
		"held for no time":        func(o *bench.IdleOptions) { o.Rows[0].Hold = -1 },
		"held for ever":           func(o *bench.IdleOptions) { o.Rows[0].After = 2 * time.Hour },
		"nobody":                  func(o *bench.IdleOptions) { o.Servers = nil },
		"a floor":                 func(o *bench.IdleOptions) { o.Servers = []string{bench.Floor} },
		"no binary":               func(o *bench.IdleOptions) { o.Statuswire = "" },
		"no rival":                func(o *bench.IdleOptions) { o.Centrifugo = "" },
		"no program":              func(o *bench.IdleOptions) { o.Self = "" },
		"no rounds":               func(o *bench.IdleOptions) { o.Rounds = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o := good()
			change(&o)
			if o.Validate() == nil {
				t.Fatal("no error")
			}
		})
	}
}

func TestLatencyIsMeasuredBesideCentrifugoOnlyIfItIsThere(t *testing.T) {
	o := bench.DefaultLatency()
	o.Statuswire = "x"
	if o.Validate() == nil {
		t.Fatal("no error without Centrifugo")
	}
	o.Centrifugo = "y"
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	if o.Servers = []string{"redis"}; o.Validate() == nil {
		t.Fatal("no error for a server that is not known")
	}
}

func TestReplayOptionsThatCannotBeMeasuredAreRefused(t *testing.T) {
	good := bench.DefaultReplayOptions()
	good.Statuswire = "x"
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*bench.ReplayOptions){
		"no binary":                  func(o *bench.ReplayOptions) { o.Statuswire = "" },
		"no live sockets":            func(o *bench.ReplayOptions) { o.Live.Sockets = 0 },
		"several live subjects":      func(o *bench.ReplayOptions) { o.Live.Subjects = 2 },
		"nothing to read":            func(o *bench.ReplayOptions) { o.Replayed = 0 },
		"more than a request brings": func(o *bench.ReplayOptions) { o.Replayed = 10_001 },
		"more than there is":         func(o *bench.ReplayOptions) { o.Stream = o.Replayed - 1 },
		"nobody who reads":           func(o *bench.ReplayOptions) { o.Readers = 0 },
		"no time":                    func(o *bench.ReplayOptions) { o.Duration = 0 },
		"no rounds":                  func(o *bench.ReplayOptions) { o.Rounds = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if o.Validate() == nil {
				t.Fatal("no error")
			}
		})
	}
}
