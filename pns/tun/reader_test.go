package tun

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/test/netns"
)

// Who sends a little does not wait for all that waits for somebody else, nor is it lost when that is too much.
func TestQueuesAreReadInTurn(t *testing.T) {
	netns.Here(t)
	d := open1(t, Options{Name: "trunk0", Queues: 9, Clients: clients})
	if d.Shared() != nil || len(d.Queues()) != 1 {
		t.Fatalf("%d readers, %v", len(d.Queues()), d.Shared())
	}
	up(t, d, "10.1.0.1/16")
	flooded, err := net.Dial("udp4", "10.1.0.2:9")
	if err != nil {
		t.Fatal(err)
	}
	defer flooded.Close()
	for n := range 5000 {
		_, _ = flooded.Write([]byte(fmt.Sprint("flood ", n))) // what finds no room is lost
	}
	little := []string{"10.1.0.3", "10.1.0.4", "10.1.254.7"}
	for _, to := range little {
		sendTo(t, to)
	}
	if c := d.Counters(); c.Unread == 0 {
		t.Errorf("the flood was none: %+v", c)
	}
	if err := d.(*device).readers[0].watch.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	bufs, sizes := buffers(d, 1500)
	var came []string
	next, full, others := 0, 0, 0 // reads
	for len(came) < len(little) {
		n, err := d.Read(bufs, sizes, Headroom)
		if err != nil {
			t.Fatalf("%v, after %v", err, came)
		}
		if n == len(bufs) {
			full++
		} else {
			others++
		}
		for i := range n {
			p := bufs[i][Headroom : Headroom+sizes[i]]
			if p[0]>>4 != 4 || p[9] != unix.IPPROTO_UDP {
				continue // the kernel sends some of its own
			}
			payload := string(p[28:])
			if !strings.HasPrefix(payload, "flood") {
				came = append(came, payload)
			} else if payload != fmt.Sprint("flood ", next) {
				t.Fatalf("%s, want number %d", payload, next)
			} else {
				next++
			}
		}
	}
	if full > others+1 {
		t.Errorf("%v came with %d reads, and %d of the flood", came, others, full)
	}
}
