package redial

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func config(mode Mode) Config {
	return Config{Mode: mode, Retry: 4 * time.Second, RetryMost: time.Minute, Seed: [32]byte{1}}
}

func (m *Machine) want(t *testing.T, p Phase, actions ...Action) {
	t.Helper()
	if got := m.Actions(); m.s.Phase != p || !reflect.DeepEqual(got, actions) {
		t.Fatalf("%v with actions %v, want %v with %v", m.s.Phase, got, p, actions)
	}
}

func TestManual(t *testing.T) {
	m := New(epoch, config(Manual))
	m.want(t, Idle)
	m.Order(epoch)
	m.want(t, Calling, Call)
	m.Order(epoch)
	m.want(t, Calling)
	m.Over(epoch, Lost)
	m.want(t, Idle)
	if !m.Deadline().IsZero() {
		t.Error("a site that is called by hand is called again by itself")
	}
	m.Order(epoch) // the pause is not for operators
	m.want(t, Calling, Call)
	m.Up(epoch)
	m.want(t, Up)
	m.HangUp(epoch)
	m.want(t, Ending, HangUp)
	m.HangUp(epoch)
	m.Up(epoch) // too late
	m.want(t, Ending)
	m.Order(epoch)
	m.want(t, Ending)
	m.Over(epoch, Wanted)
	m.want(t, Calling, Call)
	m.HangUp(epoch)
	m.Over(epoch, Lost)
	m.want(t, Idle, HangUp)
	m.HangUp(epoch)
	m.Over(epoch, Lost)
	m.want(t, Idle)
}

// Pauses double up to the most, are shortened by chance by a quarter at most, and begin anew after a call that was up for long.
func TestPersistentBacksOff(t *testing.T) {
	m, now := New(epoch, config(Persistent)), epoch
	m.want(t, Calling, Call)
	fail := func(how End, most time.Duration) {
		t.Helper()
		m.Over(now, how)
		m.want(t, Idle)
		pause := m.Deadline().Sub(now)
		if pause > most || pause <= most*3/4 {
			t.Fatalf("a pause of %v after %d failures, want up to %v", pause, m.s.Failures, most)
		}
		m.Tick(m.Deadline().Add(-1))
		m.want(t, Idle)
		now = m.Deadline()
		m.Tick(now)
		m.want(t, Calling, Call)
	}
	for _, most := range []time.Duration{4, 8, 16, 32, 60, 60} {
		fail(Lost, most*time.Second)
	}
	m.Up(now)
	fail(Lost, time.Minute) // up for no time at all
	m.Up(now)
	now = now.Add(steady)
	fail(Lost, 4*time.Second)
	fail(Lost, 4*time.Second)
	fail(Refused, time.Minute)
	m.Up(now)
	fail(Wanted, 4*time.Second)
	m.Up(now)
	m.HangUp(now)
	m.Over(now, Wanted)
	m.want(t, Idle, HangUp)
	if !m.Deadline().IsZero() {
		t.Error("a site that an operator has hung up is called again")
	}
	m.Order(now)
	m.want(t, Calling, Call)
	fail(Lost, 4*time.Second)
}

// Traffic calls a site on demand, but not in the pause after a failure, nor after an operator has hung up.
func TestOnDemand(t *testing.T) {
	m, now := New(epoch, config(OnDemand)), epoch
	wants := func(want bool) {
		t.Helper()
		if m.Wants() != want {
			t.Fatalf("wants traffic to wait: %v in %v", m.Wants(), m.s.Phase)
		}
	}
	m.want(t, Idle)
	wants(true)
	m.Traffic(now)
	m.want(t, Calling, Call)
	wants(true)
	m.Traffic(now)
	m.Over(now, Lost)
	m.want(t, Idle)
	wants(false)
	m.Traffic(now)
	m.want(t, Idle)
	now = m.Deadline()
	m.Tick(now)
	m.want(t, Idle)
	wants(true)
	m.Traffic(now)
	m.want(t, Calling, Call)
	m.Up(now)
	wants(true)
	m.Over(now, Wanted) // idle
	wants(true)
	if !m.Deadline().IsZero() {
		t.Error("a pause after a call that was idle")
	}
	m.Traffic(now)
	m.want(t, Calling, Call)
	m.HangUp(now)
	wants(false)
	m.Over(now, Wanted)
	m.want(t, Idle, HangUp)
	m.Traffic(now)
	m.want(t, Idle)
	m.Order(now)
	m.want(t, Calling, Call)
	wants(true)
	m.Over(now, Lost)
	m.Order(now)
	m.want(t, Calling, Call)
	manual := New(now, config(Manual))
	manual.Traffic(now)
	manual.want(t, Idle)
}

// Whatever happens, a call is made only where there is none, ended only where there is one, and a persistent site that nobody has hung up
// has a call or a deadline. Written down and read again the machine is the same.
func TestWalk(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		cfg := config(Mode(random.IntN(3)))
		m, now, calls := New(epoch, cfg), epoch, 0
		for step := range 300 {
			now = now.Add(time.Duration(random.IntN(40_000)) * time.Millisecond)
			switch random.IntN(7) {
			case 4:
				m.Traffic(now)
			case 0:
				m.Order(now)
			case 1:
				m.HangUp(now)
			case 2:
				m.Up(now)
			case 3:
				if calls > 0 {
					calls--
					m.Over(now, End(random.IntN(3)))
				}
			default:
				m.Tick(now)
			}
			for _, a := range m.Actions() {
				switch a {
				case Call:
					calls++
				case HangUp:
					if calls != 1 {
						t.Fatalf("seed %d, step %d: hangs up %d calls", seed, step, calls)
					}
				}
			}
			if calls > 1 || (m.s.Phase == Idle) != (calls == 0) {
				t.Fatalf("seed %d, step %d: %v with %d calls", seed, step, m.s.Phase, calls)
			}
			if cfg.Mode == Persistent && !m.s.Off && m.s.Phase == Idle && m.Deadline().IsZero() {
				t.Fatalf("seed %d, step %d: given up", seed, step)
			}
			again, err := Restore(cfg, m.State())
			if err != nil || !reflect.DeepEqual(again.State(), m.State()) {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			m = again
		}
	}
}
