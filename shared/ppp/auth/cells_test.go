package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// seed is what a daemon takes from crypto/rand.
func seed(n byte) (s [32]byte) {
	for i := range s {
		s[i] = n
	}
	return s
}

// describe names actions in short: "challenge", "ask", "failed(no answer)".
func describe(p Protocol, actions []Action) string {
	var out []string
	for _, a := range actions {
		switch a := a.(type) {
		case Send:
			names := map[byte]string{chapChallenge: "challenge", chapResponse: "response", chapSuccess: "success", chapFailure: "failure"}
			if p == PAP {
				names = map[byte]string{papRequest: "request", papAck: "ack", papNak: "nak"}
			}
			out = append(out, names[a.Packet[0]])
		case Authenticate:
			out = append(out, "ask")
		case Succeeded:
			name := "succeeded"
			if a.Again {
				name = "succeeded again"
			}
			out = append(out, name)
		case Failed:
			out = append(out, fmt.Sprintf("failed(%v)", a.Reason))
		}
	}
	return strings.Join(out, ", ")
}

// bed is an Authenticator on a bench, with what a test needs to drive it.
type bed struct {
	t        testing.TB
	cfg      AuthenticatorConfig
	a        *Authenticator
	now      time.Time
	last     Attempt // asked about
	verdict  Verdict // the first accepted one
	sent     []byte  // last packet
	answered []byte  // last Response or request given
}

func newBed(t testing.TB, cfg AuthenticatorConfig) *bed {
	t.Helper()
	a, err := NewAuthenticator(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &bed{t: t, cfg: cfg, a: a, now: epoch}
}

// drain notes what the machine wants.
func (b *bed) drain() []Action {
	actions := b.a.Actions()
	for _, x := range actions {
		switch x := x.(type) {
		case Send:
			b.sent = x.Packet
		case Authenticate:
			b.last = x.Attempt
		case Succeeded:
			b.verdict = x.Verdict
		}
	}
	return actions
}

// response answers as a peer would: with the right password, with an identifier
// off by delta.
func (b *bed) response(user string, delta byte) []byte {
	s := b.a.State()
	var value []byte
	switch b.cfg.Protocol {
	case PAP:
		return packet{papRequest, 1 + delta, papRequestBody(user, "secret")}.append(nil)
	case CHAPMD5:
		sum, err := md5Response(s.Identifier, "secret", s.Challenge)
		if err != nil {
			b.t.Fatal(err)
		}
		value = sum[:]
	case MSCHAPv2:
		value = b.mschapv2(user, s.Challenge)
	}
	return packet{chapResponse, s.Identifier + delta, valueBody(value, user)}.append(nil)
}

func (b *bed) mschapv2(user string, challenge []byte) []byte {
	hash, err := NTHash("secret")
	if err != nil {
		b.t.Fatal(err)
	}
	r := MSCHAPv2Response{PeerChallenge: [16]byte{1, 2, 3}}
	var c [16]byte // stays zero as long as there is no Challenge
	copy(c[:], challenge)
	short, err := challengeHash(r.PeerChallenge, c, UserWithoutDomain(user))
	if err != nil {
		b.t.Fatal(err)
	}
	if r.NTResponse, err = challengeResponse(short, hash); err != nil {
		b.t.Fatal(err)
	}
	return r.Append(nil)
}

func (b *bed) answer(user string) {
	b.answered = b.response(user, 0)
	b.a.Receive(b.now, b.answered)
	b.drain()
}

func (b *bed) decide(ok bool) {
	v := Verdict{Generation: b.last.Generation}
	if ok {
		v = Verify(b.last, PlainSecret("secret"))
		if !v.OK {
			b.t.Fatalf("%v: %v", b.last, v)
		}
	}
	b.a.Answer(b.now, v)
	b.drain()
}

// bring drives a fresh machine into a phase.
func bring(t testing.TB, cfg AuthenticatorConfig, phase AuthenticatorPhase) *bed {
	t.Helper()
	b := newBed(t, cfg)
	if phase != AuthenticatorIdle {
		b.a.Start(b.now)
		b.drain()
	}
	switch phase {
	case AuthenticatorDeciding:
		b.answer("alice")
	case AuthenticatorRetrying:
		b.answer("alice")
		b.decide(false)
	case AuthenticatorDone:
		b.answer("alice")
		b.decide(true)
	case AuthenticatorFailed:
		for range cfg.Retries + 1 {
			b.answer(fmt.Sprintf("alice%d", b.last.Generation))
			b.decide(false)
		}
	case AuthenticatorStopped:
		b.a.Stop(b.now)
	}
	if b.a.Phase() != phase {
		t.Fatalf("brought to %v instead of %v", b.a.Phase(), phase)
	}
	return b
}

// authenticatorEvents are all things that can happen to an Authenticator.
var authenticatorEvents = []struct {
	name string
	do   func(*bed)
}{
	{"start", func(b *bed) { b.a.Start(b.now) }},
	{"response", func(b *bed) { b.a.Receive(b.now, b.response("alice", 0)) }},
	{"same again", func(b *bed) { b.a.Receive(b.now, b.answered) }},
	{"other user", func(b *bed) { b.a.Receive(b.now, b.response("bob", 0)) }},
	{"other identifier", func(b *bed) { b.a.Receive(b.now, b.response("alice", 77)) }},
	{"other code", func(b *bed) { b.a.Receive(b.now, []byte{9, 1, 0, 4}) }},
	{"garbage", func(b *bed) { b.a.Receive(b.now, []byte{2, 1, 0, 9, 200}) }},
	{"accept", func(b *bed) { b.a.Answer(b.now, accepting(b)) }},
	{"accept without proof", func(b *bed) { b.a.Answer(b.now, Verdict{Generation: b.a.State().Generation, OK: true}) }},
	{"stale accept", func(b *bed) { v := accepting(b); v.Generation--; b.a.Answer(b.now, v) }},
	{"refuse", func(b *bed) { b.a.Answer(b.now, Verdict{Generation: b.a.State().Generation}) }},
	{"refuse for good", func(b *bed) {
		b.a.Answer(b.now, Verdict{Generation: b.a.State().Generation, Code: FailureAccountDisabled})
	}},
	{"early tick", func(b *bed) { b.a.Tick(b.now.Add(time.Millisecond)) }},
	{"tick", func(b *bed) { b.a.Tick(b.now.Add(2 * time.Hour)) }},
	{"challenge", func(b *bed) { b.a.Challenge(b.now) }},
	{"stop", func(b *bed) { b.a.Stop(b.now) }},
}

func accepting(b *bed) Verdict {
	if b.last.Generation == 0 {
		return Verdict{OK: true, AuthenticatorResponse: exampleSuccess}
	}
	return Verify(b.last, PlainSecret("secret"))
}

// cells says for each phase what each event leads to: the next phase and the
// actions. A blank is "nothing happens".
type cells map[AuthenticatorPhase]map[string]string

var mschapv2Cells = cells{
	AuthenticatorIdle: {
		"start": "waiting: challenge", "response": "", "same again": "", "other user": "", "other identifier": "", "other code": "", "garbage": "",
		"accept": "", "accept without proof": "", "stale accept": "", "refuse": "", "refuse for good": "", "early tick": "", "tick": "", "challenge": "", "stop": "stopped: ",
	},
	AuthenticatorWaiting: {
		"start": "", "response": "deciding: ask", "same again": "", "other user": "deciding: ask", "other identifier": "", "other code": "", "garbage": "",
		"accept": "", "accept without proof": "", "stale accept": "", "refuse": "", "refuse for good": "", "early tick": "", "tick": "waiting: challenge", "challenge": "", "stop": "stopped: ",
	},
	AuthenticatorDeciding: {
		"start": "", "response": "", "same again": "", "other user": "", "other identifier": "", "other code": "", "garbage": "",
		"accept": "done: success, succeeded", "accept without proof": "failed: failure, failed(refused)", "stale accept": "",
		"refuse": "retrying: failure", "refuse for good": "failed: failure, failed(refused)", "early tick": "", "tick": "", "challenge": "", "stop": "stopped: ",
	},
	AuthenticatorRetrying: {
		"start": "", "response": "deciding: ask", "same again": "retrying: failure", "other user": "deciding: ask", "other identifier": "", "other code": "", "garbage": "",
		"accept": "", "accept without proof": "", "stale accept": "", "refuse": "", "refuse for good": "", "early tick": "", "tick": "failed: failed(refused)", "challenge": "", "stop": "stopped: ",
	},
	AuthenticatorDone: {
		"start": "", "response": "done: success", "same again": "done: success", "other user": "", "other identifier": "", "other code": "", "garbage": "",
		"accept": "", "accept without proof": "", "stale accept": "", "refuse": "", "refuse for good": "", "early tick": "", "tick": "waiting: challenge", "challenge": "waiting: challenge", "stop": "stopped: ",
	},
	AuthenticatorFailed: {
		"start": "", "response": "", "same again": "failed: failure", "other user": "", "other identifier": "", "other code": "", "garbage": "",
		"accept": "", "accept without proof": "", "stale accept": "", "refuse": "", "refuse for good": "", "early tick": "", "tick": "", "challenge": "", "stop": "stopped: ",
	},
	AuthenticatorStopped: {
		"start": "", "response": "", "same again": "", "other user": "", "other identifier": "", "other code": "", "garbage": "",
		"accept": "", "accept without proof": "", "stale accept": "", "refuse": "", "refuse for good": "", "early tick": "", "tick": "", "challenge": "", "stop": "",
	},
}

// with is the table with some cells changed.
func (c cells) with(changes cells) cells {
	out := cells{}
	for phase, row := range c {
		out[phase] = map[string]string{}
		for event, want := range row {
			if w, ok := changes[phase][event]; ok {
				want = w
			}
			out[phase][event] = want
		}
	}
	return out
}

// CHAP-MD5 has no retry and needs no proof.
var md5Cells = mschapv2Cells.with(cells{
	AuthenticatorDeciding: {
		"accept without proof": "done: success, succeeded", "refuse": "failed: failure, failed(refused)",
	},
})

// PAP waits, and answers everything after the end with the code that ended it.
var papCells = mschapv2Cells.with(cells{
	AuthenticatorIdle:    {"start": "waiting: "},
	AuthenticatorWaiting: {"other identifier": "deciding: ask", "tick": "failed: failed(no answer)"},
	AuthenticatorDeciding: {
		"accept": "done: ack, succeeded", "accept without proof": "done: ack, succeeded",
		"refuse": "retrying: nak", "refuse for good": "failed: nak, failed(refused)",
	},
	AuthenticatorRetrying: {"response": "retrying: nak", "same again": "retrying: nak", "other user": "deciding: ask", "other identifier": "retrying: nak"},
	AuthenticatorDone: {"response": "done: ack", "same again": "done: ack", "other user": "done: ack", "other identifier": "done: ack",
		"tick": "", "challenge": ""},
	AuthenticatorFailed: {"response": "failed: nak", "same again": "failed: nak", "other user": "failed: nak", "other identifier": "failed: nak"},
})

func TestEveryCell(t *testing.T) {
	for protocol, table := range map[Protocol]cells{MSCHAPv2: mschapv2Cells, CHAPMD5: md5Cells, PAP: papCells} {
		cfg := AuthenticatorConfig{Protocol: protocol, Name: "pns", Seed: seed(1), Retries: 1, Rechallenge: time.Hour}
		for phase := range authenticatorPhases {
			if phase == AuthenticatorRetrying && protocol == CHAPMD5 {
				continue // cannot be reached
			}
			if protocol == CHAPMD5 {
				cfg.Retries = 0
			}
			for _, event := range authenticatorEvents {
				want, ok := table[phase][event.name]
				if !ok {
					t.Errorf("%v: no cell for %v x %s", protocol, phase, event.name)
				}
				b := bring(t, cfg, phase)
				event.do(b)
				actions := b.a.Actions()
				got := fmt.Sprintf("%v: %s", b.a.Phase(), describe(protocol, actions))
				if want == "" {
					want = fmt.Sprintf("%v: ", phase)
				}
				if got != want {
					t.Errorf("%v: %v x %s: %q, want %q", protocol, phase, event.name, got, want)
				}
				checkDeadline(t, b.a)
			}
		}
	}
}

// checkDeadline: nothing waits for ever.
func checkDeadline(t testing.TB, a *Authenticator) {
	t.Helper()
	waits := a.Phase() == AuthenticatorWaiting || a.Phase() == AuthenticatorRetrying || a.Phase() == AuthenticatorDone && a.cfg.Rechallenge > 0 && a.cfg.Protocol != PAP
	if waits == a.Deadline().IsZero() {
		t.Errorf("%v: deadline %v", a.Phase(), a.Deadline())
	}
}
