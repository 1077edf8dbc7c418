package auth

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
)

func TestChallengePacket(t *testing.T) {
	b := bring(t, AuthenticatorConfig{Protocol: MSCHAPv2, Name: "pns", Seed: seed(1)}, AuthenticatorWaiting)
	s := b.a.State()
	want := append([]byte{1, s.Identifier, 0, 24, 16}, s.Challenge...)
	want = append(want, "pns"...)
	if !bytes.Equal(b.sent, want) || len(s.Challenge) != 16 {
		t.Errorf("% x, want % x", b.sent, want)
	}
	other := bring(t, AuthenticatorConfig{Protocol: MSCHAPv2, Name: "pns", Seed: seed(2)}, AuthenticatorWaiting)
	if bytes.Equal(other.a.State().Challenge, s.Challenge) {
		t.Error("two seeds, one challenge")
	}
}

// TestRetransmission: the same Challenge each 3 s, ten times, then the end.
func TestRetransmission(t *testing.T) {
	b := bring(t, AuthenticatorConfig{Protocol: CHAPMD5, Name: "pns", Seed: seed(1)}, AuthenticatorWaiting)
	first := b.sent
	for n := 2; n <= 10; n++ {
		b.now = b.now.Add(3 * time.Second)
		if !b.a.Deadline().Equal(b.now) {
			t.Fatalf("transmission %d due %v", n, b.a.Deadline())
		}
		b.a.Tick(b.now)
		if got := describe(CHAPMD5, b.drain()); got != "challenge" || !bytes.Equal(b.sent, first) {
			t.Fatalf("transmission %d: %s % x", n, got, b.sent)
		}
	}
	b.a.Tick(b.now.Add(3 * time.Second))
	if got := describe(CHAPMD5, b.drain()); got != "failed(no answer)" {
		t.Error(got)
	}
}

func TestSuccessText(t *testing.T) {
	for _, v := range []struct {
		name    string
		flags   byte
		message string
		text    string // after "S=" and its digits
	}{
		{"plain", 0, "", ""},
		{"with a message", 0, "Good\r\nmorning", " M=Good  morning"},
		{"Windows 9x", 4, "Good morning", ""},
	} {
		b := bring(t, AuthenticatorConfig{Protocol: MSCHAPv2, Seed: seed(1)}, AuthenticatorWaiting)
		p := b.response("alice", 0)
		p[headerLength+responseLength] = v.flags
		b.a.Receive(b.now, p)
		b.drain()
		verdict := Verify(b.last, PlainSecret("secret"))
		if !verdict.OK {
			t.Fatalf("%s: %v", v.name, verdict)
		}
		verdict.Message = v.message
		b.a.Answer(b.now, verdict)
		b.drain()
		if got := string(b.sent[headerLength:]); got != verdict.AuthenticatorResponse+v.text {
			t.Errorf("%s: %q", v.name, got)
		}
	}
}

func TestFailureAndRetry(t *testing.T) {
	cfg := AuthenticatorConfig{Protocol: MSCHAPv2, Seed: seed(1), Retries: 1}
	b := bring(t, cfg, AuthenticatorRetrying)
	f := ParseFailure(string(b.sent[headerLength:]))
	if f.Code != 691 || !f.Retry || f.Version != 3 || len(f.Challenge) != 16 || f.Message != "Access denied" {
		t.Errorf("%+v", f)
	}
	identifier := b.sent[1]
	// The retry has the next identifier and answers the challenge of the Failure.
	p := packet{chapResponse, identifier + 1, valueBody(b.mschapv2("alice", f.Challenge), "alice")}.append(nil)
	b.a.Receive(b.now, p)
	if got := describe(MSCHAPv2, b.drain()); got != "ask" || !bytes.Equal(b.last.Challenge, f.Challenge) {
		t.Fatalf("%s: %+v", got, b.last)
	}
	b.decide(true)
	if b.a.Phase() != AuthenticatorDone || b.sent[0] != chapSuccess || b.sent[1] != identifier+1 {
		t.Errorf("%v: % x", b.a.Phase(), b.sent[:4])
	}

	// A retry that keeps the identifier is taken as well; the second failure is final.
	b = bring(t, cfg, AuthenticatorRetrying)
	f = ParseFailure(string(b.sent[headerLength:]))
	b.a.Receive(b.now, packet{chapResponse, b.sent[1], valueBody(b.mschapv2("alice", f.Challenge), "alice")}.append(nil))
	if got := describe(MSCHAPv2, b.drain()); got != "ask" {
		t.Fatal(got)
	}
	b.decide(false)
	if f := ParseFailure(string(b.sent[headerLength:])); f.Retry || b.a.Phase() != AuthenticatorFailed {
		t.Errorf("%v: %+v", b.a.Phase(), f)
	}
}

func TestFailureCodeIsTold(t *testing.T) {
	b := bring(t, AuthenticatorConfig{Protocol: MSCHAPv2, Seed: seed(1), Retries: 3}, AuthenticatorDeciding)
	b.a.Answer(b.now, Verdict{Generation: b.last.Generation, Code: FailureNoDialIn, Message: "not on Sundays", Reason: "rule 7"})
	for _, x := range b.drain() {
		if f, ok := x.(Failed); ok && (f.Code != FailureNoDialIn || f.Message != "not on Sundays" || f.Text != "rule 7" || f.User != "alice" || f.Reason != FailRefused) {
			t.Errorf("%+v", f)
		}
	}
	if f := ParseFailure(string(b.sent[headerLength:])); f.Code != FailureNoDialIn || f.Retry || f.Message != "not on Sundays" {
		t.Errorf("%+v", f)
	}
	if bytes.Contains(b.sent, []byte("rule 7")) {
		t.Error("the operator's reason went to the peer")
	}
}

func TestWrongLengthIsRefused(t *testing.T) {
	for protocol, n := range map[Protocol]int{CHAPMD5: 17, MSCHAPv2: 48} {
		b := bring(t, AuthenticatorConfig{Protocol: protocol, Seed: seed(1), Retries: 1}, AuthenticatorWaiting)
		b.a.Receive(b.now, packet{chapResponse, b.a.State().Identifier, valueBody(make([]byte, n), "alice")}.append(nil))
		if got := describe(protocol, b.drain()); got != "failure, failed(refused)" {
			t.Errorf("%v: %s", protocol, got)
		}
	}
}

func TestRechallenge(t *testing.T) {
	for _, protocol := range []Protocol{CHAPMD5, MSCHAPv2} {
		b := bring(t, AuthenticatorConfig{Protocol: protocol, Seed: seed(1), Rechallenge: time.Minute, Retries: 1}, AuthenticatorDone)
		keys, old, reply := b.verdict, b.answered, b.sent
		b.now = b.now.Add(time.Minute)
		b.a.Tick(b.now)
		b.drain()
		if b.a.Phase() != AuthenticatorWaiting {
			t.Fatal(b.a.Phase())
		}
		// A copy of the answer before still gets its answer.
		b.a.Receive(b.now, old)
		if got := describe(protocol, b.drain()); got != "success" || !bytes.Equal(b.sent, reply) {
			t.Errorf("%v: %s", protocol, got)
		}
		b.answer("alice")
		b.a.Answer(b.now, accepting(b))
		actions := b.drain()
		if got := describe(protocol, actions); got != "success, succeeded again" {
			t.Fatalf("%v: %s", protocol, got)
		}
		if s := actions[1].(Succeeded); s.HasKeys || !keys.OK {
			t.Errorf("%v: keys again", protocol)
		}
		// Refused the next time, there is no retry.
		b.a.Challenge(b.now)
		b.answer("alice")
		b.decide(false)
		if b.a.Phase() != AuthenticatorFailed {
			t.Errorf("%v: %v", protocol, b.a.Phase())
		}
	}
}

func TestRechallengeOtherUser(t *testing.T) {
	b := bring(t, AuthenticatorConfig{Protocol: MSCHAPv2, Seed: seed(1)}, AuthenticatorDone)
	b.a.Challenge(b.now)
	b.drain()
	b.a.Receive(b.now, b.response("bob", 0))
	if got := describe(MSCHAPv2, b.drain()); got != "failure, failed(refused)" {
		t.Error(got)
	}
}

func TestNewAuthenticatorErrors(t *testing.T) {
	for p, want := range map[Protocol]error{None: ErrUnsupported, MSCHAPv1: ErrUnsupported, EAP: ErrUnsupported} {
		if _, err := NewAuthenticator(AuthenticatorConfig{Protocol: p}); !errors.Is(err, want) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if _, err := NewAuthenticator(AuthenticatorConfig{Protocol: PAP, Name: strings.Repeat("x", 256)}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	a := newBed(t, AuthenticatorConfig{Protocol: PAP}).a
	s := a.State()
	s.Phase = authenticatorPhases
	if _, err := RestoreAuthenticator(a.cfg, s); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	s = a.State()
	s.Random = ppp.Random{}
	if _, err := RestoreAuthenticator(a.cfg, s); err == nil {
		t.Error("broken random state accepted")
	}
}

// TestRandomWalk throws events at random at Authenticators and checks what must
// always hold.
func TestRandomWalk(t *testing.T) {
	s := rand.Uint64()
	rng := rand.New(rand.NewPCG(s, 3))
	for range 300 {
		protocol := []Protocol{PAP, CHAPMD5, MSCHAPv2}[rng.IntN(3)]
		cfg := AuthenticatorConfig{Protocol: protocol, Seed: seed(byte(1 + rng.IntN(255))), Retries: rng.IntN(3), Rechallenge: time.Duration(rng.IntN(2)) * time.Minute}
		b := newBed(t, cfg)
		var generation uint64
		ended := false
		for range 60 {
			event := authenticatorEvents[rng.IntN(len(authenticatorEvents)-1+rng.IntN(2))]
			before := b.a.Phase()
			event.do(b)
			b.now = b.now.Add(time.Duration(rng.IntN(4000)) * time.Millisecond)
			for _, x := range b.drain() {
				switch x := x.(type) {
				case Authenticate:
					if x.Attempt.Generation <= generation {
						t.Fatalf("seed %d: generation %d after %d", s, x.Attempt.Generation, generation)
					}
					generation = x.Attempt.Generation
				case Succeeded:
					if before != AuthenticatorDeciding || ended {
						t.Fatalf("seed %d: success in %v by %s", s, before, event.name)
					}
				case Failed:
					if ended {
						t.Fatalf("seed %d: failed twice", s)
					}
					ended = true
				}
			}
			checkDeadline(t, b.a)
			if ended != (b.a.Phase() == AuthenticatorFailed) && b.a.Phase() != AuthenticatorStopped {
				t.Fatalf("seed %d: ended %v in %v", s, ended, b.a.Phase())
			}
			if !reflect.DeepEqual(b.a.State(), b.a.State()) {
				t.Fatal("State changes the machine")
			}
		}
	}
}
