package relay

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
)

// stubLine is a line that costs nothing.
type stubLine struct {
	line.Line
	in  chan []byte // what Read returns
	out chan int    // how long each Write was
}

func (l *stubLine) Read(p []byte) (int, error) {
	b, open := <-l.in
	if !open {
		return 0, io.EOF
	}
	return copy(p, b), nil
}

func (l *stubLine) Write(p []byte) (int, error) {
	l.out <- len(p)
	return len(p), nil
}

// stubConn is a socket that costs nothing.
type stubConn struct {
	tunnel.Conn
	sent chan int // has an element when packets were sent: how long the first one was
}

func (c *stubConn) WriteBatch(batch []tunnel.Packet) (int, error) {
	select {
	case c.sent <- len(batch[0].Data):
	default: // nobody waits
	}
	return len(batch), nil
}

// stubRelay is a relay between the two.
func stubRelay(t testing.TB) (*Relay, *stubLine, *stubConn) {
	t.Helper()
	l := &stubLine{in: make(chan []byte), out: make(chan int, 1)}
	c := &stubConn{sent: make(chan int, 1)}
	r, err := Start(Config{
		Line: l, Connected: line.Connected{Framing: line.FramingAsync}, Mux: tunnel.NewMux(c, tunnel.MuxConfig{}), Remote: netip.MustParseAddr("192.0.2.2"),
		PACCallID: pacCallID, PNSCallID: pnsCallID, PNSWindow: 64, Window: 64,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.SetACCM(0, 0)
	t.Cleanup(func() {
		r.Stop()
		close(l.in)
		<-r.Done()
	})
	return r, l, c
}

// benchFrame is one of 1304 octets.
func benchFrame() []byte {
	frame := []byte{0xff, 0x03, 0x00, 0x21}
	for i := range 1300 {
		frame = append(frame, byte(i*7))
	}
	return frame
}

// fromLine has the relay carry one frame from the line, which comes in pieces, to the network server, which acknowledges it.
func fromLine(r *Relay, l *stubLine, c *stubConn, stuffed []byte, sequence uint32) {
	const piece = 64
	select {
	case <-c.sent: // an acknowledgement of before
	default:
	}
	for b := stuffed; len(b) > 0; b = b[min(piece, len(b)):] {
		l.in <- b[:min(piece, len(b))]
	}
	<-c.sent
	r.deliver(time.Now(), gre.Header{CallID: pacCallID, HasAck: true, Ack: sequence}, nil)
}

// toLine has it carry one the other way.
func toLine(r *Relay, l *stubLine, c *stubConn, frame []byte, sequence uint32) {
	r.deliver(time.Now(), gre.Header{CallID: pacCallID, HasSequence: true, Sequence: sequence, PayloadLength: uint16(len(frame))}, frame)
	<-l.out
}

func BenchmarkFromLine(b *testing.B) {
	r, l, c := stubRelay(b)
	stuffed := hdlc.AppendFrame(nil, benchFrame(), 0)
	b.SetBytes(int64(len(stuffed)))
	b.ReportAllocs()
	for n := uint32(0); b.Loop(); n++ {
		fromLine(r, l, c, stuffed, n)
	}
}

func BenchmarkToLine(b *testing.B) {
	r, l, c := stubRelay(b)
	frame := benchFrame()
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for n := uint32(0); b.Loop(); n++ {
		toLine(r, l, c, frame, n)
	}
}

// A frame costs no memory, in neither direction.
func TestFramesCostNoMemory(t *testing.T) {
	r, l, c := stubRelay(t)
	frame := benchFrame()
	stuffed := hdlc.AppendFrame(nil, frame, 0)
	n := uint32(0)
	if allocs := testing.AllocsPerRun(200, func() {
		fromLine(r, l, c, stuffed, n)
		toLine(r, l, c, frame, n)
		n++
	}); allocs > 0 {
		t.Errorf("%v allocations for a frame each way", allocs)
	}
}
