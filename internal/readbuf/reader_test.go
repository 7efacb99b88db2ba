package readbuf_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/statuswire/statuswire/internal/readbuf"
)

func TestWhatTheHTTPServerHasReadComesFirst(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("GET / and the frames behind it"))
	if _, err := in.Discard(len("GET / and ")); err != nil {
		t.Fatal(err)
	}
	r := readbuf.New(in, strings.NewReader(", and more"))
	if r.Buffered() != len("the frames behind it") {
		t.Errorf("%d bytes are buffered", r.Buffered())
	}
	all, err := io.ReadAll(r)
	if err != nil || string(all) != "the frames behind it, and more" {
		t.Errorf("%q, %v", all, err)
	}
}

func TestALargerBufferIsReadToItsEndFirst(t *testing.T) {
	early := strings.Repeat("early ", readbuf.Size)
	in := bufio.NewReaderSize(strings.NewReader(early), 8*readbuf.Size)
	if _, err := in.Peek(len(early)); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(readbuf.New(in, strings.NewReader("late")))
	if err != nil || string(all) != early+"late" {
		t.Errorf("%d bytes, %v", len(all), err)
	}
}

func TestPeekBringsWhatIsAskedForAndTakesNothing(t *testing.T) {
	text := strings.Repeat("0123456789", 500)
	for name, from := range map[string]io.Reader{
		"at once":      strings.NewReader(text),
		"byte by byte": iotest.OneByteReader(strings.NewReader(text)),
		"in halves":    iotest.HalfReader(strings.NewReader(text)),
		"with the end": iotest.DataErrReader(strings.NewReader(text)),
	} {
		r := readbuf.New(nil, from)
		at := 0
		for _, n := range []int{1, 2, 0, 31, 32, 33, 4000, readbuf.Size, 17} {
			b, err := r.Peek(n)
			if err != nil || string(b) != text[at:at+n] {
				t.Fatalf("%s: %d bytes at %d: %d, %v", name, n, at, len(b), err)
			}
			take := min(n, 40)
			if got, err := r.Discard(take); got != take || err != nil {
				t.Fatalf("%s: %d of %d discarded, %v", name, got, take, err)
			}
			at += take
		}
		if b, err := r.Peek(readbuf.Size + 1); !errors.Is(err, bufio.ErrBufferFull) || string(b) != text[at:at+len(b)] {
			t.Errorf("%s: more than a buffer holds: %v", name, err)
		}
	}
}

// A deadline that has passed loses nothing, and the next Peek reads on.
func TestAPeekThatIsCutShortGoesOn(t *testing.T) {
	from := &script{steps: []any{"abc", os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, "def", io.EOF}}
	r := readbuf.New(nil, from)
	for range 2 {
		if b, err := r.Peek(5); !errors.Is(err, os.ErrDeadlineExceeded) || string(b) != "abc" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if b, err := r.Peek(5); err != nil || string(b) != "abcde" {
		t.Fatalf("%q, %v", b, err)
	}
	if b, err := r.Peek(7); !errors.Is(err, io.EOF) || string(b) != "abcdef" {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestReadsThatBringNothingEnd(t *testing.T) {
	if _, err := readbuf.New(nil, &script{}).Peek(1); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}

func TestOnlyWhatIsBufferedCanBeDiscarded(t *testing.T) {
	r := readbuf.New(nil, strings.NewReader("abc"))
	if n, err := r.Discard(1); n != 0 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := r.Peek(2); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Discard(-1); err == nil {
		t.Error("no error")
	}
	if n, err := r.Discard(2); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "c" {
		t.Errorf("%q", rest)
	}
}

// script is a reader whose reads bring strings and errors in their order, then nothing.
type script struct{ steps []any }

func (s *script) Read(b []byte) (int, error) {
	if len(s.steps) == 0 {
		return 0, nil
	}
	step := s.steps[0]
	s.steps = s.steps[1:]
	switch step := step.(type) {
	case error:
		return 0, step
	case string:
		n := copy(b, step)
		if n < len(step) {
			s.steps = append([]any{step[n:]}, s.steps...)
		}
		return n, nil
	}
	panic("no such step")
}

// However it is cut and taken, it reads what a bufio.Reader reads.
func FuzzReaderIsABufioReader(f *testing.F) {
	f.Add([]byte("some bytes"), uint64(1))
	f.Add(bytes.Repeat([]byte("x"), 9000), uint64(2))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		cuts := rand.New(rand.NewPCG(seed, 0))
		var steps, same []any
		for rest := text; len(rest) > 0; {
			n := 1 + cuts.IntN(min(len(rest), 1+cuts.IntN(5000)))
			steps, same = append(steps, string(rest[:n])), append(same, string(rest[:n]))
			rest = rest[n:]
		}
		r := readbuf.New(nil, &script{append(steps, io.EOF)})
		want := bufio.NewReaderSize(&script{append(same, io.EOF)}, readbuf.Size)
		for taken := 0; taken < len(text); {
			n := cuts.IntN(1 + min(readbuf.Size, cuts.IntN(6000)))
			got, err := r.Peek(n)
			expected, wanted := want.Peek(n)
			if string(got) != string(expected) || (err == nil) != (wanted == nil) {
				t.Fatalf("peek %d after %d: %d bytes, %v, in place of %d, %v", n, taken, len(got), err, len(expected), wanted)
			}
			if err != nil {
				return
			}
			n = cuts.IntN(len(got) + 1)
			if _, err := r.Discard(n); err != nil {
				t.Fatal(err)
			}
			_, _ = want.Discard(n)
			taken += n
			if cuts.IntN(4) == 0 && r.Buffered() > 0 {
				b := make([]byte, 1+cuts.IntN(r.Buffered()))
				n, err := r.Read(b)
				if err != nil || n != len(b) {
					t.Fatalf("%d of %d, %v", n, len(b), err)
				}
				c := make([]byte, n)
				if _, err := io.ReadFull(want, c); err != nil || !bytes.Equal(b, c) {
					t.Fatalf("%q in place of %q, %v", b, c, err)
				}
				taken += n
			}
		}
	})
}

func BenchmarkPong(b *testing.B) {
	frame := []byte{0x8a, 0x80, 1, 2, 3, 4}
	r := readbuf.New(nil, loop{frame})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Peek(2); err != nil {
			b.Fatal(err)
		}
		if _, err := r.Peek(len(frame)); err != nil {
			b.Fatal(err)
		}
		_, _ = r.Discard(len(frame))
	}
}

// loop is the same bytes again and again.
type loop struct{ text []byte }

func (l loop) Read(b []byte) (int, error) { return copy(b, l.text), nil }
