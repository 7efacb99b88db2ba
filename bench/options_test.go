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
