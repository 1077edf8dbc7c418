package selftest

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
)

// path is one direction of a call: it takes its time, and damages every nth frame, once 20 have passed.
type path struct {
	net.Conn
	late          time.Duration
	every, writes int
	queue         chan []byte
}

func newPath(c net.Conn, late time.Duration, every int) *path {
	p := &path{Conn: c, late: late, every: every, queue: make(chan []byte, 1000)}
	go func() {
		for octets := range p.queue {
			<-time.After(late)
			if _, err := c.Write(octets); err != nil {
				return
			}
		}
	}()
	return p
}

func (p *path) Write(octets []byte) (int, error) {
	octets = bytes.Clone(octets)
	if p.writes++; p.every > 0 && p.writes > 20 && p.writes%p.every == 0 {
		octets[len(octets)/2] ^= 0x01
	}
	p.queue <- octets
	return len(octets), nil
}

// converse has two ends talk for five seconds of virtual time; the caller's frames are damaged once in every.
func converse(t *testing.T, framing line.Framing, every int) (caller, answerer Counters) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		there, back := newPath(a, 10*time.Millisecond, every), newPath(b, 20*time.Millisecond, 0)
		one := Start(Config{Line: there, Framing: framing, Speed: 33600, Token: 7, Caller: true})
		two := Start(Config{Line: back, Framing: framing, Speed: 33600, Token: 7})
		<-one.Heard()
		<-two.Heard()
		<-time.After(5 * time.Second)
		one.Stop()
		two.Stop()
		<-time.After(time.Second)
		caller, answerer = one.Counters(), two.Counters()
		_, _ = a.Close(), b.Close()
		<-one.Done()
		<-two.Done()
		close(there.queue)
		close(back.queue)
	})
	return caller, answerer
}

func TestCleanLinesAreGood(t *testing.T) {
	for _, framing := range []line.Framing{line.FramingAsync, line.FramingSync} {
		a, b := converse(t, framing, 0)
		if bits := a.OctetsSent * 10 / 5; bits < 33600*6/10 || bits > 33600*95/100 {
			t.Errorf("framing %d: %d bit/s with start and stop bits are sent on a line of 33600", framing, bits)
		}
		if b.FramesReceived != a.FramesSent || b.OctetsReceived != a.OctetsSent || a.FramesReceived != b.FramesSent || a.OctetsReceived != b.OctetsSent || a.Damaged+b.Damaged != 0 {
			t.Errorf("framing %d: %+v and %+v", framing, a, b)
		}
		if a.RoundTrip < 29*time.Millisecond || a.RoundTrip > 31*time.Millisecond || b.RoundTrip < 29*time.Millisecond || b.RoundTrip > 31*time.Millisecond {
			t.Errorf("framing %d: a round trip of 30 ms took %v and %v", framing, a.RoundTrip, b.RoundTrip)
		}
		if g, why := Judge(a, b, 33600, 28800); g != Good || why != "" {
			t.Errorf("framing %d: %s, %s", framing, g, why)
		}
	}
}

func TestDamageIsCounted(t *testing.T) {
	for _, framing := range []line.Framing{line.FramingAsync, line.FramingSync} {
		a, b := converse(t, framing, 10)
		frames, octets := Lost(a, b)
		if frames == 0 || frames != b.Damaged || frames < 6 || frames > 9 || octets < frames*frameLength {
			t.Errorf("framing %d: %d frames, %d octets lost; %+v of %+v", framing, frames, octets, b, a)
		}
		if g, why := Judge(a, b, 33600, 0); g != Poor || why == "" {
			t.Errorf("framing %d: %s, %s", framing, g, why)
		}
		if g, _ := Judge(b, a, 33600, 0); g != Good {
			t.Errorf("framing %d: the other way is %s", framing, g)
		}
	}
}

// What is on the line before the other end is heard does not count, whatever it is; the answering end is silent until then.
func TestNoiseBeforeTheOtherEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		two := Start(Config{Line: b, Framing: line.FramingAsync, Speed: 9600, Token: 7})
		other := frame{token: 8, caller: true, number: 1}
		echo := frame{token: 7, number: 1}
		for _, octets := range [][]byte{
			[]byte("\r\nLogin: ~~~~"), hdlc.AppendFrame(nil, other.append(nil), hdlc.DefaultACCM), hdlc.AppendFrame(nil, echo.append(nil), hdlc.DefaultACCM),
		} {
			if _, err := a.Write(octets); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		select {
		case <-two.Heard():
			t.Fatal("an echo, or a frame of another test, is taken for the other end")
		default:
		}
		if c := two.Counters(); c != (Counters{}) {
			t.Errorf("counted are %+v", c)
		}
		if _, err := a.Write(hdlc.AppendFrame(nil, frame{token: 7, caller: true, number: 1}.append(nil), hdlc.DefaultACCM)); err != nil {
			t.Fatal(err)
		}
		<-two.Heard()
		if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("no answer: %v", err)
		}
		_, _ = a.Close(), b.Close()
		<-two.Done()
	})
}

// Somebody who speaks PPP is left alone: not an octet goes to him, and nothing more is read.
func TestStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		two := Start(Config{Line: b, Framing: line.FramingAsync, Speed: 9600, Token: 7})
		if _, err := a.Write(hdlc.AppendFrame(nil, []byte{0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4}, hdlc.DefaultACCM)); err != nil {
			t.Fatal(err)
		}
		<-two.Stranger()
		<-two.Done()
		go func() { _, _ = a.Write([]byte("x")) }()
		if n, err := b.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Errorf("read %d octets, %v", n, err)
		}
		_, _ = a.Close(), b.Close()
	})
}

func TestFrames(t *testing.T) {
	f := frame{token: 1 << 31, caller: true, counted: true, number: 70000, seen: 3, held: 250 * time.Millisecond}
	octets := f.append(nil)
	if got, ok := parse(octets); !ok || got != f {
		t.Errorf("%+v became %+v", f, got)
	}
	for i := range octets {
		octets[i] ^= 0x10
		if got, ok := parse(octets); ok && got == f {
			t.Errorf("a fault in octet %d is not seen", i)
		}
		octets[i] ^= 0x10
	}
	for _, wrong := range [][]byte{nil, octets[1:], append(octets, 0)} {
		if _, ok := parse(wrong); ok {
			t.Errorf("%d octets are a frame", len(wrong))
		}
	}
	for want, lcp := range map[bool][][]byte{
		true:  {{0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4, 0}, {0xc0, 0x21, 1, 1, 0, 4, 0}},
		false: {nil, {0xc0, 0x21}, {0xff, 0x03, 0x00, 0x21, 1, 1, 0, 4, 0}, octets},
	} {
		for _, o := range lcp {
			if isLCP(o) != want {
				t.Errorf("% x: %v", o, !want)
			}
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		sent, received, damaged uint64
		speed                   uint32
		want                    Grade
	}{
		{0, 0, 0, 33600, Failed},
		{200, 0, 200, 33600, Failed},
		{200, 100, 100, 33600, Failed},
		{200, 101, 99, 33600, Poor},
		{200, 198, 2, 33600, Poor},
		{200, 199, 1, 33600, Good},
		{200, 200, 2, 33600, Poor},
		{200, 200, 0, 14400, Poor},
		{200, 200, 0, 28800, Good},
	} {
		got, why := Judge(Counters{FramesSent: c.sent}, Counters{FramesReceived: c.received, Damaged: c.damaged}, c.speed, 28800)
		if got != c.want || (why == "") != (got == Good) {
			t.Errorf("%+v: %s, %q", c, got, why)
		}
	}
	for _, c := range []struct {
		grade, least Grade
		want         bool
	}{{Good, Good, true}, {Poor, Good, false}, {Poor, Poor, true}, {Failed, Poor, false}, {"", Poor, false}} {
		if got := c.grade.Passes(c.least); got != c.want {
			t.Errorf("%q, at least %q: %v", c.grade, c.least, got)
		}
	}
}
