package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// What one request of an import holds at most.
const (
	chunkBytes = 256 << 10
	chunkLines = 2000
)

// Import sends JSON lines {id, owner, members, categories, created}, in as many
// requests as they need. Conversations that are there already are changed to
// what the line says. The answer is the sum over all lines, also when an error
// ends the import before the last; a line that cannot be imported ends nothing.
// progress, unless nil, is called after each request with the sum so far; its
// Errors are nil.
func (c *Client) Import(ctx context.Context, r io.Reader, progress func(ImportResponse)) (ImportResponse, error) {
	i := importing{client: c, progress: progress}
	lines := bufio.NewReaderSize(r, 64<<10)
	for first := true; ; first = false {
		line, err := readLine(lines, int(c.nc.MaxPayload()))
		if first {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		switch {
		case errors.Is(err, io.EOF):
			err = i.flush(ctx)
			return i.sum, err
		case errors.Is(err, errLongLine):
			err = i.fail(ctx, fmt.Sprintf("the line has more than %d bytes, which is the server's max_payload", c.nc.MaxPayload()))
		case err == nil:
			err = i.add(ctx, line)
		default:
			err = fmt.Errorf("line %d: %w", i.sum.Lines+i.held+1, err)
		}
		if err != nil {
			return i.sum, err
		}
	}
}

// importing is an import under way.
type importing struct {
	client   *Client
	progress func(ImportResponse)
	sum      ImportResponse
	chunk    []byte // lines that are still to be sent
	held     int    // how many these are
}

// add takes the next line, and sends those before it if it does not fit to them.
func (i *importing) add(ctx context.Context, line []byte) error {
	most := min(int(i.client.nc.MaxPayload()/2), chunkBytes)
	if i.held > 0 && (len(i.chunk)+len(line) > most || i.held == chunkLines) {
		if err := i.flush(ctx); err != nil {
			return err
		}
	}
	i.chunk, i.held = append(i.chunk, line...), i.held+1
	return nil
}

// fail takes the next line as one that cannot be sent.
func (i *importing) fail(ctx context.Context, why string) error {
	if err := i.flush(ctx); err != nil { // so that the errors are in the order of the lines
		return err
	}
	i.sum.Lines++
	i.sum.Failed++
	i.sum.Errors = append(i.sum.Errors, LineError{Line: i.sum.Lines, Err: ErrBadRequest.Withf("%s", why)})
	return nil
}

// flush sends the lines that are held, and adds up what became of them.
func (i *importing) flush(ctx context.Context) error {
	if i.held == 0 {
		return nil
	}
	chunk, held := i.chunk, i.held
	i.chunk, i.held = chunk[:0], 0
	var answer ImportResponse
	if err := i.client.send(ctx, "conversation.import", chunk, &answer); err != nil {
		return fmt.Errorf("lines %d to %d: %w", i.sum.Lines+1, i.sum.Lines+held, err)
	}
	for _, e := range answer.Errors {
		i.sum.Errors = append(i.sum.Errors, LineError{Line: i.sum.Lines + e.Line, Err: e.Err})
	}
	i.sum.Lines += held
	i.sum.Created += answer.Created
	i.sum.Updated += answer.Updated
	i.sum.Unchanged += answer.Unchanged
	i.sum.Failed += answer.Failed
	if i.progress != nil {
		soFar := i.sum
		soFar.Errors = nil
		i.progress(soFar)
	}
	return nil
}

var errLongLine = errors.New("the line is too long")

// readLine returns the next line with its end, which the last may lack; io.EOF
// when there is none. Of a line that is longer than the limit nothing is returned
// but errLongLine, and the one behind it is next.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > limit; !tooLong {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case tooLong:
			return nil, errLongLine
		case err == nil || len(line) > 0:
			return line, nil
		default:
			return nil, err
		}
	}
}
