// Package metrics holds the figures of one process for Prometheus, in a registry
// of its own. They come in two ways:
//
//	pushed   Metrics.Delivered, Refused, Connect, …: called where it happens, for
//	         what nobody counts yet
//	pulled   Sources: functions that are asked at each scrape, for what the parts
//	         and the NATS server count anyway
//
// Names and label values are stable; docs/metrics.md lists them all. No label has
// a user, a conversation or an address in it: their number has no bound.
//
// The neighbours: gateway, internal/fanout and authcallout push; app wires the
// sources and serves Handler.
package metrics
