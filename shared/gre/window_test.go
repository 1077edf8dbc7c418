package gre

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestSenderWithoutWindow(t *testing.T) {
	for name, cfg := range map[string]SenderConfig{
		"not asked for": {Window: 4},
		"none stated":   {Enforce: true},
	} {
		s := NewSender(epoch, cfg)
		if n := send(s, epoch, 10000); n != 10000 || s.Full() {
			t.Errorf("%s: stops after %d", name, n)
		}
		if !s.Deadline().IsZero() {
			t.Errorf("%s: a deadline", name)
		}
		s.Acknowledged(epoch.Add(80*ms), 9999)
		s.Tick(epoch.Add(time.Hour))
		if c := s.Counters(); c.Acks != 1 || c.Timeouts != 0 || s.State().Enforcement != EnforcementOff {
			t.Errorf("%s: %+v", name, c)
		}
		if s.State().RTT >= minRTT || s.State().RTT < 80*ms {
			t.Errorf("%s: round trip %v, sampled 80 ms", name, s.State().RTT)
		}
	}
}

func TestSenderNeverAcknowledged(t *testing.T) {
	s := NewSender(epoch, enforced)
	if n := send(s, epoch, 100); n != 100 {
		t.Fatalf("stopped after %d packets though nothing was ever acknowledged", n)
	}
	at := epoch.Add(DefaultMaxTimeout)
	if !s.Deadline().Equal(at) {
		t.Fatalf("deadline %v", s.Deadline())
	}
	s.Tick(at.Add(-1))
	if s.State().Enforcement != EnforcementPending {
		t.Fatalf("window %v too early", s.State().Enforcement)
	}
	s.Tick(at)
	s.Acknowledged(at, 99) // too late: off is for the call
	if n := send(s, at, 100); n != 100 || s.State().Enforcement != EnforcementOff || !s.Deadline().IsZero() {
		t.Fatalf("%d packets, window %v, deadline %v", n, s.State().Enforcement, s.Deadline())
	}
}

// A peer that ceases to acknowledge does not stall the call; the window is kept again as soon as it acknowledges again.
func TestSenderNoLongerAcknowledged(t *testing.T) {
	s := NewSender(epoch, enforced)
	send(s, epoch, 1)
	s.Acknowledged(epoch, 0)
	now := epoch
	for n := range maxInARow {
		if send(s, now, 1000) >= 1000 || s.State().Enforcement != EnforcementOn {
			t.Fatalf("no window after %d time-outs", n)
		}
		now = s.Deadline()
		s.Tick(now)
	}
	if n := send(s, now, 1000); n != 1000 || s.Flow().Enforcement != EnforcementPending || s.Flow().Window != 0 {
		t.Fatalf("after %v without a word only %d packets go; %v", now.Sub(epoch), n, s.Flow())
	}
	for range 3 {
		now = s.Deadline()
		s.Tick(now)
		send(s, now, 1)
	}
	s.Acknowledged(now, s.State().Next-1)
	if send(s, now, 1000) >= 1000 || s.Flow().Enforcement != EnforcementOn || s.Flow().Timeouts != maxInARow+3 {
		t.Fatalf("no window though the peer acknowledges again; %v", s.Flow())
	}
}

func TestSenderFlow(t *testing.T) {
	s := NewSender(epoch, enforced)
	send(s, epoch, 2)
	if f := s.Flow(); f != (Flow{Enforcement: EnforcementPending}) || f.String() != "round trip unknown, window pending, 0 in flight, 0 time-outs" {
		t.Errorf("at first: %v", f)
	}
	s.Acknowledged(epoch.Add(40*ms), 0)
	if f := s.Flow(); f.RTT <= 0 || f.InFlight != 1 || f.Enforcement != EnforcementOn || f.Window == 0 {
		t.Errorf("acknowledged: %v", f)
	}
	for e := EnforcementOff; e <= EnforcementOn; e++ {
		var back Enforcement
		if text, err := e.MarshalText(); err != nil || back.UnmarshalText(text) != nil || back != e {
			t.Errorf("%v is read as %v", e, back)
		}
	}
	if new(Enforcement).UnmarshalText([]byte("half")) == nil {
		t.Error("a word that means nothing is taken")
	}
}

func TestSenderWindow(t *testing.T) {
	for _, first := range []uint32{0, 0xFFFFFFF8} {
		cfg := enforced
		cfg.First = first
		s := NewSender(epoch, cfg)
		now := epoch
		window := func(what string, want uint32, left int) {
			t.Helper()
			s = copySender(t, cfg, s, false)
			if s.State().Window != want {
				t.Fatalf("%s: window %d, want %d", what, s.State().Window, want)
			}
			if n := send(s, now, 100); n != left || !s.Full() {
				t.Fatalf("%s: %d packets more, want %d", what, n, left)
			}
		}
		send(s, now, 1)
		now = now.Add(10 * ms)
		s.Acknowledged(now, first)
		window("half at first", 4, 4)
		now = now.Add(10 * ms)
		s.Acknowledged(now, first+1)
		window("one acknowledged", 4, 1)
		s.Acknowledged(now, first+4)
		window("a full window acknowledged", 5, 4) // one more than what was acknowledged
		s.Acknowledged(now, first+9)
		window("another", 6, 6)
		s.Acknowledged(now, first+15)
		window("another", 7, 7)
		s.Acknowledged(now, first+22)
		window("another", 8, 8)
		s.Acknowledged(now, first+30)
		window("as large as it gets", 8, 8)

		refused := s.Counters().Refused
		at := s.Deadline()
		if at.IsZero() {
			t.Fatal("nothing is waited for")
		}
		s.Tick(at.Add(-1))
		if _, ok := s.Next(at.Add(-1), 1); ok || s.Counters().Refused != refused+1 {
			t.Fatal("the window opens before the time-out")
		}
		now = at
		timeout, rtt := s.State().Timeout, s.State().RTT
		s.Tick(now)
		if s.State().RTT != 2*rtt || s.State().Timeout < timeout {
			t.Errorf("after the time-out: round trip %v, was %v; time-out %v, was %v", s.State().RTT, rtt, s.State().Timeout, timeout)
		}
		window("time-out", 4, 4)
		for i, want := range []uint32{2, 1} {
			now = s.Deadline()
			// Without Tick: Next notices by itself.
			if _, ok := s.Next(now, 1); !ok {
				t.Fatalf("time-out %d: still full", i+2)
			}
			window("again", want, int(want)-1)
		}
		if s.State().Timeout > DefaultMaxTimeout {
			t.Errorf("time-out %v", s.State().Timeout)
		}
		if c := s.Counters(); c.Timeouts != 3 || c.BogusAcks+c.StaleAcks != 0 {
			t.Errorf("%+v", c)
		}
	}
}

// After a time-out everything in flight counts as acknowledged; the acknowledgement that comes late is still welcome.
func TestSenderLateAcknowledgement(t *testing.T) {
	s := NewSender(epoch, enforced)
	send(s, epoch, 1)
	s.Acknowledged(epoch.Add(10*ms), 0)
	send(s, epoch, 4)
	now := s.Deadline()
	s.Tick(now)
	if n := send(s, now, 9); n != 2 {
		t.Fatalf("window of %d after a time-out", n)
	}
	rtt := s.State().RTT
	s.Acknowledged(now.Add(ms), 3)
	if s.Counters().Acks != 2 || s.State().RTT == rtt {
		t.Errorf("%+v, round trip %v", s.Counters(), s.State().RTT)
	}
	if !s.Full() {
		t.Error("it has opened the window a second time")
	}
	s.Acknowledged(now.Add(2*ms), 6)
	if s.Full() || !s.Deadline().IsZero() {
		t.Error("still waiting")
	}
}

func TestSenderUrgent(t *testing.T) {
	s := NewSender(epoch, enforced)
	send(s, epoch, 1)
	s.Acknowledged(epoch, 0)
	send(s, epoch, 100)
	if h := s.NextUrgent(epoch, 8); h.Sequence != 5 || !h.HasSequence {
		t.Errorf("%+v", h)
	}
}

func TestSenderSetWindow(t *testing.T) {
	cfg := enforced
	cfg.Window = 0
	s := NewSender(epoch, cfg)
	if n := send(s, epoch, 100); n != 100 {
		t.Fatalf("%d packets before the window is known", n)
	}
	s.SetWindow(1000)
	if st := s.State(); st.Enforcement != EnforcementPending || st.MaxWindow != MaxWindow || st.Window != MaxWindow/2 || len(st.SentAt) != MaxWindow {
		t.Fatalf("%+v", st)
	}
	s.Acknowledged(epoch, 99)
	if c := s.Counters(); c.StaleAcks != 1 || !s.Deadline().IsZero() {
		t.Fatalf("what was sent before counts: %+v", c)
	}
	send(s, epoch, 1)
	s.Acknowledged(epoch, 100)
	if n := send(s, epoch, 1000); n != MaxWindow/2 {
		t.Errorf("%d packets in flight", n)
	}
}

// The two halves against each other over a lossy path, in simulated time: a window is kept, never stalls for ever, and what is
// acknowledged was received.
func TestSenderAgainstReceiver(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 4))
		cfg := SenderConfig{Enforce: true, Window: 16, First: 1<<32 - 200}
		s, r := NewSender(epoch, cfg), NewReceiver(ReceiverConfig{})
		back := NewSender(epoch, SenderConfig{Advertised: 16})
		now, delivered, sent := epoch, 0, 0
		type packet struct {
			at time.Time
			h  Header
		}
		var forth, home []packet
		for range 20000 {
			now = now.Add(ms)
			for len(forth) > 0 && !forth[0].at.After(now) {
				r.Receive(now, forth[0].h, []byte{1})
				forth = forth[1:]
				for _, ok := r.Next(); ok; _, ok = r.Next() {
					delivered++
				}
			}
			r.Tick(now)
			for _, ok := r.Next(); ok; _, ok = r.Next() {
				delivered++
			}
			back.Owe(now, r.Ack())
			if h, ok := back.AckDue(now); ok && rng.IntN(10) > 0 {
				home = append(home, packet{now.Add(20 * ms), h})
			}
			for len(home) > 0 && !home[0].at.After(now) {
				s.Acknowledged(now, home[0].h.Ack)
				home = home[1:]
			}
			s.Tick(now)
			for range rng.IntN(3) {
				if h, ok := s.Next(now, 1); ok {
					sent++
					if rng.IntN(10) > 0 {
						forth = append(forth, packet{now.Add(20 * ms), h})
					}
				}
			}
			if st := s.State(); st.Enforcement == EnforcementOn && st.Next-st.Floor > 16 {
				// Those in flight when the first acknowledgement came are let through.
				if sent > 200 {
					t.Fatalf("seed %d: %d in flight", seed, st.Next-st.Floor)
				}
			}
		}
		c := s.Counters()
		if c.Refused == 0 || c.Acks < 100 || c.BogusAcks > 0 {
			t.Errorf("seed %d: %+v", seed, c)
		}
		if delivered < sent*8/10 || sent < 1000 {
			t.Errorf("seed %d: %d of %d delivered", seed, delivered, sent)
		}
	}
}
