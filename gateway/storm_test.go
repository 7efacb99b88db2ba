package gateway_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/statuswire/statuswire/gateway"
)

func TestAStormOfLoginsWaitsForItsTurnAndAllGetIn(t *testing.T) {
	const logins = 100
	r := newRig(t, gateway.Options{MaxVerdicts: 4})
	var mu sync.Mutex
	underWay, most := 0, 0
	r.callout.set(func(c *callout) {
		c.around = func() func() {
			mu.Lock()
			underWay++
			most = max(most, underWay)
			mu.Unlock()
			return func() { mu.Lock(); underWay--; mu.Unlock() }
		}
	})
	browsers := make([]*browser, logins)
	for i := range browsers {
		browsers[i] = r.dial()
		browsers[i].send(fmt.Sprintf(`CONNECT {"auth_token":"user%d"}`, i), "PING")
	}
	for _, b := range browsers {
		b.expect("PONG")
	}
	mu.Lock()
	defer mu.Unlock()
	if most > 4 {
		t.Fatalf("%d callouts at the same time", most)
	}
}
