package office

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/shared/hdlc"
)

// frames returns so many PPP frames in HDLC-like framing.
func frames(n int) []byte {
	var b []byte
	for i := range n {
		b = hdlc.AppendFrame(b, append([]byte{0xff, 0x03, 0x00, 0x21}, bytes.Repeat([]byte{byte(i)}, 30)...), 0xffffffff)
	}
	return b
}

// What a line does to frames is what their receiver counts.
func TestTroubleOfALine(t *testing.T) {
	cfg := config()
	cfg.Lines[lineC].Trouble = Trouble{Sends: circuit.Impairment{FrameErrorRate: 0.2, FrameAbortRate: 0.1}, Receives: circuit.Impairment{FrameErrorRate: 0.1}}
	w := newWorld(t, cfg)
	w.connect("", "")
	w.clients[lineA].send, w.clients[lineC].send = frames(500), frames(500)
	w.run(time.Minute)
	c := w.o.Status(w.now).Calls[0]
	for i, n := range map[int]circuit.Counters{lineA: c.Forward, lineC: c.Backward} {
		d := hdlc.NewDeframer(0)
		for got := []byte(w.take(i)); len(got) > 0; {
			_, got = d.Next(got)
		}
		h := d.Counters()
		if h.FCSErrors != n.FramesDamaged || h.Aborts != n.FramesAborted || h.Frames+h.FCSErrors+h.Aborts != 500 || n.FramesDamaged == 0 {
			t.Errorf("line %d: done %+v, received %+v", i, n, h)
		}
	}
	if c.Forward.FramesAborted == 0 || c.Backward.FramesAborted != 0 {
		t.Errorf("%+v", c)
	}
}

// Retrains hold both directions up, lose nothing, and come as often as they should; then the carrier is lost.
func TestRetrainsAndDrops(t *testing.T) {
	cfg := config()
	cfg.Lines[lineA].Trouble = Trouble{RetrainEvery: 20 * time.Second, RetrainTime: 5 * time.Second}
	cfg.Lines[lineC].Trouble = Trouble{RetrainEvery: 20 * time.Second, DropEvery: 20 * time.Minute}
	w := newWorld(t, cfg)
	drops, retrains, up := 0, 0.0, time.Duration(0)
	for call := range 20 {
		cfg.Seed[0] = byte(call)
		w.o, _ = New(cfg)
		w.cfg = cfg
		for i := range w.clients {
			w.o.Attach(w.now, i, 115200)
		}
		w.connect("", "")
		data := frames(400)
		w.clients[lineC].send = bytes.Clone(data)
		w.run(30 * time.Second)
		if c := w.o.Status(w.now).Calls; len(c) == 1 && w.take(lineA) != string(data) {
			t.Error("data are lost in a retrain")
		}
		w.run(20*time.Minute - 30*time.Second)
		s := w.o.Status(w.now)
		calls := s.Calls
		if len(calls) == 0 {
			drops++
			calls = s.Recent
			if got := w.take(lineC); !strings.Contains(got, "NO CARRIER") {
				t.Errorf("the caller reads %q at the loss of its carrier", got)
			}
		}
		c := calls[0]
		if c.Forward.Pauses != c.Backward.Pauses {
			t.Errorf("a retrain in one direction only: %+v", c)
		}
		end := c.Ended
		if end.IsZero() {
			end = w.now
		}
		retrains, up = retrains+float64(c.Forward.Pauses), up+end.Sub(c.Up)
	}
	if want := up.Seconds() / 15; math.Abs(retrains-want) > 0.15*want { // every 10 s, and 5 s long
		t.Errorf("%v retrains in %v", retrains, up)
	}
	if drops < 7 || drops > 18 {
		t.Errorf("%d of 20 calls lost their carrier", drops)
	}
}

// Noise at CONNECT reaches the clients only where there is no error control.
func TestConnectNoise(t *testing.T) {
	for _, plain := range []bool{true, false} {
		cfg := config()
		cfg.Lines[lineC].NoErrorControl = plain
		cfg.Lines[lineC].Trouble.ConnectNoise = 1000
		w := newWorld(t, cfg)
		w.ask(lineA, "ATE0", time.Second)
		w.ask(lineC, "ATE0DT1", time.Second)
		w.clients[lineA].send = []byte("ATA\r")
		w.run(5 * time.Second)
		got := w.take(lineA)
		c := w.o.Status(w.now).Calls[0]
		_, noise, _ := strings.Cut(got, "33600\r\n")
		if len(noise) != int(c.Forward.GarbageOctets) || plain != (len(noise) > 0) {
			t.Errorf("no error control %v: %d octets of noise after CONNECT, %+v", plain, len(noise), c.Forward)
		}
	}
}

// The tone of call waiting holds up what the line receives, or drowns it where there is no error control; the call goes on.
func TestCallWaitingDisturbs(t *testing.T) {
	for _, plain := range []bool{false, true} {
		cfg := config()
		cfg.Lines[lineA].CallWaiting, cfg.Lines[lineA].NoErrorControl = true, plain
		w := newWorld(t, cfg)
		w.connect("", "")
		w.ask(lineD, "ATE0X4DT1", 7*time.Second)
		c := w.o.Status(w.now).Calls
		if len(c) != 1 {
			t.Fatal("the call has not survived the tone")
		}
		n, back := c[0].Forward, c[0].Backward
		if plain && n.GarbageOctets != 2*1478 || !plain && n.Pauses != 2 || back.GarbageOctets+back.Pauses > 0 {
			t.Errorf("no error control %v: %+v, %+v", plain, n, back)
		}
		w.o.Detach(w.now, lineA)
		w.run(200 * time.Millisecond)
		w.o.Attach(w.now, lineA, 115200)
		w.clients[lineA].got = nil
		w.run(7 * time.Second)
		if got := w.take(lineA); !strings.Contains(got, "RING") {
			t.Errorf("who waited does not ring: %q", got)
		}
	}
}

// The same seed does the same things at the same times; another does others.
func TestSeeds(t *testing.T) {
	play := func(seed byte) string {
		cfg := config()
		cfg.Seed[0] = seed
		p, _ := NamedProfile("raw")
		cfg.Lines[lineC].Become(p)
		w := newWorld(t, cfg)
		w.moves = 0
		w.connect("", "")
		w.clients[lineA].send = bytes.Repeat([]byte{0x55}, 40000)
		w.run(time.Minute)
		return w.take(lineC)
	}
	first := play(1)
	if again := play(1); again != first {
		t.Error("the same seed gives different errors")
	}
	if play(2) == first {
		t.Error("different seeds give the same errors")
	}
}

// A call comes up and passes data on every kind of line.
func TestProfiles(t *testing.T) {
	if _, known := NamedProfile("perfect"); known {
		t.Error("there is a perfect line")
	}
	for _, name := range ProfileNames() {
		p, known := NamedProfile(name)
		if !known {
			t.Fatal(name)
		}
		cfg := config()
		cfg.Lines[lineC].Become(p)
		cfg.Lines[lineC].Trouble.TrainingFailures = 0
		w := newWorld(t, cfg)
		w.connect("", "")
		w.clients[lineA].send, w.clients[lineC].send = frames(100), frames(100)
		w.run(time.Minute)
		if c := w.o.Status(w.now).Calls; len(c) == 1 && (c[0].Forward.Delivered < 3500 || c[0].Backward.Delivered < 3500) {
			t.Errorf("%s: %+v", name, c[0])
		}
		if l := cfg.Lines[lineC]; p.Transmit != 0 && l.Transmit != p.Transmit || l.Latency != p.Latency || l.NoErrorControl != p.NoErrorControl {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestTroubleIsChecked(t *testing.T) {
	for _, bad := range []Trouble{
		{Receives: circuit.Impairment{FrameErrorRate: 1.1}}, {Sends: circuit.Impairment{BitErrorRate: math.NaN()}}, {Sends: circuit.Impairment{Burst: -1}},
		{RetrainEvery: -1}, {RetrainTime: -1}, {DropEvery: -1}, {ConnectNoise: -1}, {ConnectNoise: 1 << 20}, {TrainingFailures: 2},
	} {
		cfg := config()
		cfg.Lines[lineB].Trouble = bad
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "line b: ") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	cfg := config()
	cfg.Lines[lineB].Trouble.TrainingFailures = 1
	w := newWorld(t, cfg)
	w.ask(lineC, "ATE0DT2", time.Second)
	w.ask(lineB, "ATA", 3*time.Second)
	if got := w.take(lineC); !strings.Contains(got, "NO CARRIER") {
		t.Errorf("the caller of a line whose modem finds no carrier reads %q", got)
	}
}
