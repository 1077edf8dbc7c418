package dataplane

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/trace"
	"trunkline.example/test/capture"
)

// A trace has the packets of its call in both directions as they are on the wire: encrypted, and as often as they were there.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted()})
		other := w.dial("198.51.100.8", "10.8.0.3", Network{Encryption: encrypted()})
		one, err := w.plane.Traces().Start(time.Now(), "t", trace.Scope{Peer: p.conn.Local()}, trace.Options{})
		if err != nil {
			t.Fatal(err)
		}
		in := p.gre(p.frame(numbered("10.8.0.2", "203.0.113.9", 1, 100)))
		p.raw(bytes.Clone(in))
		other.send(numbered("10.8.0.3", "203.0.113.9", 1, 100))
		if got := w.tunneled(); len(got) != 2 {
			t.Fatalf("%d packets came through", len(got))
		}
		w.inject(numbered("203.0.113.9", "10.8.0.2", 1, 100))
		w.inject(numbered("203.0.113.9", "10.8.0.3", 1, 100))
		if got := p.receive(); len(got) != 1 {
			t.Fatalf("%d packets came back", len(got))
		}
		p.w.control(p.entry, []byte{0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0})
		synctest.Wait()
		w.plane.Traces().Stop("t", "enough")
		var file bytes.Buffer
		if _, err := one.Run(context.Background(), &file); err != nil {
			t.Fatal(err)
		}
		f, err := capture.ReadTrace(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		var seen [2][][]byte
		for _, packet := range f.Packets {
			payload := packet.Data[ipv4HeaderMin:]
			if packet.Sent {
				seen[1] = append(seen[1], payload)
			} else {
				seen[0] = append(seen[0], payload)
			}
		}
		if len(seen[0]) != 1 || !bytes.Equal(seen[0][0], in) {
			t.Errorf("received % x, in the trace % x", in, seen[0])
		}
		if n := len(seen[1]); n < 2 || !bytes.HasSuffix(seen[1][0], p.got[0]) || !bytes.HasSuffix(seen[1][n-1], []byte{0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0}) {
			t.Errorf("sent % x, in the trace % x", p.got, seen[1])
		}
	})
}
