package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
)

// order is what strangers are told: one line of JSON.
type order struct {
	WS             string  // the address of the WebSocket
	Pinger, Joiner string  // tokens of the members among them
	Junk           string  // a token that does not verify
	Hostile        Hostile // what to do, and how much of it
}

// RunStrangers reads from in what they have to do, does it until in ends, and writes to
// out what they tried: how often, by what it was and how it ended, as one line of JSON.
func RunStrangers(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, lift := context.WithCancel(ctx)
	defer lift()
	told := json.NewDecoder(in)
	var o order
	if err := told.Decode(&o); err != nil {
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
	told io.WriteCloser // closed, it ends
	done func() error
	out  bytes.Buffer

	end sync.Once
	err error
}

// besiege begins what the strangers do: in a process of their own if the options name
// one, so that what they have to wait for delays nobody who measures.
func (s *siege) besiege(ctx context.Context) (*besieging, error) {
	o, err := s.order()
	if err != nil {
		return nil, err
	}
	b := &besieging{}
	if len(s.opts.Strangers) == 0 {
		in, told := io.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- RunStrangers(ctx, in, &b.out) }()
		b.told, b.done = told, func() error { return <-ended }
	} else {
		cmd := exec.CommandContext(ctx, s.opts.Strangers[0], s.opts.Strangers[1:]...)
		cmd.Stdout, cmd.Stderr = &b.out, os.Stderr
		if b.told, err = cmd.StdinPipe(); err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("start the strangers: %w", err)
		}
		b.done = cmd.Wait
	}
	if err := json.NewEncoder(b.told).Encode(o); err != nil {
		_, _ = b.lift()
		return nil, fmt.Errorf("tell the strangers what to do: %w", err)
	}
	return b, nil
}

// lift ends it, and returns what was tried. Lifting twice is fine.
func (b *besieging) lift() (attempts map[string]int, err error) {
	b.end.Do(func() {
		_ = b.told.Close()
		b.err = b.done()
	})
	if b.err != nil {
		return nil, fmt.Errorf("the strangers: %w", b.err)
	}
	return attempts, json.Unmarshal(b.out.Bytes(), &attempts)
}
