package relay

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/line"
)

func TestPaceOfLines(t *testing.T) {
	for name, c := range map[string]struct {
		line   line.Connected
		second int // octets
	}{
		"error control":       {line.Connected{TxSpeed: 33600, SpeedKnown: true, ErrorControl: "LAPM", DTESpeed: 115200}, 3907},
		"none":                {line.Connected{TxSpeed: 33600, SpeedKnown: true, ErrorControl: "none"}, 3360},
		"not told":            {line.Connected{TxSpeed: 33600, SpeedKnown: true}, 3907},
		"port slower":         {line.Connected{TxSpeed: 115200, SpeedKnown: true, ErrorControl: "LAPM", DTESpeed: 38400}, 3840},
		"ISDN":                {line.Connected{TxSpeed: 64000, SpeedKnown: true, Framing: line.FramingSync}, 7442},
		"speed only assumed":  {line.Connected{TxSpeed: 33600}, 0},
		"nothing is known":    {line.Connected{SpeedKnown: true}, 0},
		"compresses, but not": {line.Connected{TxSpeed: 33600, SpeedKnown: true, Compression: "none"}, 3907},
	} {
		if c.line.Framing == 0 {
			c.line.Framing = line.FramingAsync
		}
		p := newPace(c.line)
		if p.octet == 0 {
			if c.second != 0 {
				t.Errorf("%s: no model", name)
			}
			continue
		}
		if got := int((time.Second + p.octet/2) / p.octet); got < c.second-1 || got > c.second+1 || p.compress {
			t.Errorf("%s: %d octets a second, want %d; compress %v", name, got, c.second, p.compress)
		}
	}
}

// What a compressor gains is estimated with care: text takes less time, noise of no length does.
func TestCompressed(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.NewChaCha8([32]byte{byte(seed)})
	for _, n := range []int{0, 1, 40, 64, 100, 300, 576, 1500} {
		b := make([]byte, n)
		_, _ = random.Read(b)
		if got := compressed(b); got != 1 {
			t.Errorf("%d octets of noise: %.3f", n, got)
		}
	}
	text := []byte(strings.Repeat("It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife. ", 8))
	if got := compressed(text); got < 0.4 || got > 0.65 {
		t.Errorf("text: %.3f", got)
	}
	if got := compressed(bytes.Repeat([]byte{7}, 1000)); got > 0.01 {
		t.Errorf("one value: %.3f", got)
	}
}

// However much a line would take at once, it gets what it can carry, and that is acknowledged then: the network server's window holds back
// the rest.
func TestLineIsNotFlooded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken atomic.Int64
		connected := line.Connected{Framing: line.FramingSync, TxSpeed: 34400, SpeedKnown: true} // 4000 octets a second
		r, _ := newWireRig(t, connected, func(p []byte) (int, error) {
			taken.Add(int64(len(p)))
			return len(p), nil
		})
		defer r.stop()
		began := time.Now()
		frame := append(packet(1), bytes.Repeat([]byte{0x55}, 400-len(packet(1)))...)
		for n := range uint32(10) {
			r.send(n, frame)
			synctest.Wait()
		}
		if n := taken.Load(); n > 400 {
			t.Fatalf("%d octets at once", n)
		}
		var last gre.Header
		for last.Ack != 9 {
			last, _ = r.next()
			// The last frame may have begun a moment before the line is free for it.
			if n := taken.Load(); time.Since(began) < time.Duration(n-400)*time.Second/4000-ahead {
				t.Fatalf("%d octets after %v", n, time.Since(began))
			}
		}
		if took := time.Since(began); took < 900*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("4000 octets took %v", took)
		}
	})
}
