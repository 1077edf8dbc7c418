package ccp

import (
	"testing"
	"time"

	"trunkline.example/shared/ppp/fsm"
	"trunkline.example/shared/ppp/fsm/fsmtest"
)

// pppd takes CCP down when our request comes a second time after it was acknowledged, and gives up a link that must be encrypted:
// a peer that is slow to acknowledge has the whole restart period (RFC 1661 section 4.6) before it is asked again.
func TestSlowPeerIsNotAskedTwice(t *testing.T) {
	m := start()
	first := fsmtest.Last(t, m)
	asked := m.Deadline().Add(-fsm.DefaultRestart)
	m.Receive(asked.Add(100*time.Millisecond), fsm.AppendPacket(nil, fsm.Packet{Code: fsm.ConfigureRequest, Identifier: 1, Data: wantedOption}))
	m.Actions()
	m.Tick(asked.Add(fsm.DefaultRestart - time.Millisecond))
	for _, a := range m.Actions() {
		t.Errorf("before the restart timer ran out: %+v", a)
	}
	m.Receive(asked.Add(fsm.DefaultRestart-time.Millisecond), fsm.AppendPacket(nil, fsm.Packet{Code: fsm.ConfigureAck, Identifier: first.Identifier, Data: wantedOption}))
	if ok, why := m.Agreed(); !ok {
		t.Errorf("not agreed: %s", why)
	}
}
