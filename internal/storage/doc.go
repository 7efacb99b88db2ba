// Package storage watches whether the streams can store, and brings them back.
//
// A stream whose store has once failed to write stays so (nats-server 2.15.2,
// setWriteErr), whatever becomes of the disk. Only a new server on the same folder
// ends that, and it has everything that was acknowledged:
//
//	well ──▶ failing ──▶ the cause has gone? ──▶ a new server ──▶ well
//	             ▲            │ no: ask again        │ fails: later once more
//	             └────────────┴──────────────────────┘      and in the end give up
//
// A Watch asks the Engine once a second, and at once when the server has logged an
// error. It starts a new server only when the folder takes what a stream needs
// (probe.go), and each time that does not help it waits longer (pace.go), so that a
// disk that stays full, or fills again and again, costs no more than it must.
package storage
