package auth

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
)

// peerBed is a Peer on a bench, played against by hand.
type peerBed struct {
	t   testing.TB
	cfg PeerConfig
	p   *Peer
	now time.Time
}

var challengeA = packet{chapChallenge, 5, valueBody([]byte("0123456789abcdef"), "pns")}.append(nil)

func bringPeer(t testing.TB, cfg PeerConfig, phase PeerPhase) *peerBed {
	t.Helper()
	p, err := NewPeer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &peerBed{t, cfg, p, epoch}
	if phase != PeerIdle {
		p.Start(b.now)
	}
	chap := cfg.Protocol != PAP
	if chap && (phase == PeerAnswered || phase == PeerDone || phase == PeerFailed) {
		p.Receive(b.now, challengeA)
	}
	switch phase {
	case PeerDone:
		p.Receive(b.now, b.success(5))
	case PeerFailed:
		p.Receive(b.now, b.failure(5))
	case PeerStopped:
		p.Stop(b.now)
	}
	p.Actions()
	if p.Phase() != phase {
		t.Fatalf("brought to %v instead of %v", p.Phase(), phase)
	}
	return b
}

func (b *peerBed) success(identifier byte) []byte {
	switch b.cfg.Protocol {
	case PAP:
		return packet{papAck, identifier, papReplyBody("hello")}.append(nil)
	case CHAPMD5:
		return packet{chapSuccess, identifier, []byte("hello")}.append(nil)
	}
	return packet{chapSuccess, identifier, []byte(b.p.State().Expected + " M=hello")}.append(nil)
}

func (b *peerBed) failure(identifier byte) []byte {
	switch b.cfg.Protocol {
	case PAP:
		return packet{papNak, identifier, papReplyBody("no")}.append(nil)
	case CHAPMD5:
		return packet{chapFailure, identifier, []byte("no")}.append(nil)
	}
	return packet{chapFailure, identifier, []byte("E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=no")}.append(nil)
}

var peerEvents = []struct {
	name string
	do   func(*peerBed)
}{
	{"start", func(b *peerBed) { b.p.Start(b.now) }},
	{"challenge", func(b *peerBed) { b.p.Receive(b.now, challengeA) }},
	{"new challenge", func(b *peerBed) {
		b.p.Receive(b.now, packet{chapChallenge, 6, valueBody([]byte("fedcba9876543210"), "pns")}.append(nil))
	}},
	{"short challenge", func(b *peerBed) {
		b.p.Receive(b.now, packet{chapChallenge, 7, valueBody([]byte("01234567"), "pns")}.append(nil))
	}},
	{"empty challenge", func(b *peerBed) { b.p.Receive(b.now, packet{chapChallenge, 7, []byte{0}}.append(nil)) }},
	{"success", func(b *peerBed) { b.p.Receive(b.now, b.success(5)) }},
	{"unproven success", func(b *peerBed) {
		b.p.Receive(b.now, packet{chapSuccess, 5, []byte(exampleSuccess)}.append(nil))
	}},
	{"success of another", func(b *peerBed) { b.p.Receive(b.now, b.success(4)) }},
	{"failure", func(b *peerBed) { b.p.Receive(b.now, b.failure(5)) }},
	{"failure of another", func(b *peerBed) { b.p.Receive(b.now, b.failure(4)) }},
	{"other code", func(b *peerBed) { b.p.Receive(b.now, []byte{9, 5, 0, 4}) }},
	{"garbage", func(b *peerBed) { b.p.Receive(b.now, []byte{1, 5, 0}) }},
	{"early tick", func(b *peerBed) { b.p.Tick(b.now.Add(time.Millisecond)) }},
	{"tick", func(b *peerBed) { b.p.Tick(b.now.Add(time.Hour)) }},
	{"stop", func(b *peerBed) { b.p.Stop(b.now) }},
}

type peerCells map[PeerPhase]map[string]string

// peerQuiet is a row of a phase in which nothing happens any more.
var peerQuiet = map[string]string{
	"start": "", "challenge": "", "new challenge": "", "short challenge": "", "empty challenge": "", "success": "", "unproven success": "",
	"success of another": "", "failure": "", "failure of another": "", "other code": "", "garbage": "", "early tick": "", "tick": "", "stop": "stopped: ",
}

func peerRow(changes map[string]string) map[string]string {
	row := map[string]string{}
	for event, want := range peerQuiet {
		row[event] = want
	}
	for event, want := range changes {
		row[event] = want
	}
	return row
}

var peerTables = map[Protocol]peerCells{
	MSCHAPv2: {
		PeerIdle:   peerRow(map[string]string{"start": "asking: "}),
		PeerAsking: peerRow(map[string]string{"challenge": "answered: response", "new challenge": "answered: response", "tick": "failed: failed(no answer)"}),
		PeerAnswered: peerRow(map[string]string{"challenge": "answered: response", "new challenge": "answered: response", "success": "done: succeeded",
			"unproven success": "failed: failed(the authenticator did not prove that it knows the password)", "failure": "failed: failed(refused)", "tick": "answered: response"}),
		PeerDone:    peerRow(map[string]string{"challenge": "done: response", "new challenge": "answered: response"}),
		PeerFailed:  peerRow(nil),
		PeerStopped: peerRow(nil),
	},
	CHAPMD5: {
		PeerIdle: peerRow(map[string]string{"start": "asking: "}),
		PeerAsking: peerRow(map[string]string{"challenge": "answered: response", "new challenge": "answered: response", "short challenge": "answered: response",
			"tick": "failed: failed(no answer)"}),
		PeerAnswered: peerRow(map[string]string{"challenge": "answered: response", "new challenge": "answered: response", "short challenge": "answered: response",
			"success": "done: succeeded", "unproven success": "done: succeeded", "failure": "failed: failed(refused)", "tick": "answered: response"}),
		PeerDone:    peerRow(map[string]string{"challenge": "done: response", "new challenge": "answered: response", "short challenge": "answered: response"}),
		PeerFailed:  peerRow(nil),
		PeerStopped: peerRow(nil),
	},
	// Codes 2 and 3 are Ack and Nak in PAP: "unproven success" is a Nak there.
	PAP: {
		PeerIdle: peerRow(map[string]string{"start": "asking: request"}),
		PeerAsking: peerRow(map[string]string{"success": "done: succeeded", "success of another": "done: succeeded", "unproven success": "failed: failed(refused)",
			"failure": "failed: failed(refused)", "failure of another": "failed: failed(refused)", "tick": "asking: request"}),
		PeerDone:    peerRow(nil),
		PeerFailed:  peerRow(nil),
		PeerStopped: peerRow(nil),
	},
}

func TestEveryPeerCell(t *testing.T) {
	for protocol, table := range peerTables {
		cfg := PeerConfig{Protocol: protocol, User: "alice", Secret: PlainSecret("secret"), Seed: seed(1)}
		for phase := range peerPhases {
			if phase == PeerAnswered && protocol == PAP {
				continue // cannot be reached
			}
			for _, event := range peerEvents {
				want, ok := table[phase][event.name]
				if !ok {
					t.Errorf("%v: no cell for %v x %s", protocol, phase, event.name)
				}
				b := bringPeer(t, cfg, phase)
				event.do(b)
				got := fmt.Sprintf("%v: %s", b.p.Phase(), describe(protocol, b.p.Actions()))
				if want == "" {
					want = fmt.Sprintf("%v: ", phase)
				}
				if got != want {
					t.Errorf("%v: %v x %s: %q, want %q", protocol, phase, event.name, got, want)
				}
				if waits := b.p.Phase() == PeerAsking || b.p.Phase() == PeerAnswered; waits == b.p.Deadline().IsZero() {
					t.Errorf("%v: %v x %s: deadline %v", protocol, phase, event.name, b.p.Deadline())
				}
			}
		}
	}
}

func TestPAPRequest(t *testing.T) {
	b := bringPeer(t, PeerConfig{Protocol: PAP, User: "paula", Secret: PlainSecret("pw-pap-1")}, PeerIdle)
	b.p.Start(b.now)
	want := append([]byte{1, 1, 0, 19, 5}, "paula\x08pw-pap-1"...)
	if got := b.p.Actions()[0].(Send).Packet; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
	for n := 2; n <= 10; n++ {
		b.now = b.now.Add(3 * time.Second)
		b.p.Tick(b.now)
		if a := b.p.Actions(); len(a) != 1 || !bytes.Equal(a[0].(Send).Packet, want) {
			t.Fatalf("transmission %d: %v", n, a)
		}
	}
	b.p.Tick(b.now.Add(3 * time.Second))
	if got := describe(PAP, b.p.Actions()); got != "failed(no answer)" {
		t.Error(got)
	}
}

// A Success that was lost comes again only for the Response.
func TestResponseIsRepeated(t *testing.T) {
	b := bringPeer(t, PeerConfig{Protocol: CHAPMD5, User: "carl", Secret: PlainSecret("secret")}, PeerAsking)
	b.p.Receive(b.now, challengeA)
	want := b.p.Actions()[0].(Send).Packet
	for n := 2; n <= 10; n++ {
		b.now = b.now.Add(3 * time.Second)
		b.p.Tick(b.now)
		if a := b.p.Actions(); len(a) != 1 || !bytes.Equal(a[0].(Send).Packet, want) {
			t.Fatalf("transmission %d: %v", n, a)
		}
	}
	b.p.Tick(b.now.Add(3 * time.Second))
	if got := describe(CHAPMD5, b.p.Actions()); got != "failed(no answer)" {
		t.Error(got)
	}
}

func TestMD5Response(t *testing.T) {
	b := bringPeer(t, PeerConfig{Protocol: CHAPMD5, User: "carl", Secret: PlainSecret("secret")}, PeerAsking)
	b.p.Receive(b.now, packet{chapChallenge, 1, valueBody(unhex(t, "000102030405060708090A0B0C0D0E0F"), "pns")}.append(nil))
	want := packet{chapResponse, 1, valueBody(unhex(t, "740E86463BDA3A4D7017D6E0FBA0699D"), "carl")}.append(nil)
	if got := b.p.Actions()[0].(Send).Packet; !bytes.Equal(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestMSCHAPv2Response(t *testing.T) {
	for _, secret := range []Secret{PlainSecret("secret"), mustHash(t, "secret")} {
		b := bringPeer(t, PeerConfig{Protocol: MSCHAPv2, User: `DOM\alice`, Secret: secret, Seed: seed(3)}, PeerAsking)
		b.p.Receive(b.now, challengeA)
		first := b.p.Actions()[0].(Send).Packet
		k, err := parsePacket(first, false)
		if err != nil || k.code != chapResponse || k.identifier != 5 {
			t.Fatalf("%+v, %v", k, err)
		}
		value, name, err := parseValue(k.body)
		if err != nil || name != `DOM\alice` {
			t.Fatalf("%q, %v", name, err)
		}
		r, err := ParseMSCHAPv2Response(value)
		if err != nil || r.Reserved != [8]byte{} || r.Flags != 0 || r.PeerChallenge == [16]byte{} {
			t.Errorf("%+v, %v", r, err)
		}
		// The same Challenge gets the same Response, another one another.
		b.p.Receive(b.now, challengeA)
		if got := b.p.Actions()[0].(Send).Packet; !bytes.Equal(got, first) {
			t.Error("answered differently")
		}
		b.p.Receive(b.now, packet{chapChallenge, 6, valueBody([]byte("0123456789abcdef"), "pns")}.append(nil))
		if got := b.p.Actions()[0].(Send).Packet; bytes.Equal(got[headerLength:], first[headerLength:]) {
			t.Error("the peer challenge was used twice")
		}
	}
}

func TestPeerRefusedText(t *testing.T) {
	b := bringPeer(t, PeerConfig{Protocol: MSCHAPv2, User: "alice", Secret: PlainSecret("secret")}, PeerAnswered)
	b.p.Receive(b.now, b.failure(5))
	if f := b.p.Actions()[0].(Failed); f.Code != 691 || f.Message != "no" || f.User != "alice" || f.Reason != FailRefused {
		t.Errorf("%+v", f)
	}
}

func TestPeerKeysComeOnce(t *testing.T) {
	b := bringPeer(t, PeerConfig{Protocol: MSCHAPv2, User: "alice", Secret: PlainSecret("secret"), Seed: seed(9)}, PeerAnswered)
	b.p.Receive(b.now, b.success(5))
	first := b.p.Actions()[0].(Succeeded)
	b.p.Receive(b.now, packet{chapChallenge, 6, valueBody([]byte("fedcba9876543210"), "pns")}.append(nil))
	b.p.Receive(b.now, b.success(6))
	second := b.p.Actions()[1].(Succeeded)
	s := b.p.State()
	if !first.HasKeys || first.Message != "hello" || !second.Again || second.HasKeys || s.SendKey != first.SendKey || s.ReceiveKey != first.ReceiveKey {
		t.Errorf("%+v, %+v", first.HasKeys, second.HasKeys)
	}
}

func TestNewPeerErrors(t *testing.T) {
	hash := mustHash(t, "x")
	for _, v := range []struct {
		cfg  PeerConfig
		want error
	}{
		{PeerConfig{}, ErrUnsupported},
		{PeerConfig{Protocol: MSCHAPv1, Secret: PlainSecret("x")}, ErrUnsupported},
		{PeerConfig{Protocol: PAP}, ErrConfig},
		{PeerConfig{Protocol: PAP, Secret: hash}, ErrConfig},
		{PeerConfig{Protocol: CHAPMD5, Secret: hash}, ErrConfig},
		{PeerConfig{Protocol: MSCHAPv2, Secret: hash}, nil},
		{PeerConfig{Protocol: PAP, Secret: PlainSecret(strings.Repeat("x", 256))}, ErrConfig},
		{PeerConfig{Protocol: CHAPMD5, Secret: PlainSecret("x"), User: strings.Repeat("x", 256)}, ErrConfig},
	} {
		if _, err := NewPeer(v.cfg); !errors.Is(err, v.want) {
			t.Errorf("%+v: %v", v.cfg, err)
		}
	}
	b := bringPeer(t, PeerConfig{Protocol: PAP, Secret: PlainSecret("x")}, PeerIdle)
	s := b.p.State()
	s.Phase = peerPhases
	if _, err := RestorePeer(b.cfg, s); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	b = bringPeer(t, PeerConfig{Protocol: MSCHAPv2, User: "alice", Secret: PlainSecret("x"), Seed: seed(1)}, PeerIdle)
	s = b.p.State()
	s.Random = ppp.Random{}
	if _, err := RestorePeer(b.cfg, s); err == nil {
		t.Error("broken random state accepted")
	}
}
