package pns

import (
	"errors"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/dataplane"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
)

// outgoingRequested: a client of its own dials in; we play the PAC of its call.
func (c *conn) outgoingRequested(now time.Time, info control.Call) {
	speed := info.MaximumBPS
	if speed == 0 {
		speed = assumedSpeed
	}
	answer := control.OutgoingAnswer{ConnectSpeed: speed, Window: dataplane.ReceiveWindow}
	k, refusal := c.admit(now, info)
	if k == nil {
		answer = control.OutgoingAnswer{Result: pptp.OutgoingDoNotAccept}
		if refusal.resource() {
			answer.Result, answer.Error = pptp.OutgoingGeneralError, pptp.ErrorNoResource
		}
	}
	if err := c.machine.AnswerOutgoing(now, info.Own(), answer); err != nil {
		c.unanswered(now, k, err)
		return
	}
	c.dirty = true
	if k != nil {
		k.connected(now, startPatience)
	}
}

// incomingOffered: a line of a PAC rings.
func (c *conn) incomingOffered(now time.Time, info control.Call) {
	answer := control.IncomingAnswer{Window: dataplane.ReceiveWindow}
	var k *call
	var refusal Refusal
	if c.pac == nil {
		refusal = c.refused(info, RefusedBearer)
	} else {
		k, refusal = c.admit(now, info)
	}
	if k == nil {
		answer = control.IncomingAnswer{Result: pptp.IncomingDoNotAccept}
		if refusal.resource() {
			answer.Result, answer.Error = pptp.IncomingGeneralError, pptp.ErrorNoResource
		}
	}
	if err := c.machine.AnswerIncoming(now, info.Own(), answer); err != nil {
		c.unanswered(now, k, err)
		return
	}
	c.dirty = true
}

// unanswered ends a call whose answer the machine would not take; nobody has heard of it. One that the peer has given up before that, in what was
// read together with its request, ends by what the machine says of it next.
func (c *conn) unanswered(now time.Time, k *call, err error) {
	if errors.Is(err, control.ErrUnknownCall) {
		return
	}
	c.shard.server.limited.Warn("call not answered", append(c.fields(), zap.Error(err))...)
	if k != nil {
		k.fail(now, link.Reason{Code: link.CodeConfiguration, By: link.Here, Text: err.Error()})
	}
}

// resource tells refusals that may be over soon from those by policy.
func (r Refusal) resource() bool {
	return r != RefusedBanned && r != RefusedBearer && r != RefusedOriginated
}

// refused counts and logs why a call is not taken.
func (c *conn) refused(info control.Call, r Refusal) Refusal {
	s := c.shard.server
	if r == RefusedBearer || r == RefusedOriginated || r == RefusedBanned || r == RefusedCallID {
		s.admission.refused[r].Add(1)
	}
	c.traceEvent(c.shard.now, "a call is refused: "+r.String())
	s.limited.Warn("call refused", append(c.fields(), zap.Stringer(logging.KeyReason, r), zap.String(logging.KeyDialing, info.DialingNumber),
		zap.String(logging.KeyDialed, info.DialedNumber))...)
	return r
}

// admit makes a call if there is room for it.
func (c *conn) admit(now time.Time, info control.Call) (*call, Refusal) {
	s := c.shard.server
	remote := c.remote.Addr()
	if c.ours != nil {
		return nil, c.refused(info, RefusedOriginated)
	}
	if _, banned := s.bans.banned(now, remote); banned && c.pac == nil {
		return nil, c.refused(info, RefusedBanned)
	}
	if limit := s.cfg.Load().Limits.HalfOpenPerSource; c.pac == nil && over(s.attempts.recent(now, remote), limit) {
		return nil, c.refused(info, s.admission.refuse(RefusedSourceHalfOpen))
	}
	if r := s.admission.call(remote, c.pac != nil); r != RefusedNone {
		return nil, c.refused(info, r)
	}
	k, err := c.begin(now, info, nil)
	if err != nil {
		s.log.Error("call cannot be carried", append(c.fields(), zap.Error(err))...)
		s.admission.callOpen(remote)
		s.admission.callGone()
		return nil, c.refused(info, RefusedCallID)
	}
	s.log.Info("call started", append(k.fields(), zap.String(logging.KeyDialing, info.DialingNumber), zap.String(logging.KeyDialed, info.DialedNumber))...)
	return k, RefusedNone
}

// begin makes the call that has been admitted; visit is the call to a site, nil otherwise.
func (c *conn) begin(now time.Time, info control.Call, visit *visit) (*call, error) {
	s := c.shard.server
	k := &call{conn: c, id: s.nextSession.Add(1), own: info.Own(), started: now, info: info, halfOpen: true, visit: visit}
	if visit != nil {
		k.policy = &visit.site.policy
	} else {
		k.policy = c.policy()
	}
	k.Timed.Owner = k
	entry, err := s.plane.Register(c.dataCall(k))
	if err != nil {
		return nil, err
	}
	k.entry = entry
	k.session = k.sessionPlan().New(now, seed())
	c.calls.add(k)
	c.idle = time.Time{}
	k.traceBegin(now)
	return k, nil
}

// dataCall is the call as the data plane needs to know it.
func (c *conn) dataCall(k *call) dataplane.Call {
	theirs, _ := k.info.Theirs()
	window := k.info.PACWindow // of a PAC's call not known yet, as is Theirs where we have asked for it
	if k.info.Role == fsm.RolePAC {
		window = k.info.PNSWindow
	}
	var route *dataplane.Route
	if k.visit != nil {
		route = k.visit.site.route
	}
	return dataplane.Call{
		Local: c.local.Addr(), Remote: c.remote.Addr(), Own: k.own, Theirs: theirs, Inbox: k, PathMTU: c.pathMTU, Route: route,
		// Our own pac acknowledges promptly; of clients nobody knows, and many never do.
		Window: window, Enforce: c.pac != nil,
	}
}
