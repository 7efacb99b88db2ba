package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// linkTimeout bounds the server's part of DialLink: it writes INFO and reads the
// header at once, so this is only for a server that is ending.
const linkTimeout = 5 * time.Second

// maxInfoBytes bounds the server's first INFO; it has some 500 bytes.
const maxInfoBytes = 32 << 10

// DialLink opens a pipe to the server for one browser's CONNECT. The server, its
// events and the auth callout see the browser's address; the zero AddrPort gives
// none. preamble is what the server has said so far, its INFO line with the CRLF;
// go on with CONNECT. The pipe is synchronous: read while you write. The caller
// closes it.
func (e *Engine) DialLink(browser netip.AddrPort) (conn net.Conn, preamble []byte, err error) {
	srv, err := e.dialable()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open a link: %w", err)
	}
	if conn, err = srv.InProcessConn(); err != nil {
		return nil, nil, fmt.Errorf("cannot open a link: %w", err)
	}
	if preamble, err = greet(conn, browser); err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("cannot open a link: %w", err)
	}
	return conn, preamble, nil
}

// greet reads the server's INFO, which comes before the server reads the header
// (nats-server 2.15.2), and writes the header.
func greet(conn net.Conn, browser netip.AddrPort) ([]byte, error) {
	if err := conn.SetDeadline(time.Now().Add(linkTimeout)); err != nil {
		return nil, err
	}
	info, err := readLine(conn)
	if err != nil {
		return nil, fmt.Errorf("no INFO from the server: %w", err)
	}
	if !bytes.HasPrefix(info, []byte("INFO ")) {
		return nil, fmt.Errorf("the server says %q", bytes.TrimSpace(info))
	}
	if _, err := conn.Write(proxyHeader(browser)); err != nil {
		return nil, fmt.Errorf("the server did not take the address: %w", err)
	}
	return info, conn.SetDeadline(time.Time{})
}

func readLine(conn net.Conn) ([]byte, error) {
	buf := make([]byte, 0, 1024)
	for !bytes.HasSuffix(buf, []byte("\r\n")) {
		if len(buf) >= maxInfoBytes {
			return nil, fmt.Errorf("a line of more than %d bytes", maxInfoBytes)
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := conn.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// proxyHeader is a PROXY protocol header, version 2 (haproxy's proxy-protocol.txt,
// section 2.2): signature, command, family, length, then source and destination.
// The destination is left zero: nobody reads it. Without an address the command is
// LOCAL.
func proxyHeader(from netip.AddrPort) []byte {
	const (
		signature = "\r\n\r\n\x00\r\nQUIT\n"
		local     = 0x20
		proxy     = 0x21
		tcp4      = 0x11
		tcp6      = 0x21
	)
	header := append(make([]byte, 0, 52), signature...)
	if !from.IsValid() {
		return append(header, local, 0, 0, 0)
	}
	addr, family := from.Addr().Unmap(), byte(tcp6)
	if addr.Is4() {
		family = tcp4
	}
	ip := addr.AsSlice()
	header = append(header, proxy, family)
	header = binary.BigEndian.AppendUint16(header, uint16(2*len(ip)+4))
	header = append(header, ip...)
	header = append(header, make([]byte, len(ip))...)
	header = binary.BigEndian.AppendUint16(header, from.Port())
	return append(header, 0, 0)
}
