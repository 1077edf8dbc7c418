package control

import (
	"fmt"
	"maps"
	"testing"

	"trunkline.example/shared/pptp"
)

func TestFaultCounters(t *testing.T) {
	var n FaultCounters
	for _, f := range []Fault{FaultBadMagic, FaultNotReading, FaultBadMagic, faults, 255} {
		n.Add(f)
	}
	if got := n.Counts(); !maps.Equal(got, map[string]uint64{"bad-magic": 2, "not-reading": 1}) {
		t.Error(got)
	}
}

// TestFatalFaults: whatever the peer's fault is that ends a connection, it is reported before the end.
func TestFatalFaults(t *testing.T) {
	for _, f := range fatal {
		b := establishedBench(t, Config{})
		b.do(func(c *Connection) { c.Abandon(b.now, fmt.Errorf("%w: told in more words", f.err)) })
		b.wantNews(Misbehaved{What: f.what}, ConnectionEnded{Why: EndAbandoned, Err: f.err})
	}
	b := establishedBench(t, Config{})
	b.do(func(c *Connection) { c.TransportClosed(b.now, ErrSlowPeer) })
	b.wantNews(Misbehaved{What: FaultNotReading}, ConnectionEnded{Why: EndTransport, Err: ErrSlowPeer})
	b = establishedBench(t, Config{})
	b.receive(&pptp.StopControlConnectionRequest{Reason: pptp.StopNone})
	b.wantNews(ConnectionEnded{Why: EndStoppedByPeer, Reason: pptp.StopNone})
}
