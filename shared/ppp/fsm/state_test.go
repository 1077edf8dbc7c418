package fsm

import (
	"math/rand/v2"
	"testing"
	"time"

	"trunkline.example/shared/ppp/internal/statetest"
)

// Data survives gob and json in the middle of a negotiation, and shares nothing.
func TestDataRoundTrip(t *testing.T) {
	m := opened(t, &choosy{Value: 3}, Timers{})
	m.Receive(epoch, packet(ConfigureRequest, 9, 2, 3, 5))
	m.Actions()
	d := m.Data()
	for name, got := range statetest.RoundTrip(t, d) {
		r := Restore(&Config{}, &choosy{}, got)
		r.Receive(epoch, packet(ConfigureAck, 1, 1, 3, 3))
		if r.State() != AckRcvd {
			t.Errorf("%s: goes on to %v", name, r.State())
		}
	}
	d.Request[0] = 99
	if m.Requested()[0] == 99 {
		t.Error("Data shares memory with the machine")
	}
}

// Random walks: whatever comes, a machine that waits has a deadline, never sends when the
// lower layer is down, and reports Up and Down in turn.
func TestRandomWalk(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := New(&Config{Name: "TCP", Extensions: []Code{EchoRequest}}, &choosy{Value: 9, Demand: seed%2 == 0})
		now, up := epoch, false
		for range 200 {
			now = now.Add(time.Duration(r.IntN(1500)) * time.Millisecond)
			before := m.State()
			e := Event(r.IntN(int(events)))
			switch {
			case e == EventTOMinus || e == EventTOPlus:
				m.Tick(now)
			case e == EventRCA || e == EventRCN:
				id := m.d.RequestID + uint8(r.IntN(2))
				code := []Code{ConfigureAck, ConfigureNak, ConfigureReject}[r.IntN(3)]
				m.Receive(now, packet(code, id, m.Requested()...))
			default:
				provoke(m, now, e)
			}
			for _, a := range m.Actions() {
				switch a.(type) {
				case Send:
					if before <= Starting && e != EventUp {
						t.Fatalf("seed %d: sends in %v on %v", seed, before, e)
					}
				case LayerUp:
					if up || m.State() != Opened {
						t.Fatalf("seed %d: up in %v", seed, m.State())
					}
					up = true
				case LayerDown:
					if !up {
						t.Fatalf("seed %d: down twice", seed)
					}
					up = false
				}
			}
			if up != (m.State() == Opened) {
				t.Fatalf("seed %d: up %v in %v", seed, up, m.State())
			}
			if waits := m.State() >= Closing && m.State() <= AckSent; waits == m.Deadline().IsZero() {
				t.Fatalf("seed %d: deadline %v in %v", seed, m.Deadline(), m.State())
			}
		}
	}
}
