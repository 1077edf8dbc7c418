package load

import (
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/measure"
)

// Churn has calls come and go beside those that are held, while these carry traffic, and carry the same. The zero value has none.
type Churn struct {
	Rate float64       // calls that come, per second on the average; they come as those of many people do, at any time
	Life time.Duration // of a call from when it is up, on the average; the lives are exponentially distributed
	Cut  float64       // the share of calls, 0 to 1, that end without a word: a client's TCP connection is reset, a PAC says Call-Disconnect-Notify
	Seed uint64        // of when they come, how long they live, and how they end; 0 = random
}

// slots bounds the calls that have come and not yet gone: hardly ever are there more than twice as many as on the average.
func (c Churn) slots() int {
	if c.Rate == 0 {
		return 0
	}
	const few = 16
	return few + int(min(math.Ceil(2*c.Rate*c.Life.Seconds()), MaxSessions))
}

// churner is a shard's part in it.
type churner struct {
	random *rand.Rand
	rate   float64
	first  int   // number of the first slot's session
	slots  int   // all
	place  []int // where the slots used so far are in shard.all
	free   []int // of place
	due    time.Time
	counts measure.Come
	trips  measure.Histogram // set-up times
}

// guest is what a call that comes and goes has besides.
type guest struct {
	slot    int
	cut     bool
	leaving bool // its life is over; what is under way may still come
}

// churn begins the calls that have come meanwhile, as many as there is room for; the others wait.
func (s *shard) churn() {
	c := &s.come
	if c.rate == 0 {
		return
	}
	if c.due.IsZero() {
		c.due = s.now.Add(c.next())
	}
	for !s.now.Before(c.due) && s.setting < s.atOnce && (len(c.free) > 0 || len(c.place) < c.slots) {
		trunk := (*conn)(nil)
		if s.e.cfg.AsPAC {
			if trunk = s.trunk(); trunk == nil {
				break
			}
		}
		s.comes(trunk)
		c.due = c.due.Add(c.next())
	}
	at := c.due
	if !s.now.Before(at) {
		at = s.now.Add(churnLook)
	}
	s.deadlines.Set(&s.starter, at)
}

// churnLook is how soon it is looked again whether there is room for calls that wait.
const churnLook = 5 * time.Millisecond

// next is the time until another call comes.
func (c *churner) next() time.Duration {
	return time.Duration(c.random.ExpFloat64() / c.rate * float64(time.Second))
}

// comes begins a call in a free slot.
func (s *shard) comes(trunk *conn) {
	c := &s.come
	slot := len(c.place)
	if n := len(c.free); n > 0 {
		slot, c.free = c.free[n-1], c.free[:n-1]
	} else {
		c.place = append(c.place, len(s.all))
		s.all = append(s.all, nil)
	}
	k := s.newCall(c.first + slot)
	k.guest = &guest{slot: slot, cut: c.random.Float64() < s.e.cfg.Churn.Cut}
	s.all[c.place[slot]] = k
	c.counts.Started++
	s.begin(k, trunk)
}

// arrived sets the end of the life of a call that has come up.
func (s *shard) arrived(k *call) {
	c := &s.come
	c.counts.Up++
	s.tally.come.Add(1)
	c.trips.Add(s.now.Sub(k.began))
	k.limit = s.now.Add(time.Duration(c.random.ExpFloat64() * float64(s.e.cfg.Churn.Life)))
}

// leave ends a call whose life is over: its traffic first, so that nothing is lost by it.
func (k *call) leave(now time.Time) {
	g := k.guest
	if k.flow != nil && !g.leaving {
		k.flow.drain(now)
	}
	if late := g.leaving && !now.Before(k.limit); k.idle() || late {
		k.depart(now)
		return
	}
	if !g.leaving {
		g.leaving, k.limit = true, now.Add(k.shard.traffic.Timeout)
	}
	k.touch()
}

// idle tells whether the call has nothing under way, after its traffic was ended.
func (k *call) idle() bool { return k.flow == nil || k.flow.idle() }

// depart ends a call orderly, or without a word.
func (k *call) depart(now time.Time) {
	if !k.guest.cut {
		k.hangUp(now)
		return
	}
	k.shard.come.counts.Cut++
	if c := k.conn; c.only != nil && !c.gone {
		_ = unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // else it is closed orderly
		c.close()
	}
	k.over(now)
}

// departed gives the slot of a call that has ended back.
func (s *shard) departed(k *call) {
	s.come.free = append(s.come.free, k.guest.slot)
	if k.state == hangingUp || k.state == up {
		s.tally.gone.Add(1)
	}
}
