package pns

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/config"
	"trunkline.example/pns/dataplane"
	"trunkline.example/pns/filter"
	"trunkline.example/pns/session"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/loop"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/callstats"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
)

// call is one PPTP call with its PPP session. Its connection's shard owns it, but for the first block, which never changes, and
// waiting.
type call struct {
	conn    *conn
	id      uint64 // number of the session
	own     uint16 // Call ID that we assigned
	started time.Time

	waiting atomic.Int32 // frames in the shard's mailbox

	loop.Timed
	policy  *config.Policy
	info    control.Call
	session *session.Session
	entry   *dataplane.Entry
	granted grant         // what logging in has brought; its zero value is nothing
	asking  bool          // the desk has a login to answer
	next    *auth.Attempt // that waits for this answer: the peer has begun anew meanwhile
	trying  string        // who the last login said it was
	busy    bool
	dirty   bool

	halfOpen  bool
	ended     bool // the link has
	overdue   bool // the control connection has been asked to end the call
	operator  bool // an operator asked for the end
	gone      bool
	intent    link.Reason // why we are closing it, if we are
	why       link.Reason // why it ended
	refusal   string      // why the last login was refused
	wanErrors pptp.WANErrors
	asked     chan<- CallResult // who waits for the call that was ordered; nil: nobody
	visit     *visit            // to call a site; nil: the call is none of ours
	settleBy  time.Time         // the site's far end takes packets at this instant at the latest; zero: it does already
	echoes    uint64            // or when it has answered more Echo-Requests than so many
}

const (
	// startPatience is how long a client that we have just told of its call may take to say something first.
	startPatience = 250 * time.Millisecond
	// framesWaiting bounds the frames of one call in its shard's mailbox.
	framesWaiting = 32
	// assumedSpeed is told to clients that name no highest speed, in bit/s.
	assumedSpeed = 100_000_000
)

// Deliver implements dataplane.Inbox. It is called by the data plane's goroutines.
func (k *call) Deliver(frame []byte) bool {
	if k.waiting.Add(1) > framesWaiting || !k.conn.shard.mail.offer(inboundFrame{k, frame}) {
		k.waiting.Add(-1)
		return false
	}
	return true
}

// receive takes a frame out of the mailbox.
func (k *call) receive(now time.Time, frame []byte) {
	k.waiting.Add(-1)
	if k.gone {
		return
	}
	k.session.Receive(now, frame)
	k.step(now)
}

// fields name the call in logs. They are good for one line.
func (k *call) fields() []zap.Field {
	f := append(k.conn.shard.line(), zap.Uint64(logging.KeySession, k.id), zap.Uint64(logging.KeyControl, k.conn.id), zap.Stringer(logging.KeyPeer, k.conn.remote.Addr()),
		zap.Uint16(logging.KeyPACCallID, k.info.PACCallID), zap.Uint16(logging.KeyPNSCallID, k.info.PNSCallID))
	if k.conn.pac != nil {
		f = append(f, zap.String(logging.KeyPAC, k.conn.pac.Name))
	}
	if k.visit != nil {
		f = append(f, zap.String(logging.KeySite, k.visit.site.cfg.Name))
	}
	return f
}

// lineConnected: the line of a PAC has answered, or has been answered.
func (k *call) lineConnected(now time.Time, info control.Call) {
	k.info = info
	k.entry.SetTheirs(info.PACCallID)
	speed := k.lineSpeed()
	mtu := lineMTU(speed, k.policy.MTU)
	k.entry.SetWindow(lineWindow(speed, mtu, info.PACWindow), lineHold(speed, mtu))
	k.session = k.sessionPlan().Renew(k.session, now, seed()) // the line's speed is known now
	k.connected(now, 0)
}

// connected starts PPP.
func (k *call) connected(now time.Time, patience time.Duration) {
	k.session.Connected(now, patience)
	k.step(now)
}

// Tick lets the session's timers run.
func (k *call) Tick(now time.Time) {
	in, out := k.entry.Traffic()
	if k.session.Tick(now, session.Traffic{Received: in, Sent: out}) {
		k.entry.Rest()
	}
	k.step(now)
}

// step performs the session's actions until there are none left, and notes the next deadline. Every input to the session is
// followed by it; calls made from within only mark that there is more to do.
func (k *call) step(now time.Time) {
	k.dirty = true
	if k.busy {
		return
	}
	k.busy = true
	for k.dirty {
		k.dirty = false
		for _, a := range k.session.Actions(now) {
			k.perform(now, a)
		}
	}
	k.busy = false
	if k.gone {
		return
	}
	k.settle(now)
	at := k.session.Deadline()
	if by := k.settleBy; !by.IsZero() && (at.IsZero() || by.Before(at)) {
		at = by
	}
	k.conn.shard.deadlines.Set(&k.Timed, at)
}

func (k *call) perform(now time.Time, a link.Action) {
	switch a := a.(type) {
	case link.Send:
		k.conn.shard.out.Send(k.entry, a.Frame)
	case link.Authenticate:
		k.authenticate(now, a.Attempt)
	case link.LinkUp:
		k.linkUp(now, a)
	case link.NetworkUp:
		k.networkUp(now, a)
	case link.NetworkDown:
		k.entry.Shut()
		k.log().Info("network down", append(k.fields(), zap.String(logging.KeyReason, a.Why))...)
	case link.PhaseChanged:
		k.traceEvent(now, "PPP phase "+a.Phase.String()+" "+a.Detail)
		if line := k.log().Check(zap.DebugLevel, "phase"); line != nil {
			line.Write(append(k.fields(), zap.Stringer(logging.KeyTo, a.Phase), zap.String("detail", a.Detail))...)
		}
	case link.Ended:
		k.linkEnded(now, a.Reason)
	}
}

func (k *call) log() *zap.Logger { return k.conn.shard.server.log }

// linkUp tells a PAC what LCP has agreed on for its line. Of a call whose PNS is the client we are the PAC ourselves, and do so only if the policy
// says it: some routers break the connection then (quirk of pass-through devices, and of Linux's NAT helper).
func (k *call) linkUp(now time.Time, a link.LinkUp) {
	k.log().Info("link up", append(k.fields(), zap.Uint16("mru", a.MRU), zap.Uint16("peer_mru", a.PeerMRU), zap.Stringer(logging.KeyProtocol, a.Authentication))...)
	k.entry.Expect()
	if k.info.Role != fsm.RolePNS && !k.policy.SetLinkInfo || k.overdue {
		return
	}
	if err := k.conn.machine.SetLinkInfo(now, k.own, a.SendACCM, a.ReceiveACCM); err != nil {
		k.log().Warn("Set-Link-Info not sent", append(k.fields(), zap.Error(err))...)
		return
	}
	k.conn.step(now)
}

// networkUp opens the data path.
func (k *call) networkUp(now time.Time, a link.NetworkUp) {
	n := dataplane.Network{Peer: a.PeerAddress, MTU: int(a.MTU), Encryption: a.Encryption, PFC: a.PFC, ACFC: a.ACFC, Behind: k.granted.behind}
	n.In, n.Out = k.limits()
	var known bool
	if n.Filter, known = k.filter(); !known {
		k.log().Error("the session's filter is not configured any more", k.fields()...)
		k.close(now, link.Reason{Code: link.CodeConfiguration, By: link.Here, Text: "filter is not configured"})
		return
	}
	if k.visit != nil {
		k.opened()
		n.Own = a.LocalAddress
		if !k.conn.shard.server.believable(n.Peer) {
			n.Peer = netip.Addr{} // only what lies behind it is heard
		}
	}
	k.conn.shard.out.FlushOf(k.entry) // the client must know that it may send before it hears data
	err := k.entry.Open(n)
	if err != nil {
		k.log().Error("session cannot be carried", append(k.fields(), zap.Error(err))...)
		k.close(now, link.Reason{Code: link.CodeResources, By: link.Here, Text: "address not available"})
		return
	}
	if k.visit != nil {
		_, counters := k.session.Counters()
		k.settleBy, k.echoes = now.Add(settleTime), counters.EchoReplies
		k.session.Echo(now)
		k.dirty = true
	}
	k.tellAsked(nil)
	encryption := "none"
	if a.Encryption != nil {
		encryption = encryptionName(uint16(a.Encryption.KeyLength))
	}
	k.log().Info("session up", append(k.fields(), zap.String(logging.KeyUser, a.User), zap.Stringer(logging.KeyAddress, a.PeerAddress),
		zap.String(logging.KeyEncryption, encryption), zap.Uint16("mtu", a.MTU), zap.Duration("after", now.Sub(k.started).Round(time.Millisecond)))...)
}

// filter is the policy's, but for one that the user has of his own. It is not known if a reload has taken it away since the call began.
func (k *call) filter() (f *filter.Filter, known bool) {
	name := k.policy.Filter
	if own := k.granted.filter; own.Own {
		name = own.Name
	}
	f = k.conn.shard.server.cfg.Load().Filter(name)
	return f, f != nil || name == ""
}

// limits are the policy's, but for what the user has of his own.
func (k *call) limits() (in, out dataplane.Limit) {
	p, own := k.policy, k.granted.rates
	limit := func(policy int64, own aaa.Rate) dataplane.Limit {
		if own.Own {
			policy = own.PerSecond
		}
		return dataplane.Limit{Rate: policy, Burst: p.RateBurst}
	}
	return limit(p.RateIn, own.In), limit(p.RateOut, own.Out)
}

func encryptionName(bits uint16) string {
	if bits == 0 {
		return ""
	}
	return fmt.Sprintf("MPPE-%d stateless", bits)
}

// close ends the session orderly; the call follows.
func (k *call) close(now time.Time, why link.Reason) {
	if k.gone || k.ended {
		return
	}
	k.intent = why
	k.session.Close(now, why)
	k.step(now)
}

// shutdown says goodbye because the server stops.
func (k *call) shutdown(now time.Time) {
	k.operator = true
	k.close(now, link.Reason{Code: link.CodeShutdown, By: link.Here, Text: "server is shutting down"})
}

// fail ends session and call at once, with no more than one word to the peer.
func (k *call) fail(now time.Time, why link.Reason) {
	k.close(now, why) // sends a Terminate-Request, and does not wait for the answer
	if !k.gone && !k.ended {
		k.why = why
		k.session.Down(now)
		k.step(now)
	}
}

// evict ends the call for a newer one of the same user, and waits until it has given its address back. It is called by a
// worker, never by a shard.
func (k *call) evict(ctx context.Context, why string) {
	ctx, cancel := context.WithTimeout(ctx, evictionTime)
	defer cancel()
	done := make(chan struct{})
	shard := k.conn.shard
	if !shard.mail.post(func() {
		k.fail(shard.now, link.Reason{Code: link.CodeAdministrative, By: link.Here, Text: why})
		close(done)
	}) {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// linkEnded ends the call after its link.
func (k *call) linkEnded(now time.Time, why link.Reason) {
	k.ended = true
	if k.why.Code == link.CodeNone {
		k.why = why
	}
	k.entry.Shut()
	k.conn.shard.server.desk.release(k, k.granted)
	k.granted = grant{}
	if k.gone || k.overdue {
		return
	}
	k.overdue = true
	if err := k.conn.machine.EndCall(now, k.own, control.Disconnect{Result: disconnectResult(k.why.Code), Statistics: k.statistics(now)}); err != nil {
		// The machine does not know the call any more: then nobody else will tell of its end.
		k.callEnded(now, k.info, control.Ending{Cause: control.CauseConnectionLost})
		return
	}
	k.conn.step(now)
}

// disconnectResult is what a Call-Disconnect-Notify says about the end of a link.
func disconnectResult(c link.Code) pptp.DisconnectResult {
	switch c {
	case link.CodePeerTerminated, link.CodeLowerDown, link.CodeEchoTimeout, link.CodeNoAnswer:
		return pptp.DisconnectLostCarrier
	}
	return pptp.DisconnectAdminShutdown
}

// statistics is the text of a Call-Disconnect-Notify. A client's call has no line, and so no cause of one.
func (k *call) statistics(now time.Time) string {
	n := k.entry.Counters()
	s := callstats.Statistics{FramesIn: n.PacketsIn, OctetsIn: n.OctetsIn, FramesOut: n.PacketsOut, OctetsOut: n.OctetsOut, Lost: n.Lost}
	if up := k.session.Facts().NetworkUp; !up.IsZero() {
		s.Connected, s.Seconds = true, uint64(now.Sub(up).Round(time.Second)/time.Second)
	}
	return s.String()
}

// clearRequested: the client wants its call ended; we are its PAC.
func (k *call) clearRequested(now time.Time, info control.Call) {
	k.info, k.overdue = info, true
	k.down(now, link.Reason{Code: link.CodePeerTerminated, By: link.There, Text: "the client cleared the call"})
	if err := k.conn.machine.DisconnectCall(now, k.own, control.Disconnect{Result: pptp.DisconnectRequest, Statistics: k.statistics(now)}); err != nil {
		k.callEnded(now, info, control.Ending{Cause: control.CauseClearedByPNS})
		return
	}
	k.conn.dirty = true
}

// down ends a link under which the call is gone. Why it ended is what the link knows of its last words, else why we were closing
// it, else what has happened to the call.
func (k *call) down(now time.Time, why link.Reason) {
	if k.ended {
		return
	}
	k.session.Down(now)
	k.step(now)
	if k.why.Code == link.CodeLowerDown || k.why.Code == link.CodeNone {
		if k.why = why; k.intent.Code != link.CodeNone {
			k.why = k.intent
		}
	}
	if k.refusal != "" && k.session.Facts().Authenticated.IsZero() && k.why.Code == link.CodePeerTerminated {
		k.why.Code, k.why.Text = link.CodeAuthFailed, "gave up after a refused login: "+k.refusal
	}
}

// callEnded: the control connection knows the call no more. Everything it held is given back.
func (k *call) callEnded(now time.Time, info control.Call, why control.Ending) {
	if k.gone {
		return
	}
	k.info, k.overdue = info, true
	k.down(now, endingReason(info, why))
	k.gone = true
	s := k.conn.shard.server
	k.conn.shard.deadlines.Drop(&k.Timed)
	k.conn.calls.remove(k)
	k.conn.shard.out.FlushOf(k.entry)
	counters := k.entry.Remove()
	s.retire(counters)
	if hadLine := k.info.Direction == fsm.Incoming || k.info.ConnectSpeed > 0; hadLine && k.info.Role == fsm.RolePNS && k.conn.pac != nil {
		s.lines.ended(lineKey{k.conn.pac.Name, k.info.PhysicalChannelID}, now, lineErrors(k.wanErrors), why)
	}
	if k.halfOpen && k.conn.pac == nil && k.visit == nil {
		s.attempts.failed(now, k.conn.remote.Addr())
	}
	k.opened()
	s.admission.callGone()
	k.tellAsked(&why)
	k.traceEnd(now, why)
	k.logEnd(now, counters, why)
	s.writeRecord(k.record(now, counters, why))
	if k.conn.calls.len() == 0 {
		k.conn.idle = now
		if k.conn.shard.stopping {
			k.conn.machine.Stop(now, pptp.StopShutdown)
			k.conn.dirty = true
		}
		k.conn.useless(now)
	}
}

// forget takes back a call that nobody has heard of yet.
func (k *call) forget() {
	k.gone = true
	k.conn.shard.deadlines.Drop(&k.Timed)
	k.conn.calls.remove(k)
	k.entry.Remove()
	if k.conn.calls.len() == 0 {
		k.conn.idle = k.started
	}
}

// endingReason is the reason of a call that the control connection ended before its link had.
func endingReason(info control.Call, why control.Ending) link.Reason {
	r := link.Reason{Code: link.CodeLowerDown, By: link.Line, Text: why.String()}
	if info.Role == fsm.RolePAC && why.Cause == control.CauseClearedByPNS {
		r.Code, r.By = link.CodePeerTerminated, link.There
	}
	return r
}
