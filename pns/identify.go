package pns

import (
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/aaa"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/ppp/auth"
)

// authenticate asks who the peer is, outside of the loop. There is one question at a time, so that each knows what the one before
// has brought: a peer that logs in anew while the first login is being checked has not two places and two addresses.
func (k *call) authenticate(now time.Time, a auth.Attempt) {
	if k.asking {
		k.next = &a
		return
	}
	k.trying = a.User
	pac := ""
	if k.conn.pac != nil {
		pac = k.conn.pac.Name
	}
	ok := k.conn.shard.server.desk.submit(job{call: k, held: k.granted, request: aaa.Request{
		Attempt: a, Peer: k.conn.remote.Addr(), Listener: k.conn.listener, PAC: pac, Session: k.id,
		Dialed: k.info.DialedNumber, Dialing: k.info.DialingNumber,
	}})
	if !ok {
		k.verdict(now, auth.Verdict{Generation: a.Generation, Reason: "too many logins are being checked"}, grant{})
		return
	}
	k.asking = true
}

// verdict takes the answer to an attempt. It runs on the shard.
func (k *call) verdict(now time.Time, v auth.Verdict, g grant) {
	s := k.conn.shard.server
	remote := k.conn.remote.Addr()
	k.asking = false
	if k.gone || k.ended {
		s.desk.release(k, g)
		return
	}
	if !v.OK {
		k.refusal = v.Reason
		k.traceEvent(now, "login refused: "+v.Reason)
		k.log().Warn("login refused", append(k.fields(), zap.String(logging.KeyUser, k.trying),
			zap.Stringer(logging.KeyProtocol, k.session.Facts().Authentication), zap.String(logging.KeyReason, v.Reason))...)
		if k.conn.pac == nil && guessed(v) && s.bans.failed(now, remote) {
			k.log().Warn("address banned after failed logins", append(k.fields(), zap.Duration(logging.KeyDuration, s.cfg.Load().Users.Ban.Time))...)
		}
	} else {
		if g.held {
			k.granted = g
		}
		s.bans.succeeded(remote)
		k.opened()
		k.traceEvent(now, "logged in as "+v.User)
		k.log().Info("logged in", append(k.fields(), zap.String(logging.KeyUser, v.User), zap.Stringer(logging.KeyAddress, v.PeerAddress))...)
	}
	k.session.Authenticated(now, v)
	k.step(now)
	if next := k.next; next != nil {
		k.next = nil
		k.authenticate(now, *next)
	}
}

// guessed tells a refusal for a wrong name or password from one for want of a place, an address or an answer: nobody is banned for
// what is ours.
func guessed(v auth.Verdict) bool { return v.Code == auth.FailureAuthentication }

// opened ends the time in which the call counts as half open.
func (k *call) opened() {
	if k.halfOpen {
		k.halfOpen = false
		k.conn.shard.server.admission.callOpen(k.conn.remote.Addr())
	}
}
