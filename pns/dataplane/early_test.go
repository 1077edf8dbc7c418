package dataplane

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre/tunnel/gretest"
)

// What an eager client sends before the network is open reaches it in order, and no more than is reasonable; and again when it has negotiated
// anew. What it sent before that, under other keys, does not.
func TestEarlyData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, gretest.Config{}, nil)
		defer w.close()
		p := w.dial("198.51.100.7", "10.8.0.2", Network{})
		p.entry.Remove()
		p.register(Call{})
		p.crypt = encrypted()
		p.crypt.SendKey, p.crypt.ReceiveKey = p.crypt.ReceiveKey, p.crypt.SendKey
		for round := range uint64(2) {
			p.entry.Shut()
			if round > 0 {
				p.send(numbered("10.8.0.2", "203.0.113.9", 0, 100)) // under the keys of the last round
				w.tunneled()
				p.entry.Expect()
			}
			p.keys()
			for i := range earlyFrames + 3 {
				p.send(numbered("10.8.0.2", "203.0.113.9", i, 100))
			}
			if got := w.tunneled(); len(got) != 0 {
				t.Fatal("data went through before the network was open")
			}
			if err := p.entry.Open(Network{Peer: p.addr, MTU: 1400, Encryption: encrypted()}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * ackTick)
			for i, ip := range w.tunneled() {
				if !bytes.Equal(ip, numbered("10.8.0.2", "203.0.113.9", i, 100)) {
					t.Fatalf("packet %d: % x", i, ip)
				}
			}
			p.send(numbered("10.8.0.2", "203.0.113.9", 99, 100))
			if got, c := w.tunneled(), p.entry.Counters(); len(got) != 1 || c.PacketsIn != (round+1)*(earlyFrames+1) || c.Early != 3+round*4 || c.Undecrypted != 0 {
				t.Fatalf("%d packets afterwards, counters %+v", len(got), c)
			}
		}
	})
}
