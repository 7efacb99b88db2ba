// Package presence knows who is present in each conversation, on all nodes, and
// tells those who watch it. Present is who has a subscription there.
//
// The gateways are the source: they call Join and Leave for each connection. A
// node's own connections, damped, are its replica; nodes exchange replicas in
// core NATS, and the sum of all replicas is what List answers:
//
//	Join, Leave ─▶ local ─▶ own replica ──presence.node.diff, .snapshot, .bye──▶ other nodes
//	                            │                                                  │
//	List, edge ◀── view: the sum of the replicas ◀── their replicas ◀──────────────┘
//	                            │
//	                            └── announcer ──presence.<c>──▶ browsers, services
//
// # Damping
//
// A join counts at once. A connection that left counts for five seconds more, or
// until another of the same user in the same conversation takes its place: a
// reload changes nothing that anybody sees.
//
// # Nodes
//
// A node numbers its changes. A diff has the entries that changed, each with its
// new value; a snapshot has all entries of a range of buckets, as of a number. Per
// entry the highest number wins, so replicas converge whatever is lost, doubled or
// overtaken (replica.apply, which is pure). Snapshots come every five seconds,
// without entries while no other node is known.
//
//	           heard                     bye
//	unknown ─────────▶ known ─────────────────────▶ ended ──grace──▶ its members leave
//	           ▲         │ newer incarnation: the old members leave at once
//	           └─────────┘ three snapshots missed: its members leave
//
// # Announcements
//
// One node announces a conversation: of those that are ready the one that the
// conversation's id picks (rendezvous hashing), so that each watcher hears one
// sequence of absolute values. The first announcement of a conversation by a node
// is a whole list (Reset), and so is the confirmation that follows the last change
// after a while and is repeated now and then: it mends what a watcher may have
// missed. A node is ready a second after its start, when it has heard the others.
// When two nodes find each other again after a partition, the announcers send whole
// lists.
package presence
