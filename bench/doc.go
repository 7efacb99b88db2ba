// Package bench measures what one delivery costs a server: the CPU time of its
// process, divided by the messages that reached a browser's socket.
//
//	this process                                 servers, one process each
//	publisher ──▶ service's connection, paced ──▶ floor       write(2) of the same bytes
//	                                          ──▶ nats        nats-server's own WebSocket
//	crowd     ◀── sockets, read by epoll ─────────statuswire  the binary, as it is shipped
//
// The same statuses go at the same rate to all three, in turn, for some rounds,
// so that what else happens on the machine meets all of them. The floor is what
// the kernel alone takes: its program does nothing but write(2) the bytes that
// the others send to each socket. nats-server has neither login nor store here.
// Statuswire has all of it: a login with a token for each socket, JetStream
// acknowledgements to the publisher, validation, the stream on disk, the fan-out.
//
// A round counts only if every socket got every message, once and in order.
//
// Replay measures something else: what reading a long history does to the server's
// memory and to the delivery of what is published meanwhile.
//
// RunIdle measures what sockets take on which nothing happens, beside Centrifugo.
//
// RunJunk measures what logins cost: those with a token that nobody has signed,
// beside valid ones.
//
// Linux only: another process's CPU time is read from its own clock, and the
// crowd is one epoll loop, so that reading takes little from who is measured.
package bench
