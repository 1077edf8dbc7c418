package link

import (
	"reflect"
	"testing"
	"time"

	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/internal/statetest"
)

// A call whose links are written out and read back after every single step comes up as any
// other, step by step the same, is renegotiated, and ends.
func TestStateAfterEveryStep(t *testing.T) {
	for _, p := range []auth.Protocol{auth.PAP, auth.CHAPMD5, auth.MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			var transcripts []string
			for _, persist := range []bool{false, true} {
				server, client := serverConfig(p), clientConfig(p)
				if p != auth.MSCHAPv2 {
					server.Encryption, client.Encryption = ccp.Preferred, ccp.Preferred
				}
				s := newSim(t, server, client)
				s.server.delay = time.Second
				if n := 0; persist {
					s.persist = func(s *sim, e *end) {
						cfg, via := server, statetest.Gob[State]
						if e == s.client {
							cfg = client
						}
						if n++; n%2 == 0 {
							via = statetest.JSON[State]
						}
						l, err := Restore(cfg, via(t, e.l.State()))
						if err != nil {
							t.Fatal(err)
						}
						if c := l.Counters(); c != e.l.Counters() {
							t.Fatalf("counters %+v, want %+v", c, e.l.Counters())
						}
						e.l = l
					}
				}
				s.start()
				s.mustUp(20 * time.Second)
				s.run(5*time.Minute, nil)
				s.client.l.Close(s.now, Reason{CodeAdministrative, Here, "enough"})
				s.drain(s.client)
				s.mustEnd(20*time.Second, Reason{CodePeerTerminated, There, `"enough"`}, Reason{CodeAdministrative, Here, "enough"})
				transcripts = append(transcripts, s.transcript())
			}
			if transcripts[0] != transcripts[1] {
				t.Errorf("written out, the call went differently:\n%s\n\nwant\n%s", transcripts[1], transcripts[0])
			}
		})
	}
}

func TestStateIsADeepCopy(t *testing.T) {
	s := newSim(t, serverConfig(auth.MSCHAPv2), clientConfig(auth.MSCHAPv2))
	s.server.delay = time.Hour
	s.start()
	s.run(time.Second, nil)
	s.server.l.Receive(s.now, control(0x80FD, 1, 1, 18, 6, 1, 0, 0, 0x40))
	before := statetest.JSON(t, s.server.l.State())
	mine := s.server.l.State()
	mine.Held[0].Frame[0], mine.LCP.Automaton.Request[0], mine.Random.Seed[0] = 99, 99, mine.Random.Seed[0]+1
	mine.Checker.Challenge[0]++
	if after := statetest.JSON(t, s.server.l.State()); !reflect.DeepEqual(after, before) {
		t.Errorf("changing a copy changed the link: %+v, want %+v", after, before)
	}
}

func TestRestoreRefusesNonsense(t *testing.T) {
	cfg := serverConfig(auth.MSCHAPv2)
	if _, err := Restore(cfg, State{}); err == nil {
		t.Error("a state without a generator was accepted")
	}
	s := New(epoch, cfg).State()
	s.Checker = &auth.AuthenticatorState{Phase: 99}
	if _, err := Restore(cfg, s); err == nil {
		t.Error("a state with an impossible authenticator was accepted")
	}
	s.Checker, s.Prover = nil, &auth.PeerState{Phase: 99}
	if _, err := Restore(cfg, s); err == nil {
		t.Error("a state with an impossible peer was accepted")
	}
}
