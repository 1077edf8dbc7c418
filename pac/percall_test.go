package pac

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// Each call has a control connection of its own, which ends with it; one is always there for the next.
func TestControlConnectionPerCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, func(c *config.Config) {
			c.PNS[0].PerCall, c.PNS[1].PerCall = true, true
			c.Routes = []config.Route{{PNS: []string{"a"}}}
			c.Dialout = config.Dialout{Allow: []string{"555"}, CallsPerHour: 60}
		})
		defer x.end()
		p := x.pns["a"]
		connections := func(want, calls int) {
			t.Helper()
			synctest.Wait()
			open := 0
			for _, r := range p.runners {
				select {
				case <-r.Done():
				default:
					open++
				}
			}
			if s := *x.server.networks["a"].status.Load(); open != want || s.Calls != calls || !s.Established {
				t.Errorf("%d control connections, want %d; %+v", open, want, s)
			}
		}
		connections(1, 0)
		first, _ := x.up()
		connections(2, 1)
		taken := p.runners[0]
		second := x.fake.Lines()[1]
		x.must(second.Ring(t.Context(), linetest.Caller{Number: "030124"}))
		next[control.IncomingConnected](p)
		x.must(second.Connected(t.Context()))
		connections(3, 2)

		// A network server that orders a call on a connection that has one is told so; the call that is there goes on.
		err := taken.Do(t.Context(), func(now time.Time, c *control.Connection) {
			if _, err := c.RequestOutgoing(now, control.OutgoingRequest{PhoneNumber: "5551", MinimumBPS: 300, MaximumBPS: 64000}); err != nil {
				t.Error(err)
			}
		})
		x.must(err)
		if e := next[control.CallEnded](p); e.Why.Outgoing != pptp.OutgoingGeneralError {
			t.Errorf("the second call on a connection: %v", e.Why)
		}
		connections(3, 2)

		x.must(first.HangUp(t.Context()))
		if e := next[control.CallEnded](p); e.Why.Disconnect != pptp.DisconnectLostCarrier {
			t.Errorf("the call ended: %v", e.Why)
		}
		connections(2, 1)

		// One that is ordered takes the connection that is free.
		p.do(func(now time.Time, c *control.Connection) error {
			_, err := c.RequestOutgoing(now, control.OutgoingRequest{PhoneNumber: "5551", MinimumBPS: 300, MaximumBPS: 64000})
			return err
		})
		connections(3, 2)
		x.must(second.HangUp(t.Context()))
		connections(2, 1)
	})
}

// A line that rings while the free connection has just been taken waits for the next one, and is not refused.
func TestCallWaitsForTheNextConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, func(c *config.Config) {
			c.PNS[0].PerCall, c.PNS[1].PerCall = true, true
			c.Routes = []config.Route{{PNS: []string{"a"}}}
			c.Refused = config.RefusedBusy
		})
		defer x.end()
		n := x.server.networks["a"]
		free := n.up.Swap(nil)
		first := x.fake.Lines()[0]
		x.must(first.Ring(t.Context(), linetest.Caller{Number: "030123"}))
		<-time.After(time.Second)
		if s := first.Status(); s.State != line.StateRinging {
			t.Fatalf("the line is %v", s.State)
		}
		n.up.Store(free)
		next[control.IncomingConnected](x.pns["a"])
		x.must(first.Connected(t.Context()))
	})
}

// Two lines that ring at one moment do not get one connection.
func TestConnectionIsTakenOnce(t *testing.T) {
	n := &network{cfg: config.PNS{PerCall: true}}
	c := &connection{calls: map[uint16]callRef{}, taken: make(chan struct{})}
	n.up.Store(c)
	if err := n.take(c); err != nil || n.ready() {
		t.Errorf("taken: %v", err)
	}
	if err := n.take(c); !errors.Is(err, errTaken) {
		t.Errorf("taken again: %v", err)
	}
	n.cfg.PerCall = false
	if err := n.take(c); err != nil {
		t.Errorf("shared: %v", err)
	}
}
