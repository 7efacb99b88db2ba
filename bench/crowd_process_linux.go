package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// crowdOrder tells of a server, and of the sockets that are wanted there.
type crowdOrder struct {
	Server  string // Centrifugo, or one that speaks NATS
	Address string
	Row     Row
	Tokens  map[string]string // by user
}

func (o crowdOrder) open(ctx context.Context, begun time.Time) (*crowd, error) {
	speech := natsTongue
	if o.Server == Centrifugo {
		speech = centrifugoTongue
	}
	return openCrowd(ctx, o.Address, o.Row, begun, speech(o.Tokens, o.Row))
}

// What a crowd in a process of its own says when all sockets are open, and when all
// are closed.
const (
	crowdOpen = "open"
	crowdGone = "gone"
)

// crowdProcess holds sockets in a process of its own: one process may not have as
// many as two servers are to hold.
type crowdProcess struct{ *process }

// startCrowd returns when all sockets are open and logged in.
func startCrowd(ctx context.Context, opts IdleOptions, order crowdOrder) (crowdProcess, error) {
	p, err := start(opts.Log, opts.Self, "serve", "crowd")
	if err != nil {
		return crowdProcess{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = p.cmd.Process.Kill() })
	defer stop()
	c := crowdProcess{p}
	err = json.NewEncoder(p.stdin).Encode(order)
	if err == nil {
		err = c.expect(crowdOpen)
	}
	if err != nil {
		p.stop()
		return crowdProcess{}, fmt.Errorf("the sockets: %w", errors.Join(ctx.Err(), err))
	}
	return c, nil
}

// leave closes the sockets, and says if one of them was closed before.
func (c crowdProcess) leave() error {
	if _, err := io.WriteString(c.stdin, "\n"); err != nil {
		return err
	}
	return c.expect(crowdGone)
}

func (c crowdProcess) expect(line string) error {
	got, err := c.line()
	if err == nil && got != line {
		err = errors.New(got)
	}
	return err
}

// serveCrowd holds the sockets that the first line of its standard input orders, until
// there is another line or its end.
func serveCrowd(stdin io.Reader, stdout io.Writer) (err error) {
	defer func() {
		if err != nil {
			fmt.Fprintln(stdout, err)
		}
	}()
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the order: %w", err)
	}
	var order crowdOrder
	if err := json.Unmarshal(line, &order); err != nil {
		return fmt.Errorf("the order: %w", err)
	}
	c, err := order.open(context.Background(), time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, crowdOpen)
	_, err = in.ReadBytes('\n')
	_, _, lost := c.measured()
	c.close()
	if err = errors.Join(err, lost); err == nil {
		fmt.Fprintln(stdout, crowdGone)
	}
	return err
}
