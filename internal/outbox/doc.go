// Package outbox writes to one connection what many deliver to it, and has none of
// them wait: not for the network, not for a reader that is slow.
//
//	Put, Deliver ──▶ the kernel takes it at once          the usual case
//	             └─▶ a queue, bounded ──▶ a goroutine     for what it does not take
//	                      └─▶ Owner.Overflow              for what the bound does not let wait
//
// Who has much to send that is not urgent asks for room first (Ready, in pace.go). An
// outbox knows nothing of what it writes, but that a message belongs to a subscription,
// which is counted (Tally), and may be of low priority: then it may be left out.
package outbox
