package control

import (
	"runtime"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// idleConnections returns n established connections with one call each, as a
// server of VPN clients has them.
func idleConnections(t testing.TB, n int) []*Connection {
	ids := newLedger(t, 1)
	all := make([]*Connection, n)
	request := theirRequest.Append(nil)
	call := (&pptp.OutgoingCallRequest{PNSCallID: 7, MaximumBPS: 100000000}).Append(nil)
	for i := range all {
		c := New(epoch, Config{Self: ours, CallIDs: ids})
		c.Receive(epoch, request)
		c.Receive(epoch, call)
		for _, a := range c.Actions() {
			if a, ok := a.(OutgoingRequested); ok {
				if err := c.AnswerOutgoing(epoch, a.Call.Own(), OutgoingAnswer{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.Actions()
		all[i] = c
	}
	return all
}

// TestCostOfIdleConnection: pns keeps tens of thousands of them.
func TestCostOfIdleConnection(t *testing.T) {
	const n = 5000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	goroutines := runtime.NumGoroutine()
	before := heap()
	all := idleConnections(t, n)
	each := (heap() - before) / n
	t.Logf("%d octets for a connection with a call", each)
	if each > 1536 {
		t.Errorf("a connection with a call holds %d octets", each)
	}
	if g := runtime.NumGoroutine(); g > goroutines {
		t.Errorf("%d goroutines more", g-goroutines)
	}
	for _, c := range all {
		if c.Status() != fsm.StateEstablished || len(c.calls.list) != 1 {
			t.Fatal("not established")
		}
	}
}

// BenchmarkEcho is what an idle connection costs once a minute: an
// Echo-Request out, the reply in.
func BenchmarkEcho(b *testing.B) {
	c := idleConnections(b, 1)[0]
	now := epoch
	reply := (&pptp.EchoReply{ResultCode: pptp.EchoOK}).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Minute)
		c.Tick(now)
		c.Receive(now, reply)
		c.Actions()
		c.Deadline()
	}
}

// BenchmarkCall is a call of a VPN client from request to disconnect, on a
// connection with a thousand other calls.
func BenchmarkCall(b *testing.B) {
	ids := newLedger(b, 1)
	c := New(epoch, Config{Self: ours, CallIDs: ids, Limits: Limits{Calls: 2000, HalfOpen: 2000, MessagesPerSecond: 1e9, Burst: 1e9}})
	c.Receive(epoch, theirRequest.Append(nil))
	now := epoch
	call := func(id uint16) uint16 {
		c.Receive(now, (&pptp.OutgoingCallRequest{PNSCallID: id}).Append(nil))
		own := uint16(0)
		for _, a := range c.Actions() {
			if a, ok := a.(OutgoingRequested); ok {
				own = a.Call.Own()
			}
		}
		if err := c.AnswerOutgoing(now, own, OutgoingAnswer{}); err != nil {
			b.Fatal(err)
		}
		return own
	}
	for id := range uint16(1000) {
		call(id)
	}
	clearing := (&pptp.CallClearRequest{PNSCallID: 5000}).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Millisecond)
		own := call(5000)
		c.Receive(now, clearing)
		if err := c.DisconnectCall(now, own, Disconnect{}); err != nil {
			b.Fatal(err)
		}
		c.Actions()
		c.Deadline()
	}
}
