// Package pause lets time pass, but not longer than somebody wants to go on.
package pause

import "time"

// For waits for d, or until done is closed, usually a context's Done; the result
// says whether it was the former.
func For(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
		return false
	}
	select {
	case <-done: // both at once: select had the choice
		return false
	default:
		return true
	}
}
