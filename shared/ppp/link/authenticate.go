package link

import (
	"net/netip"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/mppe"
)

// Grant is what a Verdict gives to a session, over the Config.
type Grant struct {
	LocalAddress netip.Addr
	PeerAddress  netip.Addr
	DNS, WINS    [2]netip.Addr
}

// proverConfig lacks the seed, which is part of the machine's state.
func (l *Link) proverConfig() auth.PeerConfig {
	cfg := &l.plan.cfg
	return auth.PeerConfig{Protocol: l.s.Agreed.Proving, User: cfg.User, Secret: cfg.Secret, Timers: cfg.Timers.Authentication}
}

// checkerConfig lacks the seed, which is part of the machine's state.
func (l *Link) checkerConfig() auth.AuthenticatorConfig {
	cfg := &l.plan.cfg
	return auth.AuthenticatorConfig{Protocol: l.s.Agreed.Authentication, Name: cfg.Name,
		Timers: cfg.Timers.Authentication, Retries: cfg.Retries, Rechallenge: cfg.Rechallenge}
}

// startAuth begins what LCP agreed on.
func (l *Link) startAuth(now time.Time) {
	l.s.User, l.s.HasKeys, l.s.Keys, l.s.Granted = "", false, mppe.Params{}, Grant{}
	l.s.Policy = l.plan.cfg.Encryption
	l.s.ProverOK = l.s.Agreed.Proving == auth.None
	l.s.CheckerOK = l.s.Agreed.Authentication == auth.None
	prover, checker := l.proverConfig(), l.checkerConfig()
	l.s.Random.Fill(prover.Seed[:])
	checker.Seed = prover.Seed
	var err error
	switch {
	case !l.s.ProverOK:
		if l.prover, err = auth.NewPeer(prover); err == nil {
			l.prover.Start(now)
			l.drainProver(now)
		}
	case !l.s.CheckerOK:
		if l.checker, err = auth.NewAuthenticator(checker); err == nil {
			l.checker.Start(now)
			l.drainChecker(now)
		}
	default:
		l.authenticated(now, "no authentication")
	}
	if err != nil {
		l.terminate(now, Reason{CodeConfiguration, Here, err.Error()}, "authentication is not possible")
	}
}

// receiveAuth hands a packet to the machine that runs its protocol.
func (l *Link) receiveAuth(now time.Time, proto ppp.Protocol, info []byte) {
	switch {
	case l.prover != nil && ppp.Protocol(l.s.Agreed.Proving.Number()) == proto:
		l.prover.Receive(now, info)
		l.drainProver(now)
	case l.checker != nil && ppp.Protocol(l.s.Agreed.Authentication.Number()) == proto:
		l.checker.Receive(now, info)
		l.drainChecker(now)
	case l.s.Answered != nil && ppp.Protocol(l.s.Agreed.Authentication.Number()) == proto:
		reply, ok := l.s.Answered.Again(info)
		if !ok {
			l.s.Counters.Unexpected++
			return
		}
		l.send(proto, reply)
	default:
		l.s.Counters.Unexpected++
	}
}

// Authenticated is the answer to an Authenticate action. One that is no longer wanted
// is ignored.
func (l *Link) Authenticated(now time.Time, v auth.Verdict) {
	if l.checker == nil || uint32(v.Generation>>32) != l.s.Epoch {
		return
	}
	v.Generation &= 0xFFFFFFFF
	l.checker.Answer(now, v)
	l.drainChecker(now)
}

func (l *Link) drainProver(now time.Time) {
	m := l.prover
	for _, a := range m.Actions() {
		if l.prover != m {
			return
		}
		l.performAuth(now, a, l.s.Agreed.Proving)
	}
}

func (l *Link) drainChecker(now time.Time) {
	m := l.checker
	for _, a := range m.Actions() {
		if l.checker != m {
			return
		}
		l.performAuth(now, a, l.s.Agreed.Authentication)
	}
}

// performAuth performs what an authentication machine wants.
func (l *Link) performAuth(now time.Time, a auth.Action, p auth.Protocol) {
	switch a := a.(type) {
	case auth.Send:
		l.send(ppp.Protocol(p.Number()), a.Packet)
	case auth.Authenticate:
		// A generation names the attempt across renegotiations of LCP.
		a.Attempt.Generation |= uint64(l.s.Epoch) << 32
		l.act(Authenticate{a.Attempt})
	case auth.Succeeded:
		l.authSucceeded(now, a, p)
	case auth.Failed:
		l.authFailed(now, a)
	}
}

func (l *Link) authSucceeded(now time.Time, a auth.Succeeded, p auth.Protocol) {
	if a.Again || l.s.Phase != Authenticating {
		return
	}
	l.s.User = a.User
	if v := a.Verdict; l.checker != nil {
		l.s.CheckerOK = true
		if v.User != "" {
			l.s.User = v.User
		}
		l.s.Granted = Grant{v.LocalAddress, v.PeerAddress, v.DNS, v.WINS}
		switch v.Encryption {
		case auth.EncryptionForbidden:
			l.s.Policy = ccp.None
		case auth.EncryptionAllowed:
			l.s.Policy = ccp.Preferred
		case auth.EncryptionRequired:
			l.s.Policy = ccp.Required
		case auth.EncryptionDefault:
		}
	} else {
		l.s.ProverOK = true
	}
	if a.HasKeys {
		l.s.HasKeys = true
		l.s.Keys = mppe.Params{KeyLength: mppe.Bits128, Stateless: true, SendKey: a.SendKey, ReceiveKey: a.ReceiveKey}
	}
	l.authenticated(now, p.String()+" of "+quoted(l.s.User)+" succeeded")
}

// authenticated goes on to the network phase when nothing is left to be proved.
func (l *Link) authenticated(now time.Time, detail string) {
	if !l.s.ProverOK || !l.s.CheckerOK {
		return
	}
	l.enter(Network, detail)
	l.startNetwork(now)
}

// authFailed closes the link after the refusal has been sent, or taken.
func (l *Link) authFailed(now time.Time, a auth.Failed) {
	r := Reason{Code: CodeAuthFailed, By: Here, Text: a.Text}
	if r.Text == "" {
		r.Text = a.Reason.String()
	}
	if l.prover != nil && a.Message != "" {
		r.Text += ": " + quoted(ppp.Text([]byte(a.Message)))
	}
	if a.User != "" {
		r.Text = quoted(a.User) + ": " + r.Text
	}
	farewell := "authentication failed"
	switch a.Reason {
	case auth.FailRefused, auth.FailProtocol:
		if l.prover != nil {
			r.By = There
		}
	case auth.FailTimeout:
		r.Code, r.By = CodeAuthTimeout, There
		farewell = "no answer to authentication"
	case auth.FailUnproven:
		farewell = "the server did not prove that it knows the password"
	case auth.FailImpossible:
		r.Code = CodeConfiguration
	}
	l.terminate(now, r, farewell)
}
