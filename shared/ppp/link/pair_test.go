package link

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
)

func TestEncryptedCall(t *testing.T) {
	s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
	s.start()
	s.mustUp(10 * time.Second)
	if s.took() > 300*time.Millisecond {
		t.Errorf("took %v at 20 ms one way\n%s", s.took(), s.transcript())
	}
	a, b := *s.server.up, *s.client.up
	if a.Encryption == nil || b.Encryption == nil {
		t.Fatal("not encrypted")
	}
	if a.Encryption.SendKey != b.Encryption.ReceiveKey || a.Encryption.ReceiveKey != b.Encryption.SendKey || a.Encryption.SendKey == a.Encryption.ReceiveKey {
		t.Error("the keys do not fit")
	}
	if err := a.Encryption.Validate(); err != nil || !a.Encryption.Stateless || a.Encryption.KeyLength != 128 {
		t.Errorf("%v", err)
	}
	a.Encryption, b.Encryption = nil, nil
	if want := (NetworkUp{User: "alice", LocalAddress: here, PeerAddress: there, DNS: dns, MRU: 1400, MTU: 1396, PFC: true, ACFC: true}); a != want {
		t.Errorf("server: %+v\n  want: %+v", a, want)
	}
	if want := (NetworkUp{User: "alice", LocalAddress: there, PeerAddress: here, DNS: dns, MRU: 1500, MTU: 1396, PFC: true, ACFC: true}); b != want {
		t.Errorf("client: %+v\n  want: %+v", b, want)
	}
	if want := []Phase{Establish, Authenticating, Network}; !slices.Equal(s.server.phases, want) || !slices.Equal(s.client.phases, want) {
		t.Errorf("phases %v, %v", s.server.phases, s.client.phases)
	}
	s.client.l.Close(s.now, Reason{CodeAdministrative, Here, "enough"})
	s.drain(s.client)
	s.mustEnd(10*time.Second, Reason{CodePeerTerminated, There, `"enough"`}, Reason{CodeAdministrative, Here, "enough"})
}

func TestEveryAuthentication(t *testing.T) {
	for _, p := range []auth.Protocol{auth.PAP, auth.CHAPMD5, auth.MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			server, client := serverConfig(auth.MSCHAPv2, auth.CHAPMD5, auth.PAP), clientConfig(p)
			server.Encryption, client.Encryption = ccp.Preferred, ccp.Preferred
			s := newSim(t, server, client)
			s.start()
			s.mustUp(10 * time.Second)
			if encrypted := p == auth.MSCHAPv2; (s.server.up.Encryption != nil) != encrypted || (s.client.up.Encryption != nil) != encrypted {
				t.Errorf("encryption %v, %v", s.server.up.Encryption, s.client.up.Encryption)
			}
			if s.server.linkUps[0].Authentication != p || s.took() > time.Second {
				t.Errorf("%v in %v", s.server.linkUps[0].Authentication, s.took())
			}
			s.server.l.Close(s.now, Reason{CodeShutdown, Here, "the server stops"})
			s.drain(s.server)
			s.mustEnd(10*time.Second, Reason{CodeShutdown, Here, "the server stops"}, Reason{CodePeerTerminated, There, `"the server stops"`})
		})
	}
}

func TestNoAuthentication(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	server.Encryption, client.Encryption = ccp.None, ccp.Preferred
	s := newSim(t, server, client)
	s.start()
	s.mustUp(10 * time.Second)
	if s.server.up.User != "" || s.server.up.Encryption != nil || s.client.up.MTU != 1400 {
		t.Errorf("%+v", s.server.up)
	}
}

func TestWrongPassword(t *testing.T) {
	for _, p := range []auth.Protocol{auth.PAP, auth.CHAPMD5, auth.MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			server, client := serverConfig(p), clientConfig(p)
			server.Encryption, client.Encryption = ccp.Preferred, ccp.Preferred
			client.Secret = auth.PlainSecret("wrong")
			s := newSim(t, server, client)
			s.start()
			s.run(30*time.Second, s.bothEnded)
			if !s.bothEnded() || s.server.ended.Code != CodeAuthFailed || s.server.ended.By != Here || s.client.ended.Code != CodeAuthFailed || s.client.ended.By != There {
				t.Fatalf("server %v, client %v\n%s", s.server.ended, s.client.ended, s.transcript())
			}
			if s.took() > time.Second || s.server.ended.Text != `"alice": wrong password` || s.client.ended.Text != `"alice": refused: "Access denied"` {
				t.Errorf("took %v; server: %s, client: %s", s.took(), s.server.ended.Text, s.client.ended.Text)
			}
			sent := strings.Join(s.server.sent, "\n")
			failure, terminate := strings.Index(sent, "Failure"), strings.Index(sent, `LCP Terminate-Request`)
			if p == auth.PAP {
				failure = strings.Index(sent, "Nak")
			}
			if failure < 0 || terminate < failure || !strings.Contains(sent, `"authentication failed"`) {
				t.Errorf("server sent:\n%s", sent)
			}
			if s.server.ups+s.client.ups != 0 {
				t.Error("the network came up")
			}
		})
	}
}

// With a retry allowed the server leaves it to the peer to give up, which ours does.
func TestRetry(t *testing.T) {
	server := serverConfig(auth.MSCHAPv2)
	server.Retries = 1
	s := newSim(t, server, clientConfig(auth.MSCHAPv2))
	s.server.verdict = func(a auth.Attempt) auth.Verdict { return auth.Verify(a, auth.PlainSecret("something else")) }
	s.start()
	s.mustEnd(30*time.Second, Reason{CodePeerTerminated, There, `"authentication failed"`},
		Reason{CodeAuthFailed, There, `"alice": refused: "Access denied"`})
}

func TestAuthenticationRefused(t *testing.T) {
	server, client := serverConfig(auth.MSCHAPv2), clientConfig(auth.PAP)
	client.Encryption = ccp.None
	s := newSim(t, server, client)
	s.start()
	s.mustEnd(30*time.Second, Reason{CodeAuthRefused, There, "peer wants to authenticate by PAP, we accept MS-CHAPv2"},
		Reason{CodePeerTerminated, There, `"authentication is required"`})
	client.Authentication = nil
	s = newSim(t, server, client)
	s.start()
	s.mustEnd(30*time.Second, Reason{CodeAuthRefused, There, "peer refused to authenticate, we accept MS-CHAPv2"},
		Reason{CodePeerTerminated, There, `"authentication is required"`})
}

func TestEncryptionRefused(t *testing.T) {
	server, client := serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2)
	client.Encryption = ccp.None
	s := newSim(t, server, client)
	s.start()
	s.mustEnd(30*time.Second, Reason{CodeEncryptionRefused, There, "MPPE-128 stateless is required: peer rejected CCP"},
		Reason{CodePeerTerminated, There, `"MPPE-128 required"`})

	server.Encryption, client.Encryption = ccp.None, ccp.Required
	s = newSim(t, server, client)
	s.start()
	s.mustEnd(30*time.Second, Reason{CodePeerTerminated, There, `"MPPE-128 required"`},
		Reason{CodeEncryptionRefused, There, "MPPE-128 stateless is required: peer rejected CCP"})

	server.Encryption, client.Encryption = ccp.None, ccp.Preferred
	s = newSim(t, server, client)
	s.start()
	s.mustUp(10 * time.Second)
	if s.client.up.Encryption != nil || s.took() > time.Second {
		t.Errorf("%+v after %v", s.client.up, s.took())
	}
}

// A client that must encrypt is not led to a server that asks for no proof.
func TestClientWantsKeysThatNobodyGives(t *testing.T) {
	server := serverConfig()
	server.Encryption = ccp.None
	s := newSim(t, server, clientConfig(auth.MSCHAPv2))
	s.start()
	s.mustEnd(30*time.Second, Reason{CodePeerTerminated, There, `"MPPE-128 required"`},
		Reason{CodeEncryptionRefused, Here, "MPPE-128 stateless is required: authentication gave no keys"})
}

func TestMisconfigured(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		text string
	}{
		"PAP cannot encrypt":     {serverConfig(auth.PAP), "MPPE-128 is required, and no authentication protocol gives keys: PAP gives no MPPE keys"},
		"no authentication":      {serverConfig(), "MPPE-128 is required, and no authentication protocol gives keys: "},
		"EAP is not implemented": {func() Config { c := serverConfig(auth.EAP); c.Encryption = ccp.None; return c }(), "no usable authentication protocol: auth: protocol not supported: EAP"},
	} {
		l := New(epoch, c.cfg)
		l.Up(epoch)
		a := l.Actions()
		if len(a) != 1 || a[0] != (Ended{Reason{CodeConfiguration, Here, c.text}}) {
			t.Errorf("%s: %v", name, a)
		}
	}
}

func TestVerdictOverridesConfig(t *testing.T) {
	other := netip.MustParseAddr("10.20.0.7")
	for _, c := range []struct {
		encryption auth.EncryptionOverride
		policy     ccp.Policy
		want       bool
	}{{auth.EncryptionDefault, ccp.Required, true}, {auth.EncryptionForbidden, ccp.Required, false},
		{auth.EncryptionAllowed, ccp.None, true}, {auth.EncryptionRequired, ccp.None, true}, {auth.EncryptionDefault, ccp.None, false}} {
		server, client := serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2)
		server.Encryption, client.Encryption = c.policy, ccp.Preferred
		s := newSim(t, server, client)
		s.server.verdict = func(a auth.Attempt) auth.Verdict {
			v := auth.Verify(a, auth.PlainSecret("Passw0rd"))
			v.User, v.PeerAddress, v.LocalAddress, v.Encryption = "Alice A", other, netip.MustParseAddr("10.20.0.1"), c.encryption
			v.DNS, v.WINS = [2]netip.Addr{other}, [2]netip.Addr{{}, other}
			return v
		}
		s.start()
		s.mustUp(10 * time.Second)
		u := s.server.up
		if (u.Encryption != nil) != c.want || u.User != "Alice A" || u.PeerAddress != other || s.client.up.LocalAddress != other || s.client.up.DNS[0] != other || s.client.up.DNS[1].IsValid() {
			t.Errorf("%v over %v: %+v, client %+v", c.encryption, c.policy, u, s.client.up)
		}
	}
}

func TestNoAddressForThePeer(t *testing.T) {
	server := serverConfig(auth.MSCHAPv2)
	server.PeerAddress = netip.Addr{}
	s := newSim(t, server, clientConfig(auth.MSCHAPv2))
	s.start()
	s.mustEnd(30*time.Second, Reason{CodeResources, Here, "no address for the peer"}, Reason{CodePeerTerminated, There, `"no address available"`})
}

func TestNoAnswer(t *testing.T) {
	s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
	s.drop = func(*end, []byte) bool { return true }
	s.start()
	want := Reason{CodeNoAnswer, There, "no answer to LCP Configure-Requests"}
	s.mustEnd(time.Minute, want, want)
	if s.took() != 30*time.Second || len(s.server.sent) != 10 {
		t.Errorf("%d requests in %v", len(s.server.sent), s.took())
	}
}

func TestLateVerdictIsIgnored(t *testing.T) {
	server := serverConfig(auth.MSCHAPv2)
	server.Timers.Authenticate = 5 * time.Second
	s := newSim(t, server, clientConfig(auth.MSCHAPv2))
	s.server.delay = 20 * time.Second
	s.start()
	s.mustEnd(time.Minute, Reason{CodeAuthTimeout, There, "authentication did not end in time"}, Reason{CodePeerTerminated, There, `"authentication takes too long"`})
	s.run(time.Minute, nil)
}

func TestLineLost(t *testing.T) {
	s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
	s.start()
	s.mustUp(10 * time.Second)
	s.server.l.Down(s.now)
	s.drain(s.server)
	if *s.server.ended != (Reason{CodeLowerDown, Line, "the line below went down in phase network"}) {
		t.Error(s.server.ended)
	}
	// The client finds out by its keepalive.
	s.run(10*time.Minute, s.bothEnded)
	if s.client.ended == nil || *s.client.ended != (Reason{CodeEchoTimeout, There, "4 LCP Echo-Requests unanswered"}) {
		t.Error(s.client.ended)
	}
}

func TestKeepaliveOfAnIdleCall(t *testing.T) {
	s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
	s.start()
	s.mustUp(10 * time.Second)
	s.run(time.Hour, s.bothEnded)
	c := s.server.l.Counters()
	if s.server.ended != nil || c.EchoesSent+s.client.l.Counters().EchoesSent < 100 || c.EchoRoundTrip != 40*time.Millisecond && s.client.l.Counters().EchoRoundTrip != 40*time.Millisecond {
		t.Errorf("%v, %+v", s.server.ended, c)
	}
	for range 100 {
		s.server.l.Heard(s.now)
		s.client.l.Heard(s.now)
		before := s.server.l.Counters().EchoesSent
		s.run(20*time.Second, nil)
		if s.server.l.Counters().EchoesSent != before {
			t.Fatal("Echo-Requests on a busy line")
		}
	}
}

func TestLoopedLine(t *testing.T) {
	l := New(epoch, serverConfig(auth.MSCHAPv2))
	l.Up(epoch)
	now := epoch
	for range 100 {
		for _, a := range l.Actions() {
			switch a := a.(type) {
			case Send:
				l.Receive(now, a.Frame)
			case Ended:
				if a.Reason.Code != CodeLoopback {
					t.Error(a.Reason)
				}
				return
			}
		}
		now = now.Add(10 * time.Millisecond)
		l.Tick(now)
	}
	t.Error("not noticed")
}

// Either side renegotiates LCP in mid-call; the call goes on with keys of its own.
func TestRenegotiation(t *testing.T) {
	s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
	s.start()
	s.mustUp(10 * time.Second)
	first := *s.server.up.Encryption
	// A Configure-Request of the client's, as if it had restarted LCP.
	s.server.l.Receive(s.now, control(ppp.LCP, fsm.ConfigureRequest, 99, 5, 6, 1, 2, 3, 4))
	s.drain(s.server)
	if s.server.up != nil || s.server.l.Phase() != Establish {
		t.Fatal("the network stays up")
	}
	s.mustUp(20 * time.Second)
	if s.server.ups != 2 || s.client.ups != 2 || *s.server.up.Encryption == first || s.server.l.Counters().Renegotiations == 0 {
		t.Errorf("%d, %d times up, %+v", s.server.ups, s.client.ups, s.server.l.Counters())
	}
	if s.server.up.Encryption.SendKey != s.client.up.Encryption.ReceiveKey {
		t.Error("the keys do not fit")
	}
}

// A verdict on an attempt before the renegotiation does not count for the one after it.
func TestVerdictOfAFormerEpoch(t *testing.T) {
	server := serverConfig(auth.PAP)
	server.Encryption = ccp.None
	client := clientConfig(auth.PAP)
	client.Encryption = ccp.None
	s := newSim(t, server, client)
	var attempts []auth.Attempt
	s.server.verdict = func(a auth.Attempt) auth.Verdict {
		attempts = append(attempts, a)
		return auth.Verdict{Generation: 12345, OK: true}
	}
	s.start()
	s.run(time.Second, nil)
	s.server.l.Receive(s.now, control(ppp.LCP, fsm.ConfigureRequest, 99))
	s.drain(s.server)
	s.run(2*time.Second, nil)
	if len(attempts) != 2 || attempts[0].Generation == attempts[1].Generation {
		t.Fatalf("%v", attempts)
	}
	s.server.l.Authenticated(s.now, auth.Verdict{Generation: attempts[0].Generation, OK: true})
	s.drain(s.server)
	if s.server.l.Phase() != Authenticating {
		t.Error("an old verdict was taken")
	}
	s.server.l.Authenticated(s.now, auth.Verdict{Generation: attempts[1].Generation, OK: true})
	s.drain(s.server)
	s.mustUp(5 * time.Second)
}

// The peer says good-bye in each phase.
func TestTerminateInAnyPhase(t *testing.T) {
	for _, phase := range []Phase{Establish, Authenticating, Network, Terminate} {
		t.Run(phase.String(), func(t *testing.T) {
			s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
			s.server.delay = 10 * time.Second
			s.start()
			s.run(30*time.Second, func() bool { return s.server.l.Phase() == phase || phase == Terminate && s.server.up != nil })
			if phase == Terminate {
				s.server.l.Close(s.now, Reason{CodeIdle, Here, "idle"})
				s.drain(s.server)
			}
			s.queue, s.drop = nil, func(*end, []byte) bool { return true } // the client is gone
			s.server.l.Receive(s.now, control(ppp.LCP, fsm.TerminateRequest, 50, []byte("bye")...))
			n := len(s.server.sent)
			s.drain(s.server)
			if s.server.sent[n] != "LCP Terminate-Ack 50" {
				t.Errorf("answered %q", s.server.sent[n])
			}
			s.run(20*time.Second, func() bool { return s.server.ended != nil })
			want := map[Phase]Reason{Establish: {CodePeerTerminated, There, `during negotiation: "bye"`}, Authenticating: {CodePeerTerminated, There, `"bye"`},
				Network: {CodePeerTerminated, There, `"bye"`}, Terminate: {CodeIdle, Here, "idle"}}[phase]
			if s.server.ended == nil || *s.server.ended != want {
				t.Errorf("%v, want %v", s.server.ended, want)
			}
		})
	}
}

func TestCloseInAnyPhase(t *testing.T) {
	why := Reason{CodeAdministrative, Here, "kicked"}
	fresh := New(epoch, serverConfig(auth.MSCHAPv2))
	fresh.Close(epoch, why)
	if a := fresh.Actions(); len(a) != 1 || a[0] != (Ended{why}) {
		t.Errorf("before Up: %v", a)
	}
	for _, phase := range []Phase{Establish, Authenticating, Network} {
		s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
		s.start()
		s.run(30*time.Second, func() bool { return s.server.l.Phase() == phase })
		s.server.l.Close(s.now, why)
		s.server.l.Close(s.now, Reason{CodeIdle, Here, "too late"})
		s.drain(s.server)
		s.run(time.Minute, func() bool { return s.server.ended != nil })
		if s.server.ended == nil || *s.server.ended != why {
			t.Errorf("%v: %v", phase, s.server.ended)
		}
	}
}

// patient gives up only on a link that is dead.
func patient(c Config) Config {
	c.Timers.Negotiation = fsm.Timers{MaxConfigure: 30}
	c.Timers.Authentication = auth.Timers{MaxTransmit: 30}
	c.Timers.Establish, c.Timers.Authenticate, c.Timers.Network = 10*time.Minute, 10*time.Minute, 10*time.Minute
	c.Timers.EchoFailures = 20
	return c
}

// lossy is a patient pair on a bad line.
func lossy(t *testing.T, n uint64, reorder float64) *sim {
	s := newSim(t, patient(serverConfig(auth.MSCHAPv2)), patient(clientConfig(auth.MSCHAPv2)))
	s.random = rand.New(rand.NewPCG(n, 7))
	s.loss, s.duplicate, s.reorder = 0.2, 0.1, reorder
	return s
}

// settle stops the impairments and checks that both then agree. What is under way
// may still stir things up.
func (s *sim) settle() {
	s.t.Helper()
	s.random = nil
	s.run(5*time.Minute, nil)
	if !s.bothUp() {
		s.t.Fatalf("not up in the end: server %v, client %v\n%s", s.server.ended, s.client.ended, s.transcript())
	}
	if s.server.up.Encryption.SendKey != s.client.up.Encryption.ReceiveKey || s.client.up.LocalAddress != there {
		s.t.Error("they do not agree")
	}
}

// Loss and duplication, in order, as the tunnel delivers: every call comes up and agrees.
func TestLossyPair(t *testing.T) {
	for n := range uint64(200) {
		t.Run(fmt.Sprintf("seed %d", n), func(t *testing.T) {
			s := lossy(t, n, 0)
			s.start()
			s.mustUp(10 * time.Minute)
			s.settle()
		})
	}
}

// Out of order, too, which a tunnel never delivers: a call may fail, but it says so, and
// most come up.
func TestReorderedPair(t *testing.T) {
	failed := 0
	for n := range uint64(200) {
		s := lossy(t, n, 0.2)
		s.start()
		s.run(30*time.Minute, func() bool { return s.bothUp() || s.bothEnded() })
		switch {
		case s.bothUp():
			s.settle()
		case s.bothEnded():
			failed++
		default:
			t.Errorf("seed %d: stuck in %v, %v", n, s.server.l.Phase(), s.client.l.Phase())
		}
	}
	if failed > 10 {
		t.Errorf("%d of 200 calls failed", failed)
	}
}

// The bare minimum of one lost frame, whichever it is, costs no more than two restart
// periods.
func TestLoseTheNth(t *testing.T) {
	for n := range 24 {
		s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
		count := 0
		s.drop = func(*end, []byte) bool { count++; return count == n }
		s.start()
		s.mustUp(20 * time.Second)
		if s.took() > 7*time.Second {
			t.Errorf("without frame %d it took %v\n%s", n, s.took(), s.transcript())
		}
	}
}
