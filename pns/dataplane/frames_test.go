package dataplane

import (
	"bytes"
	"testing"
	"testing/synctest"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel/gretest"
)

// Frames wait for Flush, keep their order, and go to nobody whose call is removed.
func TestFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		a, b, gone := w.dial("198.51.100.7", "10.8.0.2", Network{}), w.dial("198.51.100.8", "10.8.0.3", Network{}), w.dial("2001:db8::9", "10.8.0.4", Network{})
		f := w.plane.NewFrames()
		frame := func(n byte) []byte { return []byte{0xff, 3, 0xc0, 0x21, 9, n, 0, 4} }
		expect := func(p *peer, what string, numbers ...byte) {
			t.Helper()
			p.got = nil
			p.receive()
			ok := len(p.got) == len(numbers)
			for i := range numbers {
				ok = ok && bytes.Equal(p.got[i], frame(numbers[i]))
			}
			if !ok {
				t.Fatalf("%s: % x, want %v", what, p.got, numbers)
			}
		}
		mine := frame(1)
		f.Send(a.entry, mine)
		mine[5] = 99 // it is not kept
		f.Send(b.entry, frame(2))
		f.Send(gone.entry, frame(3))
		f.Send(a.entry, frame(4))
		f.Send(a.entry, make([]byte, gre.MaxPayload+1))
		expect(a, "before Flush")
		gone.entry.Remove()
		f.Flush()
		expect(a, "two frames of a call", 1, 4)
		expect(b, "one of another", 2)
		expect(gone, "the call has been removed")

		f.Send(a.entry, frame(5))
		f.FlushOf(b.entry)
		expect(a, "another call's frames are asked for")
		f.FlushOf(a.entry)
		expect(a, "its frames are asked for", 5)

		var all []byte
		for n := range byte(framesTogether) {
			f.Send(b.entry, frame(n))
			all = append(all, n)
		}
		expect(b, "as many as leave together", all...)
		f.Send(b.entry, make([]byte, gre.MaxPayload))
		for range 2 {
			f.Send(a.entry, make([]byte, frameMemory/2))
		}
		f.Flush()
		if cap(f.memory) > frameMemory {
			t.Errorf("%d octets are kept", cap(f.memory))
		}
		if c := a.entry.Counters(); c.FramesOut != 5 {
			t.Errorf("%d frames counted", c.FramesOut)
		}
	})
}
