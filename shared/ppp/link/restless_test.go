package link

import (
	"testing"
	"time"

	"trunkline.example/shared/ppp"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/fsm"
)

// A peer that negotiates for ever is sent away, whichever protocol it does it with.
func TestRestlessPeer(t *testing.T) {
	for _, proto := range []ppp.Protocol{ppp.LCP, ppp.CCP, ppp.IPCP} {
		p := newPuppet(t, serverConfig(auth.MSCHAPv2))
		p.bringUp()
		data := map[ppp.Protocol][]byte{ppp.LCP: {5, 6, 9, 9, 9, 9}, ppp.CCP: mppe128, ppp.IPCP: peerAddr}[proto]
		n := 0
		for ; n < 100 && p.l.Phase() != Terminate; n++ {
			p.now = p.now.Add(time.Second)
			p.put(proto, fsm.ConfigureRequest, uint8(n), data...)
			own := p.last(proto)
			for i := len(p.sent) - 1; i >= 0; i-- {
				if p.protos[i] == proto && p.sent[i].Code == fsm.ConfigureRequest {
					own = p.sent[i]
					break
				}
			}
			p.put(proto, fsm.ConfigureAck, own.Identifier, own.Data...)
		}
		p.put(ppp.LCP, fsm.TerminateAck, 99)
		if n != restartsMax+1 || p.ended == nil || p.ended.Code != CodeNoAgreement {
			t.Errorf("%v: after %d times %v", proto, n, p.ended)
		}
	}
	// Now and then is no trouble.
	p := newPuppet(t, serverConfig(auth.MSCHAPv2))
	p.bringUp()
	for n := range uint8(100) {
		p.now = p.now.Add(10 * time.Second)
		p.put(ppp.IPCP, fsm.ConfigureRequest, n, peerAddr...)
		p.put(ppp.IPCP, fsm.ConfigureAck, 2+n, ourAddr...)
	}
	if p.up == nil {
		t.Errorf("ended %v in %v", p.ended, p.l.Phase())
	}
}
