package relay

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
)

// wire is a line in the hands of the test: what Read returns, and what Write does.
type wire struct {
	line.Line // nil: a relay only reads and writes
	in        chan received
	write     func([]byte) (int, error)
}

type received struct {
	octets []byte
	err    error
}

func (w *wire) Read(p []byte) (int, error) {
	r := <-w.in
	return copy(p, r.octets), r.err
}

func (w *wire) Write(p []byte) (int, error) { return w.write(p) }

// newWireRig is a relay on a wire; the end of the call is the test's to tell.
func newWireRig(t *testing.T, connected line.Connected, write func([]byte) (int, error)) (*rig, *wire) {
	t.Helper()
	w := &wire{in: make(chan received), write: write}
	r := &rig{t: t}
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
	if r.relay, err = Start(Config{
		Line: w, Connected: connected, Mux: mux, Remote: pnsAddress, PACCallID: pacCallID, PNSCallID: pnsCallID, PNSWindow: 16, Window: 4,
	}); err != nil {
		t.Fatal(err)
	}
	r.stop = func() {
		r.relay.Stop()
		w.in <- received{nil, io.EOF}
		<-r.relay.Done()
		cancel()
		<-ended
		_ = r.pns.Close()
	}
	return r, w
}

// Writes that end with the call are no time-outs of the line, and what the network server sends until it knows is no overrun.
func TestEndOfCallIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newWireRig(t, line.Connected{Framing: line.FramingAsync}, func([]byte) (int, error) { return 3, line.ErrNotConnected })
		defer r.stop()
		for n := range uint32(20) {
			r.send(n, packet(byte(n)))
			synctest.Wait()
		}
		if c := r.relay.Counters(); c.Stalled != 0 || c.LineDropped != 0 || c.FramesOut != 0 {
			t.Errorf("counters %+v", c)
		}
	})
}

// A stalled line has taken a part of a frame: the next one must not look like the rest of it.
func TestFrameAfterAStallIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line2 bytes.Buffer
		writes := 0
		r, _ := newWireRig(t, line.Connected{Framing: line.FramingAsync}, func(p []byte) (int, error) {
			if writes++; writes == 2 {
				line2.Write(p[:4])
				return 4, line.ErrStalled
			}
			return line2.Write(p)
		})
		defer r.stop()
		for n := range uint32(3) {
			r.send(n, packet(byte(n)))
		}
		synctest.Wait()
		var frames [][]byte
		d := hdlc.NewDeframer(0)
		for octets := line2.Bytes(); len(octets) > 0; {
			var frame []byte
			if frame, octets = d.Next(octets); frame != nil {
				frames = append(frames, bytes.Clone(frame))
			}
		}
		if len(frames) != 2 || !bytes.Equal(frames[1], packet(2)) {
			t.Errorf("on the line: % x", frames)
		}
		if c := r.relay.Counters(); c.Stalled != 1 || c.FramesOut != 2 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestSynchronousFramesPassWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out [][]byte
		r, w := newWireRig(t, line.Connected{Framing: line.FramingSync}, func(p []byte) (int, error) {
			out = append(out, bytes.Clone(p))
			return len(p), nil
		})
		defer r.stop()
		frame := []byte{0xff, 0x03, 0x00, 0x21, 0x7e, 0x7d, 0x11}
		w.in <- received{nil, line.ErrInvalid} // longer than the relay takes
		w.in <- received{frame, nil}
		if _, payload := r.next(); !bytes.Equal(payload, frame) {
			t.Errorf("to the network server: % x", payload)
		}
		r.send(0, frame)
		synctest.Wait()
		if len(out) != 1 || !bytes.Equal(out[0], frame) {
			t.Errorf("to the line: % x", out)
		}
		if c := r.relay.Counters(); c.Oversized != 1 || c.FramesIn != 1 || c.FramesOut != 1 {
			t.Errorf("counters %+v", c)
		}
	})
}

// Packets without a payload carry nothing to the line, but a sender that keeps its window waits for their acknowledgement; and for
// that of packets for which there was no room, as soon as there is nothing else to wait for.
func TestNothingStaysUnacknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r, _ := newWireRig(t, line.Connected{Framing: line.FramingAsync}, func(p []byte) (int, error) {
			<-gate
			return len(p), nil
		})
		defer r.stop()
		r.send(0, nil)
		if h, payload := r.next(); !h.HasAck || h.Ack != 0 || len(payload) > 0 {
			t.Errorf("after an empty packet: %+v", h)
		}
		const sent = 10 + spare
		for n := range uint32(sent) { // one is being written, as many wait as have room
			r.send(n+1, packet(byte(n)))
			synctest.Wait()
		}
		close(gate)
		h, _ := r.next()
		for h.Ack != sent {
			began := time.Now()
			if h, _ = r.next(); time.Since(began) > time.Second {
				t.Fatal("the last acknowledgement did not come in time")
			}
		}
		if c := r.relay.Counters(); c.LineDropped != 5 || c.FramesOut != 5+spare {
			t.Errorf("counters %+v", c)
		}
	})
}

// A packet that waits for one before it has not been taken by the line.
func TestHeldPacketIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := newWireRig(t, line.Connected{Framing: line.FramingAsync}, func(p []byte) (int, error) { return len(p), nil })
		defer r.stop()
		r.send(0, packet(0))
		if h, _ := r.next(); h.Ack != 0 {
			t.Errorf("%+v", h)
		}
		began := time.Now()
		r.send(2, packet(2))
		h, _ := r.next()
		if waited := time.Since(began); h.Ack != 2 || waited < gre.DefaultReorderTime {
			t.Errorf("%+v after %v", h, waited)
		}
	})
}

// Whatever the network server puts into a packet reaches the line as one frame.
func TestLargeFramesToTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r, _ := newWireRig(t, line.Connected{Framing: line.FramingAsync}, out.Write)
		defer r.stop()
		big := append(packet(1), bytes.Repeat([]byte{0x7d}, 1600)...)
		r.send(0, big)
		synctest.Wait()
		d := hdlc.NewDeframer(2000)
		if frame, _ := d.Next(out.Bytes()); !bytes.Equal(frame, big) {
			t.Errorf("%d octets came out as a frame of %d", len(big), len(frame))
		}
	})
}
