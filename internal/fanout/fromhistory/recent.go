package fromhistory

import (
	"github.com/statuswire/statuswire/internal/fanout"
	"github.com/statuswire/statuswire/internal/history"
)

// Recent has histories read from what the fan-out remembers, as far as it goes.
func Recent(f *fanout.Fanout) history.Recent {
	return func(subject string, place history.Place, newest map[string]uint64) ([]history.Message, bool) {
		stored, ok := f.Recall(subject, fanout.Place(place), newest)
		all := make([]history.Message, len(stored))
		for i, st := range stored {
			all[i] = history.Message(st)
		}
		return all, ok
	}
}
