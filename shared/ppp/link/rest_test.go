package link

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/fsm"
)

// A link that is only held up keeps none of the machines that brought it up.
func TestRest(t *testing.T) {
	for _, p := range []auth.Protocol{auth.PAP, auth.CHAPMD5, auth.MSCHAPv2} {
		cfg := serverConfig(p)
		if p != auth.MSCHAPv2 {
			cfg.Encryption = ccp.Preferred
		}
		client := clientConfig(p)
		client.Encryption = cfg.Encryption
		s := newSim(t, cfg, client)
		s.start()
		s.mustUp(10 * time.Second)
		l := s.server.l
		if l.checker != nil || l.ipcp != nil || p == auth.MSCHAPv2 && l.ccp != nil || l.s.Held != nil {
			t.Errorf("%v: checker %v, CCP %v, IPCP %v, held %v", p, l.checker, l.ccp, l.ipcp, l.s.Held)
		}
	}
	cfg := serverConfig(auth.MSCHAPv2)
	cfg.Rechallenge = time.Minute
	p := newPuppet(t, cfg)
	p.bringUp()
	if p.l.checker == nil {
		t.Error("nobody will challenge the peer again")
	}
}

// A link whose machines were woken before every single input does the same as one whose machines rest.
func TestRestChangesNothing(t *testing.T) {
	downs := 0
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 9))
		resting, awake := newPuppet(t, serverConfig(auth.MSCHAPv2)), newPuppet(t, serverConfig(auth.MSCHAPv2))
		resting.bringUp()
		awake.bringUp()
		now := epoch
		for range 60 {
			now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
			proto := []ppp.Protocol{ppp.CCP, ppp.IPCP, ppp.LCP}[r.IntN(3)]
			code, id := fsm.Code(1+r.IntN(10)), uint8(r.IntN(4))
			option := [][]byte{mppe128, peerAddr, ourAddr, {18, 6, 1, 0, 0, 0x60}, {0x80, 0xFD}, nil}[r.IntN(6)]
			frame := control(proto, code, id, option...)
			if r.IntN(4) == 0 {
				frame = nil
			}
			var actions [2][]Action
			for i, l := range []*Link{resting.l, awake.l} {
				if l == awake.l {
					l.wake()
				}
				if frame == nil {
					l.Tick(now)
				} else {
					l.Receive(now, frame)
				}
				actions[i] = l.Actions()
			}
			a, b := resting.l, awake.l
			if !reflect.DeepEqual(actions[0], actions[1]) || !a.Deadline().Equal(b.Deadline()) || a.Counters() != b.Counters() || !reflect.DeepEqual(a.State(), b.State()) {
				t.Fatalf("seed %d: %v and then %+v, want %v and then %+v", seed, actions[0], a.State(), actions[1], b.State())
			}
			for _, x := range actions[0] {
				if _, ok := x.(NetworkDown); ok {
					downs++
				}
			}
		}
	}
	if downs < 100 {
		t.Errorf("the network went down only %d times", downs)
	}
}
