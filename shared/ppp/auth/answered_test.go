package auth

import (
	"bytes"
	"testing"
	"time"

	"trunkline.example/shared/ppp/internal/statetest"
)

// What is kept of an Authenticator answers whatever comes as the Authenticator itself would have.
func TestAnswered(t *testing.T) {
	for _, p := range []Protocol{PAP, CHAPMD5, MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			b := bring(t, AuthenticatorConfig{Protocol: p, Name: "pns", Seed: seed(1)}, AuthenticatorDone)
			kept, ok := b.a.Answered()
			if !ok {
				t.Fatal("nothing is kept")
			}
			other := bytes.Clone(b.answered)
			other[len(other)-1]++
			renumbered := bytes.Clone(b.answered)
			renumbered[1]++
			answeredTwice := map[bool]string{}
			for name, got := range statetest.RoundTrip(t, kept) {
				for _, in := range [][]byte{b.answered, other, renumbered, nil, b.answered[:3], b.answered[:5], {papAck, 1, 0, 4}, {9, 9, 0, 4}} {
					b.sent = nil
					b.a.Receive(b.now, in)
					b.drain()
					reply, again := got.Again(in)
					if again != (b.sent != nil) || !bytes.Equal(reply, b.sent) {
						t.Errorf("%s: %x is answered by %x, want %x", name, in, reply, b.sent)
					}
					answeredTwice[again] = name
				}
			}
			if len(answeredTwice) != 2 {
				t.Error("all was answered, or nothing")
			}
		})
	}
}

func TestNotAnsweredYet(t *testing.T) {
	for _, phase := range []AuthenticatorPhase{AuthenticatorIdle, AuthenticatorWaiting, AuthenticatorDeciding, AuthenticatorRetrying, AuthenticatorFailed} {
		b := bring(t, AuthenticatorConfig{Protocol: MSCHAPv2, Seed: seed(1), Retries: 1}, phase)
		if _, ok := b.a.Answered(); ok {
			t.Errorf("%v: nothing more to do", phase)
		}
	}
	b := bring(t, AuthenticatorConfig{Protocol: MSCHAPv2, Seed: seed(1), Rechallenge: time.Minute}, AuthenticatorDone)
	if _, ok := b.a.Answered(); ok {
		t.Error("it will challenge again, and has nothing more to do")
	}
}
