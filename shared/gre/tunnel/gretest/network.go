// Package gretest is an IP network for GRE packets in memory: each address is a tunnel.Conn, and packets between them
// are lost, repeated, delayed and reordered as a seed and the settings say. It has no goroutine of its own and measures time by
// package time, so that it works in a bubble of testing/synctest.
package gretest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"trunkline.example/shared/gre/tunnel"
)

// Fate is what becomes of one packet.
type Fate uint8

const (
	Pass   Fate = iota // by chance, as the Config says
	Lose               // lost
	Repeat             // arrives twice
	Keep               // arrives once, delayed only
)

// Config describes the network between any two addresses. The zero value is a perfect network. Chances are between 0 and 1.
type Config struct {
	// Seed determines everything that happens by chance: in each direction between two addresses, packet n meets the same
	// fate in each run with the same seed.
	Seed uint64
	// Loss and Duplication are the chances that a packet is lost and that it arrives twice.
	Loss, Duplication float64
	// Delay is how long a packet takes at least, Jitter how much longer at most. With jitter alone the order is kept.
	Delay, Jitter time.Duration
	// Reorder is the chance that a packet takes up to ReorderDelay longer and is overtaken by others.
	Reorder      float64
	ReorderDelay time.Duration
	// MTU is the size in octets of the largest IP packet, of which 20 (IPv6: 40) are the IP header; 0 = no limit. What is larger is refused
	// with EMSGSIZE and a PathError.
	MTU int
	// Queue is how many packets one Conn holds for its reader; 0 = DefaultQueue.
	Queue int
	// Filter decides the fate of packet n (from 0) in the direction from -> to, before chance does. It is called with the
	// network's lock held. nil = all Pass.
	Filter func(n int, from, to netip.Addr, packet []byte) Fate
}

// DefaultQueue is the default of Config.Queue.
const DefaultQueue = 4096

// Network connects the Conns made by its Listen.
type Network struct {
	mu    sync.Mutex
	cfg   Config
	hosts map[netip.Addr]*Conn
	links map[link]*direction
}

type link struct{ from, to netip.Addr }

// direction is the state of the way from one address to another.
type direction struct {
	rng  *rand.Rand
	sent int
	last time.Time // arrival of the last packet that keeps the order
}

// New returns a network without hosts.
func New(cfg Config) *Network {
	if cfg.Queue <= 0 {
		cfg.Queue = DefaultQueue
	}
	return &Network{cfg: cfg, hosts: map[netip.Addr]*Conn{}, links: map[link]*direction{}}
}

// Configure changes the settings for all packets sent from now on. The seed stays.
func (n *Network) Configure(change func(*Config)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(&n.cfg)
}

// Listen makes a host. The error is tunnel.ErrAddressInUse or tunnel.ErrAddressFamily, as with a Socket.
func (n *Network) Listen(local netip.Addr) (*Conn, error) {
	if !local.IsValid() || local.IsUnspecified() {
		return nil, fmt.Errorf("listen on %q: %w", local, tunnel.ErrAddressFamily)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[local] != nil {
		return nil, fmt.Errorf("listen on %s: %w", local, tunnel.ErrAddressInUse)
	}
	c := &Conn{
		network: n, local: local,
		wake: make(chan struct{}, 1), gone: make(chan struct{}), paths: make(chan tunnel.PathError, 64),
	}
	n.hosts[local] = c
	return c, nil
}

// send decides what becomes of a packet; its result is that of WriteBatch. The caller holds mu.
func (n *Network) send(from *Conn, to netip.Addr, data []byte) error {
	if n.cfg.MTU > 0 && tunnel.IPHeader(to)+len(data) > n.cfg.MTU {
		from.count.SendTooBig++
		from.pathError(tunnel.PathError{Remote: to, MTU: n.cfg.MTU, Err: syscall.EMSGSIZE})
		return syscall.EMSGSIZE
	}
	d := n.direction(link{from.local, to})
	number := d.sent
	d.sent++
	fate := Pass
	if n.cfg.Filter != nil {
		fate = n.cfg.Filter(number, from.local, to, data)
	}
	// The same draws for each packet, whatever its fate, so that one setting does not shift the luck of the others.
	loss, repeat, reorder := d.rng.Float64(), d.rng.Float64(), d.rng.Float64()
	jitter, late := d.rng.Float64(), d.rng.Float64()
	if fate == Lose || fate == Pass && loss < n.cfg.Loss {
		return nil
	}
	now := time.Now()
	at := now.Add(n.cfg.Delay + time.Duration(jitter*float64(n.cfg.Jitter)))
	if at.Before(d.last) {
		at = d.last
	}
	if fate == Pass && reorder < n.cfg.Reorder {
		at = at.Add(time.Duration(late * float64(n.cfg.ReorderDelay)))
	} else {
		d.last = at
	}
	host := n.hosts[to]
	if host == nil {
		return nil // an address without a host swallows packets
	}
	host.arrive(at, from.local, data)
	if fate == Repeat || fate == Pass && repeat < n.cfg.Duplication {
		host.arrive(at, from.local, data)
	}
	return nil
}

func (n *Network) direction(l link) *direction {
	d := n.links[l]
	if d == nil {
		a, b := l.from.As16(), l.to.As16()
		var seed [32]byte
		copy(seed[:], a[:])
		for i := range b {
			seed[16+i] = b[i] ^ byte(n.cfg.Seed>>(i%8*8))
		}
		d = &direction{rng: rand.New(rand.NewChaCha8(seed))}
		n.links[l] = d
	}
	return d
}

// Conn is one host of the network: a tunnel.Conn. All of it is guarded by the network's lock.
type Conn struct {
	network *Network
	local   netip.Addr
	queue   []flight // in order of arrival
	closed  bool
	wake    chan struct{} // something was put first into the queue
	gone    chan struct{}
	paths   chan tunnel.PathError
	count   tunnel.Counters
}

var _ tunnel.Conn = (*Conn)(nil)

// flight is a packet on its way.
type flight struct {
	at   time.Time
	from netip.Addr
	data []byte
}

// arrive puts a packet into the queue, after those that arrive at the same time.
func (c *Conn) arrive(at time.Time, from netip.Addr, data []byte) {
	if len(c.queue) >= c.network.cfg.Queue {
		c.count.ReceiveDrops++
		return
	}
	i := len(c.queue)
	for i > 0 && c.queue[i-1].at.After(at) {
		i--
	}
	c.queue = append(c.queue, flight{})
	copy(c.queue[i+1:], c.queue[i:])
	c.queue[i] = flight{at, from, bytes.Clone(data)}
	if i == 0 {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

func (c *Conn) pathError(e tunnel.PathError) {
	c.count.PathErrors++
	select {
	case c.paths <- e:
	default:
		c.count.PathErrorsLost++
	}
}

// Local returns the local address.
func (c *Conn) Local() netip.Addr { return c.local }

// PathErrors delivers a message for each packet that was larger than the MTU.
func (c *Conn) PathErrors() <-chan tunnel.PathError { return c.paths }

// Report delivers a PathError to this host, as if a router had sent it.
func (c *Conn) Report(e tunnel.PathError) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	c.pathError(e)
}

// Counters returns the counters so far.
func (c *Conn) Counters() tunnel.Counters {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	return c.count
}

// ReadBatch waits for packets that have arrived.
func (c *Conn) ReadBatch(batch []tunnel.Packet) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	for {
		n, wait, err := c.take(batch)
		if n > 0 || err != nil {
			return n, err
		}
		if wait < 0 {
			select {
			case <-c.wake:
			case <-c.gone:
			}
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-c.wake:
		case <-c.gone:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// take moves what has arrived into the batch; when there is nothing it returns how long to wait, negative for
// until something is sent.
func (c *Conn) take(batch []tunnel.Packet) (n int, wait time.Duration, err error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return 0, 0, net.ErrClosed
	}
	now := time.Now()
	used := 0
	for used < len(c.queue) && n < len(batch) && !c.queue[used].at.After(now) {
		f := c.queue[used]
		used++
		p := &batch[n]
		if len(f.data) > len(p.Buffer) {
			c.count.Truncated++
			continue
		}
		p.Remote, p.Err = f.from, nil
		p.Data = p.Buffer[:copy(p.Buffer, f.data)]
		c.count.Received++
		c.count.ReceivedOctets += uint64(len(f.data))
		n++
	}
	c.queue = append(c.queue[:0], c.queue[used:]...)
	if len(c.queue) == 0 {
		return n, -1, nil
	}
	return n, max(c.queue[0].at.Sub(now), 0), nil
}

// WriteBatch sends packets. It never waits.
func (c *Conn) WriteBatch(batch []tunnel.Packet) (int, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	sent := 0
	for i := range batch {
		p := &batch[i]
		if p.Err = c.network.send(c, p.Remote.Unmap(), p.Data); p.Err == nil {
			sent++
			c.count.Sent++
			c.count.SentOctets += uint64(len(p.Data))
		}
	}
	return sent, nil
}

// Close ends ReadBatch and takes the host off the network.
func (c *Conn) Close() error {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	close(c.gone)
	delete(c.network.hosts, c.local)
	return nil
}
