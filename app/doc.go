// Package app is the process: it makes every part, gives each what it needs of
// the others, starts them in order and stops them in reverse.
//
// Start brings up engine, directory, callout, fan-out, broadcaster, admin, edge,
// gateway and the HTTP listener, in that order, and then writes
// DataDir/endpoints.json. A Start that fails half way undoes what it did by the
// same list that Stop runs:
//
//	not ready → no upgrades → browsers closed → edge and broadcaster drained
//	→ callout drained → engine stopped
//
// Each step has a name and a bound; one that fails does not stop the rest.
package app
