package pac

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pac/config"
	"trunkline.example/pac/relay"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
)

// stage is how far a call has come.
type stage uint8

const (
	stageOffering  stage = iota // a network server is asked; the line rings
	stageRefused                // nobody takes it; the line rings on
	stageAnswering              // taken; the modem trains
	stageDialing                // a network server asked for it; the line dials
	stageRelaying               // up
	stageTesting                // up, with another line of ours
	stageEnding                 // over for the network server or for us; the line is being freed
)

var stageNames = [...]string{"offering", "refused", "answering", "dialing", "established", "self-test", "ending"}

func (s stage) String() string { return stageNames[s] }

// call is one call, from RING or the order to dial to the line's word that it is over.
type call struct {
	kind    record.Kind
	id      string
	number  line.Call // on its line
	serial  uint16
	called  string
	ringing line.Ringing
	stage   stage
	leg     leg        // with the network server that is asked or has taken it
	peer    string     // name of that network server
	next    []*network // still to ask
	pacID   uint16     // our Call ID; the last one, if several were asked
	pnsID   uint16     // theirs

	deadline  time.Time // of the stage
	wanCheck  time.Time
	began     time.Time
	connected time.Time
	line      line.Connected
	window    uint16 // packets the network server buffers
	relay     *relay.Relay
	data      dataPath // what uses the line: the relay, or the traffic of a self-test; nil: nothing does
	test      *testEnd // the self-test that the call is for; nil: it is a network server's
	counters  line.Counters
	reporting bool             // its line will say what its device knows of the call
	ending    ending           // why it ends, once that is known
	bearer    pptp.BearerType  // that the network server has asked for; 0: any
	framing   pptp.FramingType // that it has asked for; 0: any
	log       *zap.Logger
}

// dataPath reads and writes a line while its call is up.
type dataPath interface {
	// Stop has it end.
	Stop()
	// Done is closed when it has let go of the line.
	Done() <-chan struct{}
}

const (
	// wanInterval is how often a call's error counters are looked at; the control connection sends at most one a minute.
	wanInterval = 5 * time.Second
	// routeInterval is how often a ringing call looks for a network server when none can be reached.
	routeInterval = time.Second
	// soonInterval is how often it looks whether one has a control connection again that comes back at once.
	soonInterval = 50 * time.Millisecond
)

// ringing begins a call: the first network server of the first route that matches is asked. The line is not answered yet.
func (o *owner) ringing(number line.Call, r line.Ringing) {
	if e := o.expected(r); e != nil {
		o.answerTest(e, number, r)
		return
	}
	o.calls++
	c := &call{
		kind: record.KindIncoming, number: number, ringing: r, began: time.Now(),
		called: calledNumber(*o.server.config(), o.identity.Name, r.Dialed, o.identity.Number),
	}
	c.id, c.serial = o.server.nextCall()
	c.log = o.log.With(zap.String(logging.KeyCall, c.id), zap.Uint16(logging.KeyCallSerial, c.serial))
	c.log.Info("ringing", zap.String(logging.KeyDialed, c.called), zap.String(logging.KeyDialing, r.Dialing))
	o.call = c
	o.route(c)
}

// route offers the call to the network servers of its route. While it rings and none of them can be reached, that is tried again.
func (o *owner) route(c *call) {
	route, ok := chooseRoute(*o.server.config(), offer{line: o.identity.Name, called: c.called, caller: c.ringing.Dialing, withheld: c.ringing.Withheld, at: time.Now()})
	switch {
	case !ok:
		o.refuse(c, "no route matches")
		return
	case route.Refuse:
		o.refuse(c, "its route refuses it")
		return
	case o.outOfService() != "":
		o.refuse(c, o.outOfService())
		return
	}
	why := "no network server of its route can be reached"
	if o.server.draining.Load() {
		why = "no new calls are taken at present (drain)"
	} else if c.next = o.server.candidates(route); len(c.next) > 0 {
		o.offerNext(c)
		return
	}
	if c.stage != stageRefused {
		o.refuse(c, why)
	}
	if c.stage == stageEnding {
		return
	}
	c.deadline = time.Now().Add(routeInterval)
	o.schedule(c.deadline)
}

// offerNext asks the next network server, or refuses the call if there is none left. One whose control connection another call has just taken
// is waited for.
func (o *owner) offerNext(c *call) {
	var soon []*network
	for len(c.next) > 0 {
		n := c.next[0]
		c.next = c.next[1:]
		about := o.about(c)
		about.Remote = n.cfg.Address.Addr()
		l, err := n.offer(callRef{to: o.mail, call: c.number, about: about}, control.IncomingOffer{
			CallSerialNumber: c.serial, Bearer: bearer(c.ringing.Bearer, o.identity), PhysicalChannelID: o.identity.PhysicalChannel,
			DialedNumber: c.called, DialingNumber: c.ringing.Dialing, Subaddress: c.ringing.Subaddress,
		})
		if errors.Is(err, errTaken) || errors.Is(err, errNotReady) && (n.ready() || n.soon()) {
			soon = append(soon, n)
			continue
		}
		if err != nil {
			c.log.Warn("call could not be offered", zap.String(logging.KeyPNS, n.cfg.Name), zap.Error(err))
			continue
		}
		c.stage, c.leg, c.peer, c.pacID = stageOffering, l, n.cfg.Name, l.own
		c.deadline = time.Now().Add(o.server.config().Timers.Reply)
		o.schedule(c.deadline)
		c.next = append(c.next, soon...) // if this one refuses
		return
	}
	if len(soon) > 0 {
		c.stage, c.next = stageOffering, soon
		c.deadline = time.Now().Add(soonInterval)
		o.schedule(c.deadline)
		return
	}
	o.refuse(c, "no network server takes it")
	if c.peer == "" && c.stage == stageRefused { // none could be asked
		c.deadline = time.Now().Add(routeInterval)
		o.schedule(c.deadline)
	}
}

// bearer is the Bearer Type of a ringing call.
func bearer(of line.Bearer, identity line.Identity) pptp.BearerType {
	if of == 0 {
		of = identity.Bearers
	}
	if of&line.BearerAnalog != 0 {
		return pptp.BearerAnalog
	}
	return pptp.BearerDigital
}

// refuse leaves the line unanswered, or has it rejected, as the policy says; a call that is up already is hung up.
func (o *owner) refuse(c *call, why string) {
	if !c.connected.IsZero() {
		o.end(c, ending{by: bySelf, result: generalError, error: pptp.ErrorPACError, reason: why})
		return
	}
	c.stage, c.leg = stageRefused, leg{}
	c.ending = ending{by: bySelf, reason: why}
	o.timer.Stop()
	o.server.traces.Event(time.Now(), o.about(c), "the call is not answered: "+why)
	c.log.Warn("call not answered", zap.String(logging.KeyReason, why))
	if o.server.config().Refused != config.RefusedBusy {
		return
	}
	ctx, cancel := lineCommand()
	defer cancel()
	if err := o.line.Reject(ctx, c.number, line.Cause{Code: line.CauseRejected, Text: why}); err != nil && !errors.Is(err, line.ErrNoCall) {
		c.log.Warn("the line could not reject the call", zap.Error(err))
	}
}

// message acts on what the network server says.
func (o *owner) message(m message) {
	if m.dial != nil {
		o.dial(m.dial)
		return
	}
	if m.tested != nil {
		o.release(m.tested)
		if m.tested.test.phase.Load() == testTaken {
			o.adopt(m.tested) // it answers somebody else
		}
		o.endTest(m.tested)
		return
	}
	if o.untold.overtaken(m) {
		o.untold = nil
		return
	}
	c := o.call
	if c == nil || m.call != c.number || !c.leg.valid() || m.from != c.leg.connection || m.own != c.leg.own {
		return
	}
	switch {
	case m.accepted != nil:
		o.accepted(c, m.accepted)
	case m.cleared:
		c.log.Info("the network server clears the call")
		if c.stage == stageOffering {
			o.passOver(c, onRequest)
			return
		}
		o.end(c, ending{by: byPNS, result: onRequest, reason: "Call-Clear-Request from the network server"})
	case m.linkInfo != nil:
		if c.relay != nil {
			c.relay.SetACCM(sendACCM(c.line, m.linkInfo.SendACCM), m.linkInfo.ReceiveACCM)
		}
		c.log.Debug("link info", zap.Uint32("send_accm", m.linkInfo.SendACCM), zap.Uint32("receive_accm", m.linkInfo.ReceiveACCM))
	case m.ended != nil:
		o.legEnded(c, m.ended)
	}
}

// accepted answers the telephone.
func (o *owner) accepted(c *call, a *control.Call) {
	if c.stage != stageOffering {
		return
	}
	c.pnsID, c.window = a.PNSCallID, a.PNSWindow
	c.log = c.log.With(zap.Uint16(logging.KeyPACCallID, a.PACCallID), zap.Uint16(logging.KeyPNSCallID, a.PNSCallID), zap.String(logging.KeyPNS, c.peer))
	if !c.connected.IsZero() { // it was answered for a self-test
		o.relayCall(c)
		return
	}
	c.log.Info("call accepted, answering")
	o.answer(c)
}

// answer takes the phone off the hook.
func (o *owner) answer(c *call) {
	ctx, cancel := lineCommand()
	defer cancel()
	if err := o.line.Answer(ctx, c.number); err != nil {
		c.log.Warn("the line could not be answered", zap.Error(err))
		e := ending{by: bySelf, result: generalError, error: pptp.ErrorPACError, reason: "the line could not be answered: " + err.Error()}
		if errors.Is(err, line.ErrNoCall) {
			e = ending{by: byCaller, result: lostCarrier, reason: "the caller had hung up"}
		}
		o.end(c, e)
		return
	}
	c.stage = stageAnswering
	c.deadline = time.Now().Add(o.server.config().Timers.Connect)
	o.schedule(c.deadline)
}

// legEnded: the call is over for the network server.
func (o *owner) legEnded(c *call, e *control.CallEnded) {
	c.leg = leg{}
	reason := e.Why.String()
	if c.stage == stageOffering {
		c.log.Info("call not taken", zap.String(logging.KeyPNS, c.peer), zap.String(logging.KeyReason, reason))
		o.offerNext(c)
		return
	}
	o.end(c, ending{by: byPNS, result: onRequest, reason: reason})
}

// connected is the line's word that the call is up.
func (o *owner) connected(b line.Connected) {
	c := o.call
	if c == nil || c.stage != stageAnswering && c.stage != stageDialing {
		return
	}
	if why := c.unwanted(b); why != "" {
		o.end(c, ending{by: bySelf, result: generalError, error: pptp.ErrorBadValue, outgoing: pptp.OutgoingGeneralError, reason: why})
		return
	}
	c.line, c.connected = b, time.Now()
	c.log.Info("connected", zap.Uint32(logging.KeySpeed, b.TxSpeed), zap.Uint32("receive_speed", b.RxSpeed), zap.Bool("speed_known", b.SpeedKnown),
		zap.String("modulation", b.Modulation), zap.String("error_control", b.ErrorControl), zap.String("compression", b.Compression), zap.String("text", b.Raw))
	switch {
	case c.test != nil:
		o.testConnected(c)
	case c.leg.valid():
		o.relayCall(c)
	default: // it was answered for a self-test, and is somebody else's
		c.stage = stageOffering
		o.route(c)
	}
}

// relayCall starts the relay and tells the network server: the call it has accepted, or asked for, is up.
func (o *owner) relayCall(c *call) {
	c.stage = stageRelaying
	remote := c.leg.network.cfg.Address.Addr()
	r, err := relay.Start(relay.Config{
		Line: o.line, Connected: c.line, Mux: c.leg.connection.mux, Remote: remote,
		PACCallID: c.leg.own, PNSCallID: c.pnsID, PNSWindow: c.window, Window: relayWindow(c.line.TxSpeed),
		Tap: o.traceFrame(o.about(c)),
	})
	if err != nil {
		o.end(c, ending{by: bySelf, result: generalError, error: pptp.ErrorPACError, reason: err.Error()})
		return
	}
	c.relay, c.data = r, r
	if err := o.tellConnected(c); err != nil {
		o.end(c, ending{by: bySelf, result: generalError, error: pptp.ErrorPACError, reason: err.Error()})
		return
	}
	c.deadline = time.Time{}
	c.wanCheck = time.Now().Add(wanInterval)
	o.schedule(c.wanCheck)
}

// tellConnected sends the Incoming-Call-Connected, or the Outgoing-Call-Reply.
func (o *owner) tellConnected(c *call) error {
	if c.kind == record.KindOutgoing {
		return c.leg.answer(control.OutgoingAnswer{ConnectSpeed: c.line.TxSpeed, Window: relayWindow(c.line.TxSpeed), PhysicalChannelID: o.identity.PhysicalChannel})
	}
	return c.leg.confirm(control.LineConnected{ConnectSpeed: c.line.TxSpeed, Framing: framingOf(c.line), Window: relayWindow(c.line.TxSpeed)})
}

// framingOf is the framing on the telephone line. A terminal adapter that converts has octets for us, and HDLC frames on its B channel.
func framingOf(c line.Connected) pptp.FramingType {
	if c.Framing == line.FramingSync || c.Bearer == line.BearerDigital && c.Modulation == "HDLC" {
		return pptp.FramingSynchronous
	}
	return pptp.FramingAsynchronous
}

// sendACCM is the map to send with when a Set-Link-Info names one. An adapter that converts watches LCP for itself, not all do it well, and all
// take every control character escaped.
func sendACCM(c line.Connected, named uint32) uint32 {
	if c.Framing == line.FramingAsync && framingOf(c) == pptp.FramingSynchronous {
		return hdlc.DefaultACCM
	}
	return named
}

const (
	// leastWindow and mostWindow bound relayWindow, in packets.
	leastWindow, mostWindow = 3, 16
	// windowPacket is the packet in octets that is reckoned with.
	windowPacket = 1500
)

// relayWindow is the Packet Receive Window Size we advertise, and how many packets the relay queues towards the line: what the line carries
// in about a second, so that on a slow one nothing waits for long behind others.
func relayWindow(speed uint32) uint16 {
	return uint16(min(max(speed/8/windowPacket, leastWindow), mostWindow))
}

// tick does what is due.
func (o *owner) tick(now time.Time) {
	c := o.call
	if c == nil {
		o.tell("")
		return
	}
	if c.stage == stageRelaying {
		c.leg.notifyErrors(wanErrors(c))
		c.wanCheck = now.Add(wanInterval)
		o.schedule(c.wanCheck)
		return
	}
	if c.deadline.IsZero() || now.Before(c.deadline) {
		o.schedule(c.deadline)
		return
	}
	if c.stage == stageOffering && !c.leg.valid() {
		o.offerNext(c)
		return
	}
	switch c.stage {
	case stageOffering:
		// A late answer finds no call any more: the Call-Disconnect-Notify has disowned it.
		c.log.Warn("the network server does not answer", zap.String(logging.KeyPNS, c.peer))
		o.passOver(c, adminShutdown)
	case stageRefused:
		o.route(c)
	case stageAnswering:
		o.end(c, ending{by: bySelf, result: generalError, error: pptp.ErrorPACError, reason: fmt.Sprintf("no connection within %v of the answer", o.server.config().Timers.Connect)})
	case stageDialing:
		o.dialTimedOut(c)
	case stageTesting:
		o.end(c, ending{by: bySelf, reason: "the self-test did not end"})
	case stageEnding:
		// The network server need not wait any longer. The line must, and may have missed the command.
		c.log.Error("the line is not freed", zap.Duration("after", o.server.config().Timers.Hangup))
		cause := line.Cause{Code: line.CauseUnresponsive}
		o.disconnect(c, cause, statistics(c, cause))
		o.hangLine(c)
	}
}

// passOver takes the call back from the network server that is asked and asks the next one.
func (o *owner) passOver(c *call, result pptp.DisconnectResult) {
	asked := c.leg
	c.leg = leg{}
	_ = asked.disconnect(control.Disconnect{Result: result})
	o.offerNext(c)
}
