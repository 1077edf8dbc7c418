package auth

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// through writes v out and reads it back.
func through(t testing.TB, asJSON bool, v, out any) {
	t.Helper()
	var buf bytes.Buffer
	var err error
	if asJSON {
		if err = json.NewEncoder(&buf).Encode(v); err == nil {
			err = json.NewDecoder(&buf).Decode(out)
		}
	} else if err = gob.NewEncoder(&buf).Encode(v); err == nil {
		err = gob.NewDecoder(&buf).Decode(out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// both is an Authenticator and a Peer on a line that loses, repeats and delays. Both
// machines are written out and read back between all steps.
type both struct {
	t      *testing.T
	rng    *rand.Rand
	a      *Authenticator
	p      *Peer
	store  Secret
	loss   int // per cent
	wire   []parcel
	now    time.Time
	fromA  []Action // Succeeded and Failed
	fromP  []Action
	asks   int
	config struct {
		a AuthenticatorConfig
		p PeerConfig
	}
}

type parcel struct {
	at      time.Time
	toPeer  bool
	packet  []byte
	verdict *Verdict
}

func newBoth(t *testing.T, s uint64, a AuthenticatorConfig, p PeerConfig, store Secret, loss int) *both {
	t.Helper()
	b := &both{t: t, rng: rand.New(rand.NewPCG(s, 2)), store: store, loss: loss, now: epoch}
	b.config.a, b.config.p = a, p
	var err error
	if b.a, err = NewAuthenticator(a); err != nil {
		t.Fatal(err)
	}
	if b.p, err = NewPeer(p); err != nil {
		t.Fatal(err)
	}
	return b
}

// run goes on until nothing is left to happen, or for a quarter of an hour.
func (b *both) run() {
	b.a.Start(b.now)
	b.p.Start(b.now)
	for b.perform(); ; b.perform() {
		next := b.now.Add(15 * time.Minute)
		for _, d := range []time.Time{b.a.Deadline(), b.p.Deadline()} {
			if !d.IsZero() && d.Before(next) {
				next = d
			}
		}
		slices.SortStableFunc(b.wire, func(x, y parcel) int { return x.at.Compare(y.at) })
		if len(b.wire) > 0 && !b.wire[0].at.After(next) {
			k := b.wire[0]
			b.wire = b.wire[1:]
			b.now = k.at
			b.deliver(k)
			continue
		}
		if next.Sub(epoch) >= 15*time.Minute {
			return
		}
		b.now = next
		b.a.Tick(b.now)
		b.p.Tick(b.now)
	}
}

func (b *both) deliver(k parcel) {
	switch {
	case k.verdict != nil:
		b.a.Answer(b.now, *k.verdict)
	case k.toPeer:
		b.p.Receive(b.now, k.packet)
	default:
		b.a.Receive(b.now, k.packet)
	}
}

func (b *both) perform() {
	for _, x := range b.a.Actions() {
		switch x := x.(type) {
		case Send:
			b.put(true, x.Packet)
		case Authenticate:
			b.asks++
			v := Verify(x.Attempt, b.store)
			b.wire = append(b.wire, parcel{at: b.now.Add(time.Duration(b.rng.IntN(8000)) * time.Millisecond), verdict: &v})
		default:
			b.fromA = append(b.fromA, x)
		}
	}
	for _, x := range b.p.Actions() {
		if s, ok := x.(Send); ok {
			b.put(false, s.Packet)
			continue
		}
		b.fromP = append(b.fromP, x)
	}
	var as AuthenticatorState
	var ps PeerState
	through(b.t, b.rng.IntN(2) == 0, b.a.State(), &as)
	through(b.t, b.rng.IntN(2) == 0, b.p.State(), &ps)
	var err error
	if b.a, err = RestoreAuthenticator(b.config.a, as); err != nil {
		b.t.Fatal(err)
	}
	if b.p, err = RestorePeer(b.config.p, ps); err != nil {
		b.t.Fatal(err)
	}
}

func (b *both) put(toPeer bool, p []byte) {
	copies := 1
	if n := b.rng.IntN(100); n < b.loss {
		copies = 0
	} else if n < b.loss+b.loss/2 {
		copies = 2
	}
	for range copies {
		b.wire = append(b.wire, parcel{at: b.now.Add(time.Duration(b.rng.IntN(400)) * time.Millisecond), toPeer: toPeer, packet: p})
	}
}

func TestBothSides(t *testing.T) {
	first := rand.Uint64N(1 << 32)
	for n := range uint64(60) {
		s := first + n
		for _, protocol := range []Protocol{PAP, CHAPMD5, MSCHAPv2} {
			for _, good := range []bool{true, false} {
				name := fmt.Sprintf("seed %d %v good %v", s, protocol, good)
				p := PeerConfig{Protocol: protocol, User: `DOM\alice`, Secret: PlainSecret("secret"), Seed: seed(byte(s) | 1)}
				store := PlainSecret("secret")
				if !good {
					store = PlainSecret("other")
				}
				if protocol != CHAPMD5 && good && n%2 == 0 {
					store = mustHash(t, "secret")
				}
				b := newBoth(t, s, AuthenticatorConfig{Protocol: protocol, Name: "pns", Seed: seed(byte(s+1) | 1)}, p, store, int(n)%4*10)
				b.run()
				checkOutcome(t, name, b, good)
			}
		}
	}
}

// checkOutcome: both sides have come to one end each, and to the same one unless
// packets were lost when it mattered.
func checkOutcome(t *testing.T, name string, b *both, good bool) {
	t.Helper()
	if b.asks != 1 && !(b.asks == 0 && b.loss > 0) {
		t.Errorf("%s: asked %d times", name, b.asks)
	}
	if len(b.fromA) != 1 || len(b.fromP) != 1 {
		t.Fatalf("%s: %d and %d ends: %v, %v", name, len(b.fromA), len(b.fromP), b.fromA, b.fromP)
	}
	sa, okA := b.fromA[0].(Succeeded)
	sp, okP := b.fromP[0].(Succeeded)
	if !good && (okA || okP) {
		t.Fatalf("%s: succeeded with the wrong password", name)
	}
	if good && b.loss == 0 && !(okA && okP) {
		t.Fatalf("%s: %v, %v", name, b.fromA[0], b.fromP[0])
	}
	if okP && !okA {
		t.Fatalf("%s: only the peer thinks it succeeded", name)
	}
	if okA && okP && (sa.HasKeys != sp.HasKeys || sa.SendKey != sp.ReceiveKey || sa.ReceiveKey != sp.SendKey ||
		sa.HasKeys != (b.config.a.Protocol == MSCHAPv2) || sa.HasKeys && sa.SendKey == sa.ReceiveKey) {
		t.Errorf("%s: keys do not fit", name)
	}
	if f, ok := b.fromP[0].(Failed); ok && !good && b.loss == 0 && (f.Reason != FailRefused || f.Message != "Access denied") {
		t.Errorf("%s: %+v", name, f)
	}
}
