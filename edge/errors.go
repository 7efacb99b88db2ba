package edge

import (
	"errors"

	"github.com/statuswire/statuswire/status"
)

// ErrStarted is what Start returns when the service is not in the right part of
// its life.
var ErrStarted = errors.New("the edge was started or stopped already: make a new one")

// refusalOf maps each error of a request to what the asker is told. Errors of
// the table of wire errors go as they are; everything else, a directory or a
// stream that does not answer, a timeout, is hidden behind one that is passing.
func refusalOf(err error) *status.Error {
	var refusal *status.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	return status.ErrUnavailable.Withf("the answer is not available at the moment: ask again")
}
