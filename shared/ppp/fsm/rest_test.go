package fsm

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// A machine that is made anew whenever it is at rest does the same as one that is not, whatever comes.
func TestRestChangesNothing(t *testing.T) {
	rests := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		cfg := &Config{Name: "TCP", Extensions: []Code{EchoRequest}, Patient: seed%3 == 0}
		plain, same := New(cfg, &choosy{Value: 9}), New(cfg, &choosy{Value: 9})
		now := epoch
		both := func(do func(m *Machine)) {
			do(plain)
			do(same)
			if rest, ok := same.Rest(); ok && len(plain.actions) == 0 {
				discarded := same.d.Discarded
				same = Restore(cfg, same.neg, rest.Data(cfg.Timers))
				same.d.Discarded = discarded
				rests++
			}
		}
		both(func(m *Machine) { m.Open(now); m.Up(now); m.Actions() })
		for range 200 {
			now = now.Add(time.Duration(r.IntN(1500)) * time.Millisecond)
			n := r.IntN(12)
			code, id := Code(1+r.IntN(8)), plain.d.Identifier-uint8(r.IntN(2))
			answer := packet(ConfigureAck, plain.d.RequestID, plain.Requested()...)
			var actions [][]Action
			both(func(m *Machine) {
				switch n {
				case 0:
					m.Tick(now)
				case 1, 2, 3:
					m.Receive(now, answer)
				case 4, 5, 6:
					m.Receive(now, packet(ConfigureRequest, 7, 1, 3, 5))
				case 7:
					m.Receive(now, packet(ConfigureRequest, 8, 2, 3, 5))
				case 8:
					m.Up(now)
				default:
					m.Receive(now, packet(code, id, 1, 3, 9))
				}
				actions = append(actions, m.Actions())
			})
			if !reflect.DeepEqual(actions[0], actions[1]) || plain.State() != same.State() || !plain.Deadline().Equal(same.Deadline()) || plain.Discarded() != same.Discarded() {
				t.Fatalf("seed %d: %v in %v until %v, want %v in %v until %v", seed, actions[1], same.State(), same.Deadline(), actions[0], plain.State(), plain.Deadline())
			}
		}
	}
	if rests < 1000 {
		t.Errorf("at rest only %d times", rests)
	}
}

func TestRestlessMachines(t *testing.T) {
	m := New(&Config{}, &choosy{})
	if _, ok := m.Rest(); ok {
		t.Error("a machine that has not begun is at rest")
	}
	m.Open(epoch)
	m.Up(epoch)
	m.Receive(epoch, packet(ConfigureAck, m.d.RequestID, m.Requested()...))
	m.Receive(epoch, packet(ConfigureRequest, 1))
	if _, ok := m.Rest(); ok {
		t.Error("a machine that has something to say is at rest")
	}
	m.Actions()
	if _, ok := m.Rest(); !ok {
		t.Error("an opened machine is not at rest")
	}
	m.Receive(epoch, packet(ConfigureRequest, 9, 2, 3, 5))
	m.Actions()
	if _, ok := m.Rest(); ok {
		t.Errorf("a machine in %v is at rest", m.State())
	}
}
