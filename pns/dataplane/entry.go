package dataplane

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/mppe"
)

// Entry is one call in the data plane. Its methods are safe for concurrent use.
//
// Each direction has a lock of its own, which nobody shares but those that work for this call. A goroutine that holds any
// out lock never waits for another lock (it tries, and lets go of all it has before it waits), so the order of locking is: in
// before out, and no two of a kind.
type Entry struct {
	plane  *Plane
	socket *socket
	call   Call
	key    uint64 // in the socket's table
	outer  int    // octets of the IP header around GRE

	net     atomic.Pointer[network] // nil while nothing may flow
	pathMTU atomic.Int32            // octets of a whole GRE packet; 0 is unknown
	owed    atomic.Uint64           // gre.Ack, from the receiving half to the sending one
	acked   atomic.Uint64           // gre.Ack, the last that was sent
	packets atomic.Uint64           // IP packets received
	sent    atomic.Uint64           // IP packets sent
	listed  atomic.Bool             // in the plane's list of entries to be looked at by the ticker
	removed atomic.Bool
	before  *Counters // what a former process has counted

	in struct {
		sync.Mutex
		receiver *gre.Receiver
		opener   *mppe.Decryptor
		lost     uint32 // GRE packets missing since the last MPPE packet
		early    [][]byte
		bucket   bucket
		sampled  time.Time // when the round trip was measured last
		opened   bool      // Open has been called since Expect: nothing is held as early any more
		count    inCounters
	}
	out struct {
		sync.Mutex
		holder atomic.Pointer[egress] // that has the lock until it has sent what it has numbered
		sender *gre.Sender
		config gre.SenderConfig
		sealer *mppe.Encryptor
		bucket bucket
		count  outCounters
		hold   int // most packets of a kind in the queue
		queue  queue
		// stalled is that the window was full when something was to be sent last.
		stalled bool
		refused trouble // packets to this peer are, by a firewall or for want of a route
		trying  bool    // a packet is under way that is to show whether they still are
	}
}

// network is what a session may carry. It is immutable.
type network struct {
	Network
	peer     address
	own      address // that the far end knows us by; 0: the server's own
	route    *Route
	behind   []*Route // of networks behind a client, one for each
	overhead int      // octets that GRE, PPP and MPPE put around an IP packet, at most, with the outer IP header
}

type inCounters struct {
	octets, frames, inboxDropped                       uint64
	malformed, undecrypted, unencrypted, early, forged uint64
	unroutable, isolated, expired, segments, limited   uint64
	filtered                                           uint64
}

type outCounters struct {
	octets, frames, acks, held, stalls                 uint64
	window, tooBig, fragmented, failed, congested, low uint64
	limited, filtered                                  uint64
}

const (
	headroom = 64 // in front of a packet that is to be sent: GRE, PPP and MPPE headers, in round figures
	// earlyFrames is how many data frames are held until the network is open. An eager client sends them right behind
	// its last control frame, while that is still on its way to the owner and back.
	earlyFrames = 16
	minPathMTU  = 552                   // as Linux; what a forged ICMP message can do is bounded by it
	minPathMTU6 = 1280                  // of every IPv6 path (RFC 8200 section 5)
	ackDelay    = 50 * time.Millisecond // with the grain of ackTick it stays below 100 ms
	ackTick     = 25 * time.Millisecond
)

// sendOverhead is what encapsulate puts in front of an IP packet at most.
const sendOverhead = gre.MaxHeader + ppp.HeaderMax + mppe.Overhead

// ReceiveWindow is the Packet Receive Window Size in packets that the owner advertises in its call messages. The data plane takes
// packets as fast as they come; strict senders need a number well above what is under way (macOS starts with half of it).
const ReceiveWindow = gre.DefaultWindow

// callKey is what a call is found by: the number of an IPv4 address with the Call ID, or a hash of an IPv6 address with it, which
// is secret lest a peer find two addresses with the same. It is on the hot path.
func (p *Plane) callKey(remote netip.Addr, own uint16) uint64 {
	if remote.Is4() {
		return uint64(addressOf(remote))<<16 | uint64(own)
	}
	var b [addressOctets + 2 + zoneOctets]byte
	a := remote.As16()
	copy(b[:], a[:])
	binary.BigEndian.PutUint16(b[addressOctets:], own)
	n := copy(b[addressOctets+2:], remote.Zone())
	return maphash.Bytes(p.secret, b[:addressOctets+2+n])&^occupied | hashed
}

const (
	addressOctets = 16
	zoneOctets    = 16 // a name of an interface has fewer
	hashed        = 1 << 62
)

// Open lets the session carry data. It starts the keys anew.
func (e *Entry) Open(n Network) error {
	var sealer *mppe.Encryptor
	var opener *mppe.Decryptor
	var err error
	if n.Encryption != nil {
		if sealer, err = mppe.NewEncryptor(*n.Encryption); err != nil {
			return fmt.Errorf("encryption: %w", err)
		}
		if opener, err = mppe.NewDecryptor(*n.Encryption); err != nil {
			return fmt.Errorf("encryption: %w", err)
		}
	}
	e.Shut()
	return e.install(n, sealer, opener)
}

func (e *Entry) install(n Network, sealer *mppe.Encryptor, opener *mppe.Decryptor) error {
	nw := &network{Network: n, overhead: e.outer + gre.MaxHeader + ppp.HeaderMax, route: e.call.Route}
	if n.Peer.IsValid() {
		nw.peer = addressOf(n.Peer)
	}
	if own := n.Own; own.IsValid() && addressOf(own) != e.plane.server {
		nw.own = addressOf(own)
	}
	if n.Encryption != nil {
		nw.overhead += mppe.Overhead
	}
	e.out.Lock()
	e.out.sealer, e.out.bucket = sealer, newBucket(n.Out)
	e.out.Unlock()
	if e.removed.Load() {
		return ErrClosed
	}
	if err := e.claim(nw); err != nil {
		return err
	}
	e.in.Lock()
	e.in.opener, e.in.lost, e.in.opened, e.in.bucket = opener, 0, true, newBucket(n.In)
	waiting := len(e.in.early) > 0
	e.net.Store(nw) // with the lock held: a frame comes either early or not
	e.in.Unlock()
	if waiting && e.listed.CompareAndSwap(false, true) {
		e.plane.ticker.add([]*Entry{e})
	}
	if nw.route != nil {
		nw.route.ready(e)
	}
	return nil
}

// Settled tells that the far end of a call with a Route takes packets by now: those that wait for it are sent.
func (e *Entry) Settled() {
	if r := e.call.Route; r != nil && e.net.Load() != nil {
		r.carry(e)
	}
}

// claim makes packets find the call: by the client's address, or by the prefixes behind a far end, which may have any address it likes.
func (e *Entry) claim(nw *network) error {
	switch {
	case nw.route == nil && !e.plane.addresses.insert(uint64(nw.peer), e):
		return fmt.Errorf("%w: %v", ErrAddressInUse, nw.Network.Peer)
	case nw.route != nil && !nw.route.claim(e):
		return ErrRouteInUse
	}
	for _, prefix := range nw.Behind {
		if r, err := e.plane.AddRoute([]netip.Prefix{prefix}, nil); err == nil {
			r.entry.Store(e)
			nw.behind = append(nw.behind, r)
		}
	}
	return nil
}

// Behind are the networks behind the client that are carried at this moment.
func (e *Entry) Behind() (all []netip.Prefix) {
	if nw := e.net.Load(); nw != nil {
		for _, r := range nw.behind {
			all = append(all, r.prefixes[0])
		}
	}
	return all
}

// Expect tells that the peer negotiates its network anew, after Shut: data that comes from now on belongs to what Open will begin, and a little
// of it is held until then. Before the first Open that goes without saying.
func (e *Entry) Expect() {
	e.in.Lock()
	defer e.in.Unlock()
	e.in.count.early += uint64(len(e.in.early))
	e.in.opened, e.in.early = false, nil
}

// Shut ends what Open began. What waits for the peer's window is dropped.
func (e *Entry) Shut() {
	nw := e.net.Swap(nil)
	if nw == nil {
		return
	}
	if nw.route != nil {
		nw.route.detach(e)
	} else {
		e.plane.addresses.remove(uint64(nw.peer), e)
	}
	for _, r := range nw.behind {
		e.plane.removeRoute(r)
	}
	e.out.Lock()
	defer e.out.Unlock()
	e.out.count.window += e.out.queue.clear()
}

// from tells whether a packet with this source may come from the far end.
func (n *network) from(a address) bool {
	if a == n.peer || n.route != nil && n.route.has(a) {
		return true
	}
	for _, r := range n.behind {
		if r.has(a) {
			return true
		}
	}
	return false
}

// Remove takes the call out of the data plane and returns its last counters. Nothing is delivered to its Inbox or sent
// afterwards, but for what is under way at this moment.
func (e *Entry) Remove() Counters {
	e.removed.Store(true)
	e.Shut()
	if e.socket.calls.remove(e.key, e) {
		e.socket.inUse[e.call.Own].Add(-1)
	}
	return e.Counters()
}

// SetTheirs tells Call.Theirs, once the peer has said so. It must be called before data is sent.
func (e *Entry) SetTheirs(id uint16) {
	e.out.Lock()
	defer e.out.Unlock()
	e.out.config.CallID = id
	e.out.sender.SetCallID(id)
}

// SetWindow tells how many packets the peer buffers, once it has said so, and how many packets may wait here for room there: so many
// of bulk, and as many interactive ones. It counts only for a call that enforces the window, and must be called before data is sent.
func (e *Entry) SetWindow(window uint16, hold int) {
	e.out.Lock()
	defer e.out.Unlock()
	if !e.call.Enforce {
		return
	}
	e.out.hold = hold
	e.out.config.Window = window
	e.out.sender.SetWindow(window)
}

// Traffic is how many IP packets have come from the client and gone to it.
func (e *Entry) Traffic() (in, out uint64) { return e.packets.Load(), e.sent.Load() }

// MTU is the largest IP packet in octets that the session takes at this moment, 0 while nothing may flow.
func (e *Entry) MTU() int {
	if nw := e.net.Load(); nw != nil {
		return e.mtu(nw)
	}
	return 0
}

func (e *Entry) mtu(nw *network) int {
	if path := int(e.pathMTU.Load()); path > 0 {
		return min(nw.MTU, path-nw.overhead)
	}
	return nw.MTU
}

// lowerPathMTU takes in that the path has turned out to be narrower.
func (e *Entry) lowerPathMTU(mtu int) {
	if e.call.Remote.Is4() {
		mtu = max(mtu, minPathMTU)
	} else {
		mtu = max(mtu, minPathMTU6)
	}
	for {
		old := e.pathMTU.Load()
		if old > 0 && int(old) <= mtu || e.pathMTU.CompareAndSwap(old, int32(mtu)) {
			return
		}
	}
}

// Counters returns a copy of the counters.
func (e *Entry) Counters() Counters {
	e.in.Lock()
	in, flow := e.in.count, e.in.receiver.Counters()
	e.in.Unlock()
	e.out.Lock()
	out := e.out.count
	e.out.Unlock()
	c := Counters{
		PacketsIn: e.packets.Load(), OctetsIn: in.octets, PacketsOut: e.sent.Load(), OctetsOut: out.octets,
		FramesIn: in.frames, FramesOut: out.frames, AcksIn: flow.AckOnly, AcksOut: out.acks,
		Lost: flow.Lost, Late: flow.Late + flow.Strays, Duplicates: flow.Duplicates, Reordered: flow.Reordered, Overtaken: flow.Overflows,
		Malformed: in.malformed + flow.Unsequenced, Undecrypted: in.undecrypted, Unencrypted: in.unencrypted, Early: in.early, Forged: in.forged,
		Unroutable: in.unroutable, Isolated: in.isolated, InboxDropped: in.inboxDropped, Expired: in.expired,
		Held: out.held, WindowClosed: out.window, TooBig: out.tooBig, Fragmented: out.fragmented, SendFailed: out.failed, Congested: out.congested,
		LimitedIn: in.limited, LimitedOut: out.limited, FilteredIn: in.filtered, FilteredOut: out.filtered,
		SegmentsLower: in.segments + out.low,
	}
	if e.before != nil {
		c.Add(*e.before)
	}
	return c
}

// Flow is how sending to the peer stands.
type Flow struct {
	gre.Flow
	Stalls  uint64 `json:"stalls"`  // times that the window was full when there was something to send
	Waiting int    `json:"waiting"` // packets that wait for room in it
}

// String describes it for people.
func (f Flow) String() string {
	return fmt.Sprintf("%v, %d stalls, %d waiting", f.Flow, f.Stalls, f.Waiting)
}

// Flow returns how sending to the peer stands.
func (e *Entry) Flow() Flow {
	e.out.Lock()
	defer e.out.Unlock()
	return Flow{e.out.sender.Flow(), e.out.count.stalls, e.out.queue.len()}
}

// Rest tells that the session has carried nothing for a while: memory that is only there for speed is given back until it does.
func (e *Entry) Rest() {
	e.in.Lock()
	if e.in.opener != nil {
		e.in.opener.Rest()
	}
	e.in.Unlock()
	e.out.Lock()
	defer e.out.Unlock()
	if e.out.sealer != nil {
		e.out.sealer.Rest()
	}
}

// Peer is the address that the session has at this moment, invalid while nothing may flow.
func (e *Entry) Peer() netip.Addr {
	if nw := e.net.Load(); nw != nil {
		return nw.Network.Peer
	}
	return netip.Addr{}
}
