// Package noise bounds what strangers can have written down. Whoever reaches a
// listener can cause log lines and audit records, before any login and before any
// limit on browsers: what they say is cut and cleaned (Text), and how often a line
// is written is bounded (Handler). The handler stands around the process's own, so
// that it holds for every line of every part:
//
//	a part ─▶ slog.Logger ─▶ Handler ── a line like it had its turn ─▶ counted, and summed up later
//	                            └────── otherwise, its values cut ──▶ the process's handler
//
// Lines are alike when they have level and text in common: texts are constant,
// what varies stands in the attributes. A line of a library, whose text varies,
// is told apart by what Context or Lines says.
//
// The neighbours: app puts the handler around the logger of all parts; internal/engine
// hands the lines of nats-server over; internal/audit cleans its records with Text.
package noise
