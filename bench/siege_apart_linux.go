package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// order is what strangers are told: one line of JSON.
type order struct {
	WS             string  // the address of the WebSocket
	Pinger, Joiner string  // tokens of the members among them
	Junk           string  // a token that does not verify
	Hostile        Hostile // what to do, and how much of it
}

// serveStrangers does what the first line of in orders, until in ends, and writes to out
// what was tried: how often, by what it was and how it ended, as one line of JSON.
func serveStrangers(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, lift := context.WithCancel(ctx)
	defer lift()
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return fmt.Errorf("what the strangers have to do: %w", err)
	}
	go func() { // ends with in, which whoever has begun this closes
		defer lift()
		_, _ = io.Copy(io.Discard, in)
	}()
	return json.NewEncoder(out).Encode(newStrangers(o).besiege(ctx))
}

// besieging is a siege under way.
type besieging struct {
	told  io.WriteCloser         // closed, it ends
	tried func() ([]byte, error) // the line of serveStrangers, when it has ended
}

// besiege begins what the strangers do: in a process of their own if there is a program
// for it, so that what they have to wait for delays nobody who measures.
func (s *siege) besiege(ctx context.Context) (*besieging, error) {
	o, err := s.order()
	if err != nil {
		return nil, err
	}
	var b *besieging
	if s.opts.Self == "" {
		b = strangersHere(ctx)
	} else if b, err = strangersApart(s.opts); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(b.told).Encode(o); err != nil {
		_, _ = b.lift()
		return nil, fmt.Errorf("tell the strangers what to do: %w", err)
	}
	return b, nil
}

func strangersHere(ctx context.Context) *besieging {
	in, told := io.Pipe()
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- serveStrangers(ctx, in, &out) }() // ends with told
	return &besieging{told, func() ([]byte, error) {
		err := <-ended
		return out.Bytes(), err
	}}
}

func strangersApart(opts SiegeOptions) (*besieging, error) {
	p, err := start(opts.Log, opts.Self, "serve", "strangers")
	if err != nil {
		return nil, err
	}
	return &besieging{p.stdin, func() ([]byte, error) {
		defer p.stop()
		line, err := p.line()
		return []byte(line), err
	}}, nil
}

// lift ends it, and returns what was tried.
func (b *besieging) lift() (attempts map[string]int, err error) {
	_ = b.told.Close()
	line, err := b.tried()
	if err != nil {
		return nil, fmt.Errorf("the strangers: %w", err)
	}
	err = json.Unmarshal(line, &attempts)
	return attempts, err
}
