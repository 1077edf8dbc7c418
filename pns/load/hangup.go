package load

import (
	"time"

	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// fail takes note of why a call did not come up, or did not stay.
func (k *call) fail(now time.Time, reason, example string) {
	s := k.shard
	switch {
	case k.state == ended:
		return
	case k.state == hangingUp:
	case s.phase == ending: // interrupted: nobody has failed
	case k.state == up:
		s.drops.Note(reason, example, 1)
		s.tally.dropped.Add(1)
	default:
		s.fails.Note(reason, example, 1)
		s.tally.failed.Add(1)
	}
	k.over(now)
}

// over forgets the call, and a client's connection with it.
func (k *call) over(now time.Time) {
	s := k.shard
	if k.state == ended {
		return
	}
	switch {
	case k.state < up:
		s.setting--
	case k.state == hangingUp:
		s.hanging--
	}
	if k.guest != nil {
		s.departed(k)
	}
	k.state = ended
	s.tally.ended.Add(1)
	s.deadlines.Drop(&k.Timed)
	delete(s.calls, k.key)
	if k.flow != nil {
		k.flow.finish()
	}
	c := k.conn
	if c == nil {
		return
	}
	if c.only == nil {
		delete(c.calls, k.own)
		if c.machine != nil {
			_ = c.machine.EndCall(now, k.own, control.Disconnect{}) // it may have ended
			c.step(now)
		}
		return
	}
	c.stop(now)
}

// hangUp ends the call in an orderly way: PPP first.
func (k *call) hangUp(now time.Time) {
	switch {
	case k.state == ended:
	case k.state == up:
		k.state = hangingUp
		k.shard.hanging++
		k.limit = now.Add(goodbyeTime)
		k.link.Close(now, link.Reason{Code: link.CodeAdministrative, By: link.Here, Text: "the load is over"})
		k.touch()
	default:
		k.over(now)
	}
}

// linkEnded goes on to clear the call.
func (k *call) linkEnded(now time.Time, why link.Reason) {
	k.net = false
	if k.state == hangingUp {
		k.clear(now)
		return
	}
	k.fail(now, "PPP: "+why.Code.String()+" (by "+why.By.String()+")", why.Text)
}

// clear ends the call itself; its end is told by callEnded.
func (k *call) clear(now time.Time) {
	var err error
	if k.conn.only != nil {
		err = k.conn.machine.ClearCall(now, k.own)
	} else {
		err = k.conn.machine.DisconnectCall(now, k.own, control.Disconnect{})
	}
	if err != nil { // it has ended already
		k.over(now)
		return
	}
	k.conn.step(now)
}

// clearRequested confirms that the server's wish is done.
func (k *call) clearRequested(now time.Time) {
	_ = k.conn.machine.DisconnectCall(now, k.own, control.Disconnect{Result: pptp.DisconnectRequest}) // the call is there: it was just reported
	k.conn.dirty = true
}

// callEnded takes note that the call is no more. If PPP was the cause it has said so before.
func (k *call) callEnded(now time.Time, why control.Ending) { k.fail(now, "call: "+why.String(), "") }
