package noise_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/statuswire/statuswire/internal/limit"
	"github.com/statuswire/statuswire/internal/noise"
)

func TestALineThatComesAThousandTimesASecondIsWrittenOnceASecondAndSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, paper := newLog(noise.Options{})
		const seconds = 60
		for range seconds * 1000 {
			log.Warn("request refused", "origin", "https://evil.example")
			time.Sleep(time.Millisecond)
		}
		h.Close()
		written, sums := paper.lines(`msg="request refused"`), paper.lines("left out")
		if n := len(written); n < seconds || n > seconds+10 {
			t.Errorf("%d lines are written", n)
		}
		if n := len(sums); n < seconds/10-1 || n > seconds/10+1 {
			t.Errorf("%d sums are written", n)
		}
		told := 0
		for _, line := range sums {
			var n int
			_, rest, _ := strings.Cut(line, "count=")
			if _, err := fmt.Sscanf(rest, `%d like="request refused"`, &n); err != nil || !strings.Contains(line, "level=WARN") {
				t.Errorf("%s: %v", line, err)
			}
			told += n
		}
		if told+len(written) != seconds*1000 || int(h.Omitted()) != told {
			t.Errorf("%d written and %d told as left out of %d; Omitted is %d", len(written), told, seconds*1000, h.Omitted())
		}
	})
}

func TestWhatIsLeftOutIsToldAlthoughNoLineFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _, paper := newLog(noise.Options{})
		for range 100 {
			log.Warn("refused")
		}
		time.Sleep(time.Minute)
		if got := paper.lines("left out"); len(got) != 1 || !strings.Contains(got[0], "count=90 like=refused") {
			t.Errorf("got %q", got)
		}
	})
}

func TestOneKindDoesNotHideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _, paper := newLog(noise.Options{})
		for range 10_000 {
			log.Warn("refused")
		}
		log.Warn("the disk is full")
		log.Error("refused") // of another weight
		for _, want := range []string{"the disk is full", "level=ERROR"} {
			if got := paper.lines(want); len(got) != 1 {
				t.Errorf("%s: %q", want, got)
			}
		}
	})
}

func TestOneNetworkDoesNotHideAnother(t *testing.T) {
	for _, with := range []struct {
		name string
		say  func(*slog.Logger, netip.AddrPort)
	}{
		{"in the line", func(l *slog.Logger, from netip.AddrPort) { l.Warn("refused", "remote", from) }},
		{"in the line, without a port", func(l *slog.Logger, from netip.AddrPort) { l.Warn("refused", "sender", from.Addr()) }},
		{"of the logger", func(l *slog.Logger, from netip.AddrPort) { l.With("remote", from).Warn("refused") }},
		{"of the context", func(l *slog.Logger, from netip.AddrPort) {
			l.Log(noise.Context("refused", from.Addr()), slog.LevelWarn, "refused "+from.String())
		}},
	} {
		t.Run(with.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, h, paper := newLog(noise.Options{Network: limit.Network})
				for i := range 10_000 { // addresses of one /64
					with.say(log, netip.MustParseAddrPort(fmt.Sprintf("[2001:db8::%x]:5", i)))
				}
				with.say(log, netip.MustParseAddrPort("192.0.2.7:5"))
				h.Close()
				if got := paper.lines("2001:db8::"); len(got) != 3 {
					t.Errorf("of the flood are written %q", got)
				}
				if got := paper.lines("192.0.2.7"); len(got) != 1 {
					t.Errorf("of the other network: %q", got)
				}
			})
		})
	}
}

func TestManyNetworksTogetherAreBoundedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, paper := newLog(noise.Options{Network: limit.Network, MaxNetworks: 100})
		for i := range 100_000 {
			log.Warn("refused", "remote", netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 5))
		}
		h.Close()
		if got := len(paper.lines("")); got != 11 {
			t.Errorf("%d lines", got)
		}
	})
}

// Texts are constant. Should one not be, it must not open a door.
func TestTextsThatVaryShareOneTurnWhenThereIsNoRoomForMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, paper := newLog(noise.Options{MaxKinds: 20})
		for i := range 10_000 {
			log.Warn(fmt.Sprint("text ", i))
		}
		h.Close()
		if got := len(paper.lines("msg=\"text")); got != 20+10 {
			t.Errorf("%d lines", got)
		}
		time.Sleep(time.Minute)
		log.Warn("later")
		if len(paper.lines("later")) != 1 {
			t.Error("kinds that are quiet keep their place")
		}
	})
}

func TestWhatOperatorsDoIsAlwaysWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, _, paper := newLog(noise.Options{})
		acts := noise.Always(log)
		for range 1000 {
			log.Info("member added")
			acts.Info("member added", "conversation", "c1")
			acts.With("by", "ops").Info("member added")
		}
		if n := len(paper.lines("conversation=c1")); n != 1000 {
			t.Errorf("%d of 1000 acts are written", n)
		}
		if n := len(paper.lines("by=ops")); n != 1000 {
			t.Errorf("with an attribute: %d of 1000", n)
		}
		acts.Info("reason", "text", strings.Repeat("x", 1<<20))
		if line := paper.lines("msg=reason")[0]; len(line) > 400 {
			t.Errorf("its values are not cut: %d bytes", len(line))
		}
	})
	t.Run("of a logger that bounds nothing too", func(t *testing.T) {
		plain := slog.New(slog.DiscardHandler)
		if noise.Always(plain) != plain {
			t.Error("it is another one")
		}
	})
}

func TestValuesAreCutAndQuotedWhateverTheyAre(t *testing.T) {
	const token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name  string
		value any
		want  string
	}{
		{"a short one", "https://app.example", "v=https://app.example"},
		{"a long one", long, "v=" + strings.Repeat("x", 256) + "…"},
		{"an error", errors.New("no: " + long), `v="no: ` + strings.Repeat("x", 252) + `…"`},
		{"no error", error(nil), "v=<nil>"},
		{"a group", slog.GroupValue(slog.String("a", long)), "v.a=" + strings.Repeat("x", 256) + "…"},
		{"lines of its own", "a\nlevel=ERROR msg=forged", `v="a\nlevel=ERROR msg=forged"`},
		{"what moves a cursor", "a\x1b[2Jb\u202e", `v="a\x1b[2Jb\u202e"`},
		{"no UTF-8", "a\xff", "v=\"a�\""},
		{"a token", "Bearer " + token, `v="Bearer [credential]"`},
		{"a token that is cut", long[:250] + token, "v=" + long[:250] + "[crede…"},
		{"a number", 7, "v=7"},
		{"a duration", time.Second, "v=1s"},
		{"an address", netip.MustParseAddrPort("192.0.2.7:5"), "v=192.0.2.7:5"},
		{"something else", struct{ A string }{long}, "v={A:" + strings.Repeat("x", 253) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log, _, paper := newLog(noise.Options{})
			log.Warn("said", "v", tt.value)
			log.With("v", tt.value).Warn("had")
			log.WithGroup("g").Warn("in a group", "v", tt.value)
			lines := paper.lines("")
			if len(lines) != 3 {
				t.Fatalf("got %q", lines)
			}
			for i, want := range []string{tt.want, tt.want, "g." + tt.want} {
				if !strings.HasSuffix(lines[i], " "+want) {
					t.Errorf("line %d is %.400s\nwant %s", i, lines[i], want)
				}
			}
		})
	}
	t.Run("a text, and the stack of a panic", func(t *testing.T) {
		log, _, paper := newLog(noise.Options{})
		log.Error(long, "stack", long)
		if n := len(paper.lines("")[0]); n < 4096+512 || n > 4096+512+100 {
			t.Errorf("%d bytes", n)
		}
	})
}

func TestLinesOfALibrary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, h, paper := newLog(noise.Options{Network: limit.Network})
		lines := noise.Lines(log, slog.LevelWarn)
		for i := range 5000 {
			lines.Printf("http: TLS handshake error from [2001:db8::%x]:%d: EOF", i, i)
			lines.Printf("http: TLS handshake error from 10.0.%d.%d:%d: EOF", i/200, i%200, i)
		}
		lines.Printf("http: panic serving 192.0.2.7:5: boom\n\ngoroutine 7 [running]:\nmain.main()\n")
		lines.Printf("http: Accept error: too many open files; retrying in 5ms")
		h.Close()
		if n := len(paper.lines(`msg="http: TLS`)); n != 10 {
			t.Errorf("%d lines about handshakes", n)
		}
		if n := len(paper.lines("left out")); n != 1 {
			t.Errorf("%d sums", n)
		}
		for _, want := range []string{
			`msg="http: panic serving 192.0.2.7:5: boom" stack="goroutine 7 [running]:\nmain.main()"`,
			`msg="http: Accept error: too many open files; retrying in 5ms"`,
		} {
			if len(paper.lines(want)) != 1 {
				t.Errorf("not written: %s\n%s", want, strings.Join(paper.lines("panic"), "\n"))
			}
		}
	})
}

// What is left out costs the part that says it this much.
func BenchmarkOmittedLine(b *testing.B) {
	log, h, _ := newLog(noise.Options{Network: limit.Network, SumEvery: time.Hour})
	defer h.Close()
	from := netip.MustParseAddrPort("192.0.2.7:5")
	b.ReportAllocs()
	for b.Loop() {
		log.Warn("request refused: origin not allowed", "origin", "https://evil.example", "remote", from)
	}
}
