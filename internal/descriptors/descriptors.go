// Package descriptors shares out the files and sockets that the process may have
// open at once. A browser that takes the last one has a stream write fail, so
// browsers get what is left when the streams, the services and the server itself
// have theirs:
//
//	available ─┬─ Own       listeners, streams, what is read and written
//	           ├─ Services  NATS clients over TCP
//	           ├─ Spare     HTTP connections that are only told that there is no room
//	           └─ Browsers  HTTP connections: sockets, streams of events, requests
package descriptors

// Budget says who may have how many.
type Budget struct {
	Available, Own, Services, Spare, Browsers int
}

const (
	// own is what a server has open with all its streams (18), and as much again for
	// the blocks of a stream that are read and written at a time, of which
	// nats-server 2.15.2 has 16 at most, and for those who ask for metrics.
	own = 64

	leastServices, mostServices = 32, 4096
	leastSpare, mostSpare       = 8, 64

	// most is what there is to share where the system sets no limit that means
	// anything.
	most = 1 << 20
)

// Share divides what is available. Browsers is below 1 when it does not reach for
// any.
func Share(available int) Budget {
	return shareOf(min(available, most))
}

func shareOf(available int) Budget {
	b := Budget{
		Available: available,
		Own:       own,
		Services:  clamp(available/8, leastServices, mostServices),
		Spare:     clamp(available/16, leastSpare, mostSpare),
	}
	b.Browsers = available - b.Own - b.Services - b.Spare
	return b
}

// Needed is how many must be available for so many browsers.
func Needed(browsers int) int {
	low, high := browsers, 2*browsers+2*most
	for low < high {
		if mid := (low + high) / 2; shareOf(mid).Browsers < browsers {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func clamp(n, least, most int) int { return max(least, min(n, most)) }
