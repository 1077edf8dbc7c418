package pac

import (
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp/control"
)

// Drained, a concentrator lets lines ring and keeps the calls it has; a line that still rings afterwards is answered.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		first, _ := x.up()
		x.server.Drain(true)
		second := x.fake.Lines()[1]
		x.must(second.Ring(t.Context(), linetest.Caller{Number: "1", Dialed: "5550100"}))
		<-time.After(10 * time.Second)
		if s := second.Status(); s.State != line.StateRinging {
			t.Errorf("the line that rings while calls are refused is %v", s.State)
		}
		if s := first.Status(); s.State != line.StateConnected {
			t.Errorf("the call in progress is %v", s.State)
		}
		if n := x.server.callsTaken(); n != 1 {
			t.Errorf("%d calls are counted", n)
		}
		x.server.Drain(false)
		next[control.IncomingConnected](x.pns["a"])
		if n := x.server.callsTaken(); n != 2 {
			t.Errorf("%d calls are counted after the end", n)
		}
	})
}
