package load

import (
	"net/netip"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/loop"
	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/mppe"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// state is how far a call is.
type state uint8

const (
	connecting   state = iota // TCP
	starting                  // Start-Control-Connection
	asking                    // the call
	establishing              // PPP, whose link knows more
	up
	hangingUp // we have ended it
	ended
)

// call is one session: a call, the PPP link in it, and its traffic.
type call struct {
	loop.Timed
	shard  *shard
	conn   *conn
	number int
	began  time.Time
	state  state
	dirty  bool
	own    uint16
	key    callKey
	limit  time.Time // hangingUp: when it is given up; of a guest that is up: when it leaves
	guest  *guest    // nil: it is held

	link     *link.Link
	receiver *gre.Receiver
	sender   *gre.Sender
	early    [][]byte // frames that came before the call was known to be connected

	seal         *mppe.Encryptor
	open         *mppe.Decryptor
	net          bool
	outer, inner []byte // what goes before an IP packet: in clear, and encrypted
	mtu          int
	local, peer  netip.Addr // inside
	flow         flow       // nil without traffic
}

const (
	window      = 64 // packets that we say we buffer
	maxEarly    = 8  // frames
	clientSpeed = 100_000_000
)

// request asks for a client's call.
func (k *call) request(now time.Time) {
	if k.state != starting {
		return
	}
	k.state = asking
	own, err := k.conn.machine.RequestOutgoing(now, control.OutgoingRequest{
		CallSerialNumber: uint16(k.number), MinimumBPS: 300, MaximumBPS: clientSpeed,
		Bearer: pptp.BearerAnalog | pptp.BearerDigital, Framing: pptp.FramingEither, Window: window,
	})
	k.placed(now, own, err)
}

// offer offers a relayed call on a PAC's connection.
func (k *call) offer(now time.Time, c *conn) {
	k.conn, k.state = c, asking
	own, err := c.machine.OfferIncoming(now, control.IncomingOffer{
		CallSerialNumber: uint16(k.number), Bearer: pptp.BearerDigital, PhysicalChannelID: uint32(k.number), DialedNumber: "load",
	})
	k.placed(now, own, err)
}

// placed takes note of our Call ID, under which GRE packets will come.
func (k *call) placed(now time.Time, own uint16, err error) {
	c := k.conn
	if err != nil {
		k.fail(now, "call: "+err.Error(), "")
		return
	}
	k.own, k.key = own, callKey{c.local, own}
	if c.only == nil {
		if c.calls == nil {
			c.calls = map[uint16]*call{}
		}
		c.calls[own] = k
	}
	k.shard.calls[k.key] = k
	c.step(now)
}

// accepted takes the line up that the server wants.
func (k *call) accepted(now time.Time, info control.Call) {
	if k.state != asking {
		return
	}
	if err := k.conn.machine.ConfirmIncoming(now, k.own, control.LineConnected{ConnectSpeed: clientSpeed, Framing: pptp.FramingSynchronous, Window: window}); err != nil {
		k.fail(now, "call: "+err.Error(), "")
		return
	}
	k.conn.dirty = true
	k.connected(now, info)
}

// connected starts PPP.
func (k *call) connected(now time.Time, info control.Call) {
	if k.state != asking {
		return
	}
	k.state = establishing
	cfg := &k.shard.e.cfg
	theirs, _ := info.Theirs()
	k.receiver = gre.NewReceiver(gre.ReceiverConfig{})
	k.sender = gre.NewSender(now, gre.SenderConfig{CallID: theirs, Advertised: window})
	k.link = link.New(now, link.Config{
		Side: link.Client, Seed: k.shard.e.seed(), User: cfg.user(k.number), Secret: cfg.Password, Authentication: cfg.Authentication,
		Encryption: cfg.Encryption, AskDNS: true,
	})
	k.link.Up(now)
	k.perform(now)
	early := k.early
	k.early = nil
	for _, packet := range early {
		if h, payload, err := gre.Parse(packet); err == nil {
			k.receive(now, h, payload)
		}
	}
	k.touch()
}

// touch has the call settled at the end of the round.
func (k *call) touch() {
	if !k.dirty {
		k.dirty = true
		k.shard.dirty = append(k.shard.dirty, k)
	}
}

// receive takes a GRE packet, whose payload is not kept.
func (k *call) receive(now time.Time, h gre.Header, payload []byte) {
	if k.sender == nil {
		if len(k.early) < maxEarly && k.state < establishing {
			k.early = append(k.early, append(h.Append(nil), payload...))
		}
		return
	}
	if h.HasAck {
		k.sender.Acknowledged(now, h.Ack)
	}
	k.receiver.Receive(now, h, payload)
	k.deliver(now)
	k.touch()
}

// deliver takes what has come in order.
func (k *call) deliver(now time.Time) {
	for f, ok := k.receiver.Next(); ok; f, ok = k.receiver.Next() {
		k.frame(now, f)
	}
	k.sender.Owe(now, k.receiver.Ack())
}

func (k *call) frame(now time.Time, f gre.Frame) {
	proto, info, err := ppp.Split(f.Payload)
	if !k.net || err != nil || !proto.Data() {
		k.link.Receive(now, f.Payload)
		k.perform(now)
		return
	}
	k.link.Heard(now)
	if k.open != nil && proto == mppe.Protocol && len(info) > mppe.HeaderLength {
		plain, err := k.open.Open(&k.shard.work, info[mppe.HeaderLength:mppe.HeaderLength], info, f.Lost)
		if err == nil {
			proto, info, err = ppp.Split(plain)
		}
		if err != nil {
			return
		}
	} else if k.open != nil {
		return // in clear, which must not be
	}
	if proto == ppp.IPv4 && k.flow != nil {
		k.flow.receive(now, info)
	}
}

// perform does what the link wants done.
func (k *call) perform(now time.Time) {
	for actions := k.link.Actions(); len(actions) > 0; actions = k.link.Actions() {
		for _, a := range actions {
			switch a := a.(type) {
			case link.Send:
				k.send(now, a.Frame)
			case link.NetworkUp:
				k.networkUp(now, a)
			case link.NetworkDown:
				k.net = false
			case link.Ended:
				k.linkEnded(now, a.Reason)
			case link.PhaseChanged:
				if a.Phase == link.Terminate && k.state < hangingUp {
					// The server says good-bye. Down tells why, at once.
					k.link.Down(now)
				}
			}
		}
	}
}

// send sends a frame of a control protocol.
func (k *call) send(now time.Time, frame []byte) {
	b := append(k.shard.buffer()[:gre.MaxHeader], frame...)
	k.commit(now, b, gre.MaxHeader)
}

// commit sends the frame that begins at start in a buffer of the shard.
func (k *call) commit(now time.Time, b []byte, start int) {
	h := k.sender.NextUrgent(now, len(b)-start)
	start -= h.Len()
	h.Put(b[start:])
	k.shard.commit(k.key.local, b[start:])
}

func (k *call) networkUp(now time.Time, n link.NetworkUp) {
	k.seal, k.open = nil, nil
	if n.Encryption != nil {
		var err error
		if k.seal, err = mppe.NewEncryptor(*n.Encryption); err == nil {
			k.open, err = mppe.NewDecryptor(*n.Encryption)
		}
		if err != nil {
			k.fail(now, "MPPE: "+err.Error(), "")
			return
		}
	}
	k.net, k.mtu, k.local, k.peer = true, int(n.MTU), n.LocalAddress, n.PeerAddress
	k.inner = ppp.AppendHeader(nil, ppp.IPv4, n.ACFC, n.PFC)
	k.outer = k.inner
	if k.seal != nil {
		k.outer = ppp.AppendHeader(nil, mppe.Protocol, n.ACFC, n.PFC)
		k.inner = ppp.AppendHeader(nil, ppp.IPv4, true, n.PFC)
	}
	if k.state != establishing {
		return
	}
	k.state = up
	s := k.shard
	s.setting--
	if k.guest != nil {
		s.arrived(k)
	} else {
		s.tally.up.Add(1)
		s.latency.Add(now.Sub(k.began))
		s.ups = append(s.ups, now.Sub(s.e.began))
	}
	if s.phase == carrying {
		k.startTraffic(now)
	}
}

// ipRoom is where an IP packet begins in a buffer of the shard.
const ipRoom = gre.MaxHeader + ppp.HeaderMax + mppe.Overhead + 2

// sendIP sends the IP packet of size octets that lies at ipRoom in a buffer of the shard.
func (k *call) sendIP(now time.Time, b []byte, size int) {
	end := ipRoom + size
	start := ipRoom - len(k.inner)
	copy(b[start:], k.inner)
	if k.seal != nil {
		k.seal.Seal(&k.shard.work, b[:start-mppe.HeaderLength], b[start:end])
		start -= mppe.HeaderLength + len(k.outer)
		copy(b[start:], k.outer)
	}
	k.commit(now, b[:end], start)
	k.touch()
}

// settle acknowledges and sets the timer.
func (k *call) settle(now time.Time) {
	if k.state == ended || k.sender == nil {
		return
	}
	k.perform(now)
	if k.guest != nil && k.guest.leaving && k.state == up && k.idle() {
		if k.depart(now); k.state == ended {
			return
		}
	}
	if h, due := k.sender.AckDue(now); due {
		k.shard.commit(k.key.local, h.Append(k.shard.buffer()[:0]))
	}
	k.reschedule()
}

func (k *call) reschedule() {
	var at time.Time
	earliest := func(d time.Time) {
		if !d.IsZero() && (at.IsZero() || d.Before(at)) {
			at = d
		}
	}
	if k.state < up {
		earliest(k.began.Add(k.shard.e.cfg.Limit))
	}
	earliest(k.limit)
	if k.sender != nil && k.state != ended {
		earliest(k.link.Deadline())
		earliest(k.receiver.Deadline())
		earliest(k.sender.Deadline())
	}
	if k.flow != nil && k.state == up {
		earliest(k.flow.deadline())
	}
	k.shard.deadlines.Set(&k.Timed, at)
}

// Tick does what is due.
func (k *call) Tick(now time.Time) {
	switch {
	case k.state < up && !now.Before(k.began.Add(k.shard.e.cfg.Limit)):
		k.fail(now, "not up in time: "+k.where(), "")
		return
	case k.state == hangingUp && !now.Before(k.limit):
		k.over(now)
		return
	case k.sender == nil || k.state == ended:
		k.reschedule()
		return
	}
	k.link.Tick(now)
	k.perform(now)
	k.receiver.Tick(now)
	k.sender.Tick(now)
	k.deliver(now)
	if k.flow != nil && k.state == up {
		k.flow.tick(now)
	}
	if k.guest != nil && k.state == up && !now.Before(k.limit) {
		k.leave(now)
		return
	}
	k.touch()
}

// where names what a call that is not up waits for.
func (k *call) where() string {
	switch k.state {
	case connecting:
		return "TCP connect"
	case starting:
		return "Start-Control-Connection-Reply"
	case asking:
		return "reply to the call"
	}
	return "PPP, phase " + k.link.State().Phase.String()
}
