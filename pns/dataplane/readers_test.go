package dataplane

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

	"trunkline.example/pns/tun/tuntest"
	"trunkline.example/shared/gre/tunnel/gretest"
)

// What several queues of the TUN bring for one call, which has networks behind it, leaves in the order of its numbers (receive checks that), and what
// came by one queue in its order.
func TestReadersKeepOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queues, count = 4, 400
		var device *tuntest.Device
		w := newWorld(t, gretest.Config{}, func(o *Options) {
			device = tuntest.NewQueues("tun0", 1400, 64, queues)
			o.Device = device
		})
		defer w.close()
		behind := netip.MustParsePrefix("172.16.0.0/16")
		a := w.dial("198.51.100.7", "10.8.0.2", Network{Encryption: encrypted(), Behind: []netip.Prefix{behind}})
		b := w.dial("198.51.100.8", "10.8.0.3", Network{Encryption: encrypted()})
		to := []string{"10.8.0.2", "10.8.0.3", "172.16.3.4"}
		var all sync.WaitGroup
		for q := range queues {
			all.Go(func() {
				for i := range count {
					if err := device.InjectInto(q, numbered(farAway, to[i%len(to)], q*count+i, 50)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Go(func() {
			for range count {
				w.control(a.entry, []byte{0xff, 3, 0xc0, 0x21, 9, 1, 0, 4})
			}
		})
		all.Wait()
		got := 0
		for _, p := range []*peer{a, b} {
			var last [queues]int
			for _, ip := range p.receive() {
				n := int(binary.BigEndian.Uint32(ip.payload()))
				if q := n / count; n < last[q] {
					t.Fatalf("packet %d of queue %d after %d", n%count, q, last[q]%count)
				} else {
					last[q] = n
				}
				got++
			}
		}
		if got != queues*count {
			t.Errorf("%d packets of %d", got, queues*count)
		}
	})
}
