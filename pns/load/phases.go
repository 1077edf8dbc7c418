package load

import (
	"slices"
	"time"
)

const (
	// hangUpsAtOnce bounds the calls of a shard that are ending at one time.
	hangUpsAtOnce = 256
	// goodbyeTime bounds the ending of one call or connection, endTime that of all.
	goodbyeTime = 5 * time.Second
	endTime     = 60 * time.Second
)

// starter is a shard whose next call is due.
type starter shard

// Tick is looked at by advance, which follows.
func (*starter) Tick(time.Time) {}

// advance does what the phase asks for.
func (s *shard) advance() {
	switch s.phase {
	case settingUp:
		s.startCalls()
	case ending:
		s.endCalls()
	case carrying:
		s.churn()
	case draining, over:
	}
}

// startCalls begins the calls for which there is room and time.
func (s *shard) startCalls() {
	for s.next < s.last && s.setting < s.atOnce {
		if s.rate > 0 {
			due := s.began.Add(time.Duration(float64(s.next-s.first) / s.rate * float64(time.Second)))
			if s.now.Before(due) {
				s.deadlines.Set(&s.starter, due)
				return
			}
		}
		trunk := s.trunk()
		if s.e.cfg.AsPAC && trunk == nil && s.trunkComes() {
			return
		}
		k := s.newCall(s.next)
		s.all = append(s.all, k)
		s.tally.started.Add(1)
		s.begin(k, trunk)
		s.next++
	}
	if s.next == s.last && s.setting == 0 && !s.done {
		s.done = true
		s.e.shardDone <- s.index
	}
}

// trunk is the control connection of a PAC whose turn it is, nil if none is established.
func (s *shard) trunk() *conn {
	for range s.trunks {
		s.turn = (s.turn + 1) % len(s.trunks)
		if c := s.trunks[s.turn]; c.established {
			return c
		}
	}
	return nil
}

// trunkComes tells whether one may still be.
func (s *shard) trunkComes() bool {
	return slices.ContainsFunc(s.trunks, func(c *conn) bool { return !c.gone && !c.closing })
}

// newCall makes session n.
func (s *shard) newCall(n int) *call {
	k := &call{shard: s, number: n, began: s.now, state: connecting}
	k.Owner = k
	return k
}

// begin begins a call: over a connection of its own, or offered by a PAC on one.
func (s *shard) begin(k *call, trunk *conn) {
	s.setting++
	s.deadlines.Set(&k.Timed, s.now.Add(s.e.cfg.Limit))
	switch {
	case trunk != nil:
		k.offer(s.now, trunk)
	case s.e.cfg.AsPAC:
		k.fail(s.now, s.trunkWhy, "")
	default:
		k.conn = s.dial(k.number, k)
	}
}

// openTrunks opens a PAC's control connections.
func (s *shard) openTrunks(first, count int) {
	for n := range count {
		c := s.dial(first+n, nil)
		if !c.gone {
			s.deadlines.Set(&c.Timed, s.now.Add(s.e.cfg.Limit))
		}
		s.trunks = append(s.trunks, c)
	}
}

// carry begins traffic. That before, if any, is over and counted.
func (s *shard) carry(t *Traffic) {
	for _, k := range s.all {
		if k.flow != nil && k.state != ended {
			k.flow.finish()
		}
		k.flow = nil
	}
	s.phase, s.traffic, s.stage = carrying, t, &stage{}
	s.stages = append(s.stages, s.stage)
	for _, k := range s.all {
		if k.state == up && (k.guest == nil || !k.guest.leaving) {
			k.startTraffic(s.now)
		}
	}
}

// drain ends the traffic; what is under way may still come.
func (s *shard) drain() {
	s.phase, s.floods = draining, nil
	s.tally.drained.Store(true)
	for _, k := range s.all {
		if k.state == up && k.flow != nil {
			k.flow.drain(s.now)
		}
	}
}

// end has all calls ended, orderly.
func (s *shard) end() {
	s.phase, s.floods = ending, nil
	s.giveUpAt = s.now.Add(endTime)
	s.deadlines.Set(&s.starter, s.giveUpAt)
}

// endCalls ends some calls, then the connections, and the shard.
func (s *shard) endCalls() {
	for s.closing < len(s.all) && s.hanging < hangUpsAtOnce {
		k := s.all[s.closing]
		s.closing++
		k.hangUp(s.now)
	}
	late := !s.now.Before(s.giveUpAt)
	if s.closing < len(s.all) && !late || s.hanging > 0 && !late {
		return
	}
	for _, c := range s.slots {
		switch {
		case c == nil:
		case late:
			c.close()
		default:
			c.stop(s.now)
		}
	}
	if s.live == 0 {
		s.phase = over
	}
}
