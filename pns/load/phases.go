package load

import (
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
	case carrying, draining, over:
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
		if s.e.cfg.AsPAC && !s.startOnTrunk() {
			return
		}
		if !s.e.cfg.AsPAC {
			s.begin(s.next, nil)
		}
		s.next++
	}
	if s.next == s.last && s.setting == 0 && !s.done {
		s.done = true
		s.e.shardDone <- s.index
	}
}

// startOnTrunk offers the next call on one of the control connections; it reports false when that has to wait for one.
func (s *shard) startOnTrunk() bool {
	waiting := false
	for range s.trunks {
		s.turn = (s.turn + 1) % len(s.trunks)
		c := s.trunks[s.turn]
		if c.established {
			s.begin(s.next, c)
			return true
		}
		waiting = waiting || !c.gone && !c.closing
	}
	if waiting {
		return false
	}
	k := s.begin(s.next, nil)
	k.fail(s.now, s.trunkWhy, "")
	return true
}

// begin makes session n: over a connection of its own, or as a call that a PAC offers on one.
func (s *shard) begin(n int, trunk *conn) *call {
	k := &call{shard: s, number: n, began: s.now, state: connecting}
	k.Owner = k
	s.all = append(s.all, k)
	s.setting++
	s.tally.started.Add(1)
	s.deadlines.Set(&k.Timed, s.now.Add(s.e.cfg.Limit))
	switch {
	case trunk != nil:
		k.offer(s.now, trunk)
	case !s.e.cfg.AsPAC:
		k.conn = s.dial(n, k)
	}
	return k
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

// carry begins the traffic.
func (s *shard) carry() {
	s.phase = carrying
	for _, k := range s.all {
		if k.state == up {
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
