package relay

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

var (
	pacAddress = netip.MustParseAddr("192.0.2.1")
	pnsAddress = netip.MustParseAddr("192.0.2.2")
)

const (
	pacCallID = 7
	pnsCallID = 9
)

// rig is a relay between a fake line and a GRE socket in the hands of the test.
type rig struct {
	t     *testing.T
	line  line.Line
	far   *linetest.FakeLine
	pns   tunnel.Conn
	relay *Relay
	stop  func()
}

func newRig(t *testing.T, window uint16) *rig {
	t.Helper()
	fake := linetest.NewFake(line.Identity{})
	lines, err := fake.Open(t.Context(), line.Section{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, line: lines[0], far: fake.Lines()[0]}
	call, err := r.line.Dial(t.Context(), line.DialRequest{Number: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.far.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	network := gretest.New(gretest.Config{})
	ours, err := network.Listen(pacAddress)
	if err != nil {
		t.Fatal(err)
	}
	if r.pns, err = network.Listen(pnsAddress); err != nil {
		t.Fatal(err)
	}
	mux := tunnel.NewMux(ours, tunnel.MuxConfig{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		_ = mux.Run(ctx)
		close(ended)
	}()
	r.relay, err = Start(Config{
		Line: r.line, Connected: line.Connected{Framing: line.FramingAsync}, Mux: mux, Remote: pnsAddress,
		PACCallID: pacCallID, PNSCallID: pnsCallID, PNSWindow: 16, Window: window,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.stop = func() {
		r.relay.Stop()
		r.relay.Stop()
		_ = r.line.Hangup(t.Context(), call)
		<-r.relay.Done()
		cancel()
		<-ended
		_ = r.pns.Close()
		if err := r.line.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	return r
}

// packet is a data frame of that number.
func packet(n byte) []byte { return []byte{0xff, 0x03, 0x00, 0x21, n, 0x7e, 0x11} }

func (r *rig) send(sequence uint32, payload []byte) {
	r.t.Helper()
	h := gre.Header{CallID: pacCallID, HasSequence: true, Sequence: sequence, PayloadLength: uint16(len(payload))}
	if _, err := r.pns.WriteBatch([]tunnel.Packet{{Remote: pacAddress, Data: append(h.Append(nil), payload...)}}); err != nil {
		r.t.Fatal(err)
	}
}

// onLine takes so many frames off the line.
func (r *rig) onLine(n int) [][]byte {
	r.t.Helper()
	var frames [][]byte
	d := hdlc.NewDeframer(0)
	for len(frames) < n {
		octet, err := r.far.Receive(r.t.Context(), 1)
		if err != nil {
			r.t.Fatal(err)
		}
		if frame, _ := d.Next(octet); frame != nil {
			frames = append(frames, append([]byte(nil), frame...))
		}
	}
	return frames
}

// next takes one packet off the tunnel.
func (r *rig) next() (gre.Header, []byte) {
	r.t.Helper()
	batch := tunnel.NewBatch(1)
	if _, err := r.pns.ReadBatch(batch); err != nil {
		r.t.Fatal(err)
	}
	h, payload, err := gre.Parse(batch[0].Data)
	if err != nil {
		r.t.Fatal(err)
	}
	return h, payload
}

func TestPacketsAreOrderedBeforeTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 16)
		defer r.stop()
		// The numbers wrap around in the middle, and two change places.
		r.send(0xffffffff, packet(1))
		r.send(1, packet(3))
		r.send(0, packet(2))
		for i, frame := range r.onLine(3) {
			if !bytes.Equal(frame, packet(byte(i+1))) {
				t.Errorf("frame %d is % x", i, frame)
			}
		}
		if c := r.relay.Counters(); c.Reordered != 1 || c.Lost != 0 || c.FramesOut != 3 || c.TunnelReceived != 3 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestMissingPacketIsWaitedForOnlyAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 16)
		defer r.stop()
		r.send(0, packet(1))
		r.send(2, packet(3))
		frames := r.onLine(2)
		if !bytes.Equal(frames[1], packet(3)) || r.relay.Counters().Lost != 1 {
			t.Errorf("frames % x, counters %+v", frames, r.relay.Counters())
		}
	})
}

// What the line has not taken is not acknowledged, and what does not fit into the queue is dropped and counted.
func TestAcknowledgementMeansTheLineHasTakenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4)
		defer r.stop()
		big := append(packet(1), bytes.Repeat([]byte{0x55}, 1400)...)
		// The fake line holds linetest.FakeBuffer octets: two such frames, and a part of the third.
		const sent = 12 + spare
		for n := range uint32(sent) {
			r.send(n, big)
			synctest.Wait()
		}
		c := r.relay.Counters()
		if c.FramesOut != linetest.FakeBuffer/1400 || c.LineDropped != sent-c.FramesOut-1-4-spare {
			t.Errorf("while the line stands still: %+v", c)
		}
		h, _ := r.next()
		if !h.HasAck || uint64(h.Ack) != c.FramesOut-1 {
			t.Errorf("acknowledged %+v, the line has taken %d frames", h, c.FramesOut)
		}
		r.onLine(7 + spare)
		synctest.Wait()
		if c := r.relay.Counters(); c.FramesOut != 7+spare {
			t.Errorf("in the end: %+v", c)
		}
	})
}

func TestAcknowledgementIsPiggybackedOrComesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 16)
		defer r.stop()
		r.send(5, packet(1))
		r.onLine(1)
		synctest.Wait()
		if err := r.far.Send(t.Context(), hdlc.AppendFrame(nil, packet(2), hdlc.DefaultACCM)); err != nil {
			t.Fatal(err)
		}
		if h, payload := r.next(); !h.HasAck || h.Ack != 5 || !bytes.Equal(payload, packet(2)) || h.CallID != pnsCallID {
			t.Errorf("the frame from the line came as %+v % x", h, payload)
		}
		began := time.Now()
		r.send(6, packet(3))
		r.onLine(1)
		h, payload := r.next()
		if waited := time.Since(began); !h.HasAck || h.Ack != 6 || len(payload) > 0 || waited > 100*time.Millisecond {
			t.Errorf("after %v: %+v with %d octets", waited, h, len(payload))
		}
	})
}

// The network server's window holds the line back once it acknowledges; nothing is lost by that, and a stopped relay does not wait.
func TestWindowOfTheNetworkServerIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 16)
		defer r.stop()
		line := func(n int) {
			t.Helper()
			if err := r.far.Send(t.Context(), hdlc.AppendFrame(nil, packet(byte(n)), hdlc.DefaultACCM)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		acknowledge := func(sequence uint32) {
			t.Helper()
			if _, err := r.pns.WriteBatch([]tunnel.Packet{{Remote: pacAddress, Data: gre.Header{CallID: pacCallID, HasAck: true, Ack: sequence}.Append(nil)}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		line(0)
		acknowledge(0)
		const frames = 40
		for n := range frames - 1 {
			line(n + 1)
		}
		c := r.relay.Counters()
		if c.Flow.Enforcement != gre.EnforcementOn || c.TunnelSent > 1+16 || c.Stalls == 0 {
			t.Fatalf("%d packets sent beyond what was acknowledged: %+v", c.TunnelSent, c)
		}
		for n := range uint32(frames) {
			h, payload := r.next()
			if h.Sequence != n || !bytes.Equal(payload, packet(byte(n))) {
				t.Fatalf("packet %d: %+v % x", n, h, payload)
			}
			acknowledge(n)
		}
		if c := r.relay.Counters(); c.TunnelDropped != 0 || c.Flow.InFlight != 0 {
			t.Errorf("counters %+v", c)
		}
		for n := range frames {
			line(n)
		}
	})
}

func TestLongGarbageIsOneError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 16)
		defer r.stop()
		noise := append(append([]byte{0x7e}, bytes.Repeat([]byte("noise"), 1000)...), 0x7e)
		if err := r.far.Send(t.Context(), append(noise, hdlc.AppendFrame(nil, packet(1), hdlc.DefaultACCM)...)); err != nil {
			t.Fatal(err)
		}
		if _, payload := r.next(); !bytes.Equal(payload, packet(1)) {
			t.Errorf("after the noise came % x", payload)
		}
		if c := r.relay.Counters(); c.Oversized != 1 || c.FCSErrors != 0 || c.FramesIn != 1 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestCallIDInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 16)
		defer r.stop()
		if _, err := Start(r.relay.cfg); err == nil {
			t.Error("a second relay started on the same Call ID")
		}
		if _, err := Start(Config{}); err == nil {
			t.Error("a relay started without a window")
		}
	})
}
