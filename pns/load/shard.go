package load

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/loop"
	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/mppe"
	"trunkline.example/shared/pptp/control"
)

const (
	greBatch = 128
	// greRounds bounds the batches of GRE that are read before TCP is looked at again.
	greRounds = 4
	// greToken is that of the GRE socket; those of connections have a round above 0.
	greToken = 0
	// wakeGrain is how much later than asked for a shard may wake up, so that deadlines that lie close together share one round.
	wakeGrain = 200 * time.Microsecond
	// greBuffer in octets is the socket's, for all sessions of a shard.
	greBuffer = 32 << 20
)

// phase is where a shard stands.
type phase uint8

const (
	settingUp phase = iota
	carrying
	draining // no new packets; those under way may still come
	ending
	over
)

// callKey finds the call of a GRE packet: our address and our Call ID.
type callKey struct {
	local netip.Addr
	id    uint16
}

// shard is one event loop, which owns all that it has made. Others reach it by ask.
type shard struct {
	e         *engine
	index     int
	poller    *loop.Poller
	deadlines loop.Deadlines
	gre       *tunnel.Socket
	in, out   []tunnel.Packet
	used      int // of out
	ids       *control.Pool
	input     [16 << 10]byte // TCP
	output    []byte         // TCP, of one step
	now       time.Time      // of the present round
	work      mppe.Worker

	slots    []*conn // by the low half of the token in the poller
	free     []int
	round    uint32
	live     int // connections
	calls    map[callKey]*call
	trunks   []*conn // as a PAC
	turn     int     // of trunks
	trunkWhy string  // what happened to the last that was lost

	phase   phase
	first   int // session
	next    int // session
	last    int // session, exclusive
	setting int // calls being set up
	atOnce  int
	rate    float64
	began   time.Time
	starter loop.Timed
	come    churner
	done    bool // with setting up

	all      []*call   // in the order in which they were begun
	dirty    []*call   // to be settled at the end of the round
	streams  uint32    // so far
	floods   []*stream // that send as much as goes
	closing  int       // calls of all that have been told to end
	hanging  int       // calls that are ending
	giveUpAt time.Time

	tally   tally
	latency measure.Histogram
	ups     []time.Duration // since the run began
	traffic *Traffic        // that is carried now
	stages  []*stage        // one for each kind of traffic so far
	stage   *stage          // the last of them
	fails   measure.Failures
	drops   measure.Failures

	mu   sync.Mutex
	asks []func()
}

func newShard(e *engine, index int) (*shard, error) {
	s := &shard{e: e, index: index, calls: map[callKey]*call{}, fails: measure.Failures{}, drops: measure.Failures{}, round: 1}
	s.starter.Owner = (*starter)(s)
	var err error
	if s.poller, err = loop.NewPoller(); err != nil {
		return nil, err
	}
	if s.ids, err = control.NewPool(control.PoolConfig{Seed: e.seed(), LowBits: e.lowBits, Low: uint16(index)}); err != nil {
		return nil, err
	}
	s.gre, err = tunnel.Listen(tunnel.Config{Local: e.cfg.Server.Addr(), Spread: true, Within: e.cfg.Source, LowBits: e.lowBits, Low: uint16(index),
		ReceiveBuffer: greBuffer, SendBuffer: greBuffer / 4})
	if err != nil {
		return nil, fmt.Errorf("GRE needs CAP_NET_RAW: %w", err)
	}
	s.in, s.out = tunnel.NewBatch(greBatch), tunnel.NewBatch(greBatch)
	raw, err := s.gre.SyscallConn()
	if err != nil {
		return nil, err
	}
	var added error
	if err := raw.Control(func(fd uintptr) { added = s.poller.Add(int(fd), greToken) }); err != nil {
		return nil, err
	}
	return s, added
}

// close frees what newShard has opened, however far it came.
func (s *shard) close() {
	if s.gre != nil {
		_ = s.gre.Close()
	}
	if s.poller != nil {
		s.poller.Close()
	}
}

// ask has the shard run f.
func (s *shard) ask(f func()) {
	s.mu.Lock()
	s.asks = append(s.asks, f)
	s.mu.Unlock()
	s.poller.Wake()
}

// run is the loop, until all has ended.
func (s *shard) run() error {
	s.began = time.Now()
	for s.phase != over {
		s.now = time.Now()
		s.mu.Lock()
		asks := s.asks
		s.asks = nil
		s.mu.Unlock()
		for _, f := range asks {
			f()
		}
		for t := s.deadlines.Pop(s.now); t != nil; t = s.deadlines.Pop(s.now) {
			t.Owner.Tick(s.now)
		}
		s.advance()
		if s.phase == over {
			break
		}
		for _, f := range s.floods {
			f.flood(s.now)
		}
		s.finishRound()
		at := s.deadlines.Next()
		if !at.IsZero() {
			at = at.Add(wakeGrain)
		}
		if len(s.floods) > 0 {
			at = s.now
		}
		if err := s.poller.Wait(at); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		s.now = time.Now()
		s.poller.Each(s.ready)
		s.finishRound()
	}
	return nil
}

func (s *shard) ready(r loop.Readiness) {
	if r.Token == greToken {
		s.readGRE()
		return
	}
	slot := int(uint32(r.Token))
	if slot >= len(s.slots) || s.slots[slot] == nil || s.slots[slot].token != r.Token {
		return
	}
	c := s.slots[slot]
	if r.Writable {
		c.writable(s.now)
	}
	if r.Readable && !c.gone {
		c.read(s.now)
	}
}

// finishRound settles the calls that something has happened to, and sends what has been gathered.
func (s *shard) finishRound() {
	s.settle()
	s.send()
}

func (s *shard) settle() {
	for len(s.dirty) > 0 {
		k := s.dirty[len(s.dirty)-1]
		s.dirty = s.dirty[:len(s.dirty)-1]
		k.dirty = false
		k.settle(s.now)
	}
}

func (s *shard) readGRE() {
	for range greRounds {
		n, err := s.gre.TryReadBatch(s.in)
		if err != nil || n == 0 {
			return // what is wrong with the socket shows as silence of the calls
		}
		for i := range s.in[:n] {
			p := &s.in[i]
			h, payload, err := gre.Parse(p.Data)
			if err != nil || p.Remote != s.e.cfg.Server.Addr() {
				continue
			}
			if k := s.calls[callKey{p.Local, h.CallID}]; k != nil {
				k.receive(s.now, h, payload)
			}
		}
		if n < len(s.in) {
			return
		}
	}
}

// buffer is room for the next GRE packet, which commit sends.
func (s *shard) buffer() []byte {
	if s.used == len(s.out) {
		s.send()
	}
	return s.out[s.used].Buffer
}

// commit queues what lies in the buffer: data, from local.
func (s *shard) commit(local netip.Addr, data []byte) {
	p := &s.out[s.used]
	p.Local, p.Remote, p.Data = local, s.e.cfg.Server.Addr(), data
	s.used++
}

// send hands the gathered packets to the kernel. What it does not take is lost, as anywhere in a network; the socket counts it.
func (s *shard) send() {
	if s.used > 0 {
		_, _ = s.gre.WriteBatch(s.out[:s.used])
		s.used = 0
	}
}

// place gives a connection a slot and has its descriptor watched.
func (s *shard) place(c *conn) error {
	slot := len(s.slots)
	if n := len(s.free); n > 0 {
		slot, s.free = s.free[n-1], s.free[:n-1]
		s.slots[slot] = c
	} else {
		s.slots = append(s.slots, c)
	}
	s.live++
	s.round++
	c.token = uint64(s.round)<<32 | uint64(uint32(slot))
	return s.poller.Add(c.fd, c.token)
}

// remove takes a connection's slot away and closes its descriptor, which the poller then forgets.
func (s *shard) remove(c *conn) {
	slot := int(uint32(c.token))
	s.slots[slot] = nil
	s.free = append(s.free, slot)
	s.live--
	s.deadlines.Drop(&c.Timed)
	unix.Close(c.fd)
}
