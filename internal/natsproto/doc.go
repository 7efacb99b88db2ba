// Package natsproto turns bytes into NATS client protocol operations and back.
//
// A connection is a stream of operations. Each starts with a verb, in either
// case, and a line that ends with CR LF (a bare LF is taken as well); PUB and
// HPUB are followed by a payload of the size that the line names and one more
// CR LF. A browser sends:
//
//	CONNECT {json}
//	PING
//	PONG
//	SUB <subject> [queue group] <sid>
//	UNSUB <sid> [max]
//	PUB <subject> [reply] <bytes>
//	HPUB <subject> [reply] <header bytes> <total bytes>
//
// and gets:
//
//	INFO {json}
//	MSG <subject> <sid> [reply] <bytes>
//	HMSG <subject> <sid> [reply] <header bytes> <total bytes>
//	PING, PONG, +OK
//	-ERR '<text>'
//
// (docs.nats.io, "Client Protocol".) WebSocket frames carry pieces of that
// stream: a frame may hold half an operation or many, so the Parser is fed
// whatever arrives.
package natsproto
