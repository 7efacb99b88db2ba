package status_test

import (
	"testing"

	"github.com/statuswire/statuswire/status"
)

func TestPrioritiesAreInOrderAndNoneIsNormal(t *testing.T) {
	order := [][]status.Priority{{status.PriorityLow}, {status.PriorityNormal, "", "unheard-of"}, {status.PriorityHigh}, {status.PriorityUrgent}}
	for i, group := range order {
		for j, others := range order {
			for _, p := range group {
				for _, least := range others {
					if got := p.AtLeast(least); got != (i >= j) {
						t.Errorf("%q at least %q: %v", p, least, got)
					}
				}
			}
		}
	}
}
