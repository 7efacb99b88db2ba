package natsproto

import "strconv"

// Operations without arguments, as they stand on the wire.
const (
	PingLine = "PING\r\n"
	PongLine = "PONG\r\n"
	OKLine   = "+OK\r\n"
)

// Msg is a message to deliver. Header is the whole header block, from NATS/1.0
// to the empty line; empty for a message without headers.
type Msg struct {
	Subject string
	SID     string
	Reply   string
	Header  []byte
	Payload []byte
}

// AppendMsg appends MSG, or HMSG when there is a header block.
func AppendMsg(dst []byte, m Msg) []byte {
	if len(m.Header) > 0 {
		dst = append(dst, 'H')
	}
	dst = append(dst, "MSG "...)
	dst = append(dst, m.Subject...)
	dst = append(dst, ' ')
	dst = append(dst, m.SID...)
	if m.Reply != "" {
		dst = append(dst, ' ')
		dst = append(dst, m.Reply...)
	}
	dst = append(dst, ' ')
	if len(m.Header) > 0 {
		dst = strconv.AppendInt(dst, int64(len(m.Header)), 10)
		dst = append(dst, ' ')
	}
	dst = strconv.AppendInt(dst, int64(len(m.Header)+len(m.Payload)), 10)
	dst = append(dst, "\r\n"...)
	dst = append(dst, m.Header...)
	dst = append(dst, m.Payload...)
	return append(dst, "\r\n"...)
}

// MaxMsgOverhead is more than AppendMsg adds to subject, sid, reply, header and
// payload.
const MaxMsgOverhead = 32

// AppendErr appends -ERR with the text in single quotes. A quote, CR or LF in
// the text would end it early, so they are replaced.
func AppendErr(dst []byte, text string) []byte {
	dst = append(dst, "-ERR '"...)
	for i := range len(text) {
		switch c := text[i]; c {
		case '\'':
			dst = append(dst, '`')
		case '\r', '\n':
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, "'\r\n"...)
}

// AppendInfo appends INFO with the JSON.
func AppendInfo(dst, json []byte) []byte {
	dst = append(dst, "INFO "...)
	dst = append(dst, json...)
	return append(dst, "\r\n"...)
}
