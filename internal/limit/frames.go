package limit

import "time"

// FrameMeter counts the WebSocket frames of one connection that bring no
// operation: pings, pongs, empty ones, pieces of messages. Each costs the server
// about what an operation does, and no other limit sees it. The zero value has
// counted nothing. Not safe for concurrent use.
type FrameMeter struct{ b bucket }

// Take asks for one.
func (m *FrameMeter) Take(now time.Time, rule Rule) Verdict { return m.b.take(Frames, now, rule) }
