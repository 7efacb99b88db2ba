package sse

import (
	"strconv"
	"strings"
)

// eventID is the id of an event: a sequence, and the epoch of the stream that it is
// of, without which it would be taken for one of whatever data there is. The
// sequence alone is an id too, as a number to begin behind.
type eventID struct {
	seq   uint64
	epoch string // "" for none
}

// append appends it as "53-d9fdx0sj3k3z".
func (id eventID) append(b []byte) []byte {
	b = strconv.AppendUint(b, id.seq, 10)
	if id.epoch == "" {
		return b
	}
	return append(append(b, '-'), id.epoch...)
}

// maxEpochBytes is more than twice what an epoch has.
const maxEpochBytes = 32

// parseEventID reads what append makes. Whether there is such an epoch is not its
// question.
func parseEventID(text string) (id eventID, ok bool) {
	seq, epoch, dashed := strings.Cut(text, "-")
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil || dashed && !isEpoch(epoch) {
		return eventID{}, false
	}
	return eventID{n, epoch}, true
}

func isEpoch(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= maxEpochBytes
}
