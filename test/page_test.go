//go:build e2e

package test

import "testing"

// TestPageInChromium runs page/: the embedded page in a real browser. With
// STATUSWIRE_SHOTS=FOLDER it leaves pictures of the page there.
func TestPageInChromium(t *testing.T) {
	s := startStatuswire(t, "--demo")
	runNodeTests(t, "page", nodeEnv(t, s))
}
