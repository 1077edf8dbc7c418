package gre

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

const ms = time.Millisecond

// enforced is the configuration of a call to a concentrator that acknowledges.
var enforced = SenderConfig{CallID: 0xBEEF, Enforce: true, Window: 8, MinTimeout: 100 * ms}

// send gives out headers until n packets are sent or the window is full, and returns how many.
func send(s *Sender, now time.Time, n int) int {
	for i := range n {
		if _, ok := s.Next(now, 100); !ok {
			return i
		}
	}
	return n
}

func copySender(t *testing.T, cfg SenderConfig, s *Sender, asJSON bool) *Sender {
	t.Helper()
	var st SenderState
	transfer(t, s.State(), &st, asJSON)
	c, err := RestoreSender(cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSenderNumbers(t *testing.T) {
	for _, first := range []uint32{0, 1, 0xFFFFFFFE} {
		cfg := SenderConfig{CallID: 0xBEEF, First: first}
		s := NewSender(epoch, cfg)
		for i := range uint32(5) {
			s = copySender(t, cfg, s, i%2 == 0)
			h, ok := s.Next(epoch, int(i)+1)
			want := Header{PayloadLength: uint16(i) + 1, CallID: 0xBEEF, HasSequence: true, Sequence: first + i}
			if h != want || !ok {
				t.Fatalf("packet %d: %+v %v, want %+v", i, h, ok, want)
			}
		}
		if c := s.Counters(); c.Packets != 5 || c.Octets != 15 {
			t.Errorf("%+v", c)
		}
	}
}

func TestSenderAcknowledges(t *testing.T) {
	cfg := SenderConfig{CallID: 7, Advertised: 8}
	s := NewSender(epoch, cfg)
	now := epoch
	quiet := func(what string) {
		t.Helper()
		if h, ok := s.AckDue(now); ok {
			t.Fatalf("%s: acknowledged %+v", what, h)
		}
	}
	due := func(what string, want uint32) {
		t.Helper()
		s = copySender(t, cfg, s, true)
		if h, ok := s.AckDue(now); !ok || h != (Header{CallID: 7, HasAck: true, Ack: want}) {
			t.Fatalf("%s: %+v %v, want %d", what, h, ok, want)
		}
		quiet("again after " + what)
	}
	rides := func(what string, want Header) {
		t.Helper()
		want.CallID, want.HasSequence = 7, true
		if h, _ := s.Next(now, 0); h != want {
			t.Fatalf("%s: %+v, want %+v", what, h, want)
		}
	}
	s.Owe(now, 0)
	now = now.Add(time.Hour)
	quiet("before any data came")
	if _, ok := s.FlushAck(); ok || !s.Deadline().IsZero() {
		t.Fatal("before any data came there is something to flush")
	}
	rides("before any data came", Header{})

	s.Owe(now, AckOf(0))
	quiet("just received")
	if d := s.Deadline(); !d.Equal(now.Add(DefaultAckDelay)) {
		t.Fatalf("deadline %v", d)
	}
	now = now.Add(DefaultAckDelay - 1)
	s.Owe(now, AckOf(1)) // does not prolong the wait
	quiet("a moment too early")
	now = now.Add(1)
	due("delay over", 1)
	if !s.Deadline().IsZero() {
		t.Fatal("a deadline with nothing owed")
	}

	s.Owe(now, AckOf(2))
	rides("with data", Header{Sequence: 1, HasAck: true, Ack: 2})
	rides("nothing new", Header{Sequence: 2})
	now = now.Add(time.Hour)
	quiet("it has travelled with data")

	s.Owe(now, AckOf(5))
	quiet("three of a window of eight")
	s.Owe(now, AckOf(6))
	due("half of the window", 6)

	s.Owe(now, AckOf(7))
	if h, ok := s.FlushAck(); !ok || h.Ack != 7 {
		t.Fatalf("flush: %+v %v", h, ok)
	}
	s.Owe(now, AckOf(7))
	s.Owe(now, 0)
	now = now.Add(time.Hour)
	quiet("nothing new")
	s.Owe(now, AckOf(1)) // the sequence was restarted
	due("restarted sequence", 1)
	if c := s.Counters(); c.AckOnly != 4 || c.Piggybacked != 1 || c.Packets != 3 {
		t.Errorf("%+v", c)
	}
}

func TestSenderAcknowledgesOverTheWrap(t *testing.T) {
	s := NewSender(epoch, SenderConfig{Advertised: 8})
	for i := range uint32(4) {
		if _, ok := s.AckDue(epoch); ok {
			t.Fatalf("due after %d packets", i)
		}
		s.Owe(epoch, AckOf(0xFFFFFFFE+i))
	}
	if h, ok := s.AckDue(epoch); !ok || h.Ack != 1 {
		t.Fatalf("%+v %v", h, ok)
	}
}

// One packet that is first owed far into the sequence is not half a window.
func TestSenderFirstAckIsNotUrgent(t *testing.T) {
	s := NewSender(epoch, SenderConfig{Advertised: 8})
	s.Owe(epoch, AckOf(5000))
	if _, ok := s.AckDue(epoch); ok {
		t.Error("due at once")
	}
}

func TestSenderIgnoresAcknowledgements(t *testing.T) {
	s := NewSender(epoch, SenderConfig{Enforce: true, Window: 8, First: 10})
	s.Acknowledged(epoch, 10) // nothing was sent
	s.Acknowledged(epoch, 9)
	send(s, epoch, 4) // 10 .. 13
	for _, bogus := range []uint32{14, 15, 1000, 14 + 1<<31 - 1} {
		s.Acknowledged(epoch, bogus)
	}
	if s.State().Enforcement != EnforcementPending {
		t.Error("a bogus acknowledgement counts as one")
	}
	s.Acknowledged(epoch, 12)
	s.Acknowledged(epoch, 12)
	s.Acknowledged(epoch, 11)
	s.Acknowledged(epoch, 9)
	if c := s.Counters(); c.Acks != 1 || c.StaleAcks != 4 || c.BogusAcks != 5 {
		t.Errorf("%+v", c)
	}
}

// The worked formulas of RFC 2637 section 4.4.
func TestSenderAdaptiveTimeout(t *testing.T) {
	cfg := SenderConfig{Enforce: true, Window: 64, ProcessingDelay: 800 * ms, MinTimeout: 100 * ms, MaxTimeout: 5 * time.Second}
	s := NewSender(epoch, cfg)
	if s.State().RTT != 800*ms || s.State().Timeout != 800*ms {
		t.Fatalf("at first %v, %v", s.State().RTT, s.State().Timeout)
	}
	now := epoch
	for i, c := range []struct{ sample, rtt, deviation, timeout time.Duration }{
		{400 * ms, 750 * ms, 100 * ms, 1150 * ms},                           // diff -400
		{1550 * ms, 850 * ms, 275 * ms, 1950 * ms},                          // diff +800
		{850 * ms, 850 * ms, 206250 * time.Microsecond, 1675 * ms},          // diff 0
		{100*time.Second + 850*ms, 13350 * ms, 25154687500, cfg.MaxTimeout}, // bounded above
	} {
		h, _ := s.Next(now, 1)
		now = now.Add(c.sample)
		s.Acknowledged(now, h.Sequence)
		st := s.State()
		if st.RTT != c.rtt || st.Deviation != c.deviation || st.Timeout != c.timeout {
			t.Fatalf("sample %d: %v %v %v, want %v %v %v", i, st.RTT, st.Deviation, st.Timeout, c.rtt, c.deviation, c.timeout)
		}
	}
	s = NewSender(epoch, SenderConfig{})
	if st := s.State(); st.RTT != minRTT || st.Timeout != DefaultMinTimeout {
		t.Errorf("without processing delay %v, %v", st.RTT, st.Timeout)
	}
}

// The sample of an acknowledgement of several packets is that of the highest one.
func TestSenderSamplesTheHighest(t *testing.T) {
	s := NewSender(epoch, SenderConfig{ProcessingDelay: 200 * ms})
	send(s, epoch, 1)
	send(s, epoch.Add(time.Second), 1)
	s.Acknowledged(epoch.Add(time.Second+200*ms), 1)
	if s.State().RTT != 200*ms || s.State().Deviation != 0 {
		t.Errorf("round trip %v, deviation %v", s.State().RTT, s.State().Deviation)
	}
	// Whose sending is forgotten by now: no sample.
	send(s, epoch.Add(2*time.Second), minHistory+1)
	s.Acknowledged(epoch.Add(time.Hour), 2)
	if s.State().RTT != 200*ms || s.Counters().Acks != 2 {
		t.Errorf("round trip %v, %+v", s.State().RTT, s.Counters())
	}
}

func TestRestoreSenderRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*SenderState){
		"history":     func(s *SenderState) { s.SentAt = s.SentAt[1:] },
		"floor":       func(s *SenderState) { s.Floor = s.Unacked - 1 },
		"enforcement": func(s *SenderState) { s.Enforcement = 9 },
		"window":      func(s *SenderState) { s.Window = 0 },
		"bound":       func(s *SenderState) { s.MaxWindow++ },
	} {
		st := NewSender(epoch, enforced).State()
		if _, err := RestoreSender(enforced, st); err != nil {
			t.Fatalf("a sound state: %v", err)
		}
		spoil(&st)
		if _, err := RestoreSender(enforced, st); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEnforcementNames(t *testing.T) {
	for e, want := range map[Enforcement]string{EnforcementOff: "off", EnforcementPending: "pending", EnforcementOn: "on", 9: "enforcement 9"} {
		if e.String() != want {
			t.Errorf("%d is called %q", uint8(e), e)
		}
	}
}

func TestSenderDoesNotAllocate(t *testing.T) {
	s := NewSender(epoch, SenderConfig{Enforce: true, Window: 64})
	now := epoch
	n := uint32(0)
	if got := testing.AllocsPerRun(1000, func() {
		s.Owe(now, AckOf(n))
		s.Next(now, 1400)
		s.Acknowledged(now, n)
		s.AckDue(now)
		s.Tick(now)
		n++
	}); got != 0 {
		t.Errorf("%v allocations per packet", got)
	}
	if c := s.Counters(); c.Packets != 1001 || c.Acks != 1001 || c.Piggybacked != 1001 {
		t.Errorf("%+v", c)
	}
}

// Any mixture of sending, acknowledgements and time: the window and its invariants hold, and the state moves.
func FuzzSender(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0x40, 0, 0, 0x80, 0xC0}, uint32(0), uint16(4))
	f.Add([]byte{0, 0x41, 0xFF, 0, 0, 0, 0, 0, 0xFE, 0, 0x42}, uint32(0xFFFFFFFF), uint16(1))
	f.Fuzz(func(t *testing.T, script []byte, first uint32, window uint16) {
		cfg := SenderConfig{Enforce: true, Window: window, First: first}
		s := NewSender(epoch, cfg)
		now, next := epoch, first
		for _, op := range script {
			now = now.Add(ms)
			switch v := uint32(op & 0x3F); op >> 6 {
			case 0:
				full := s.Full()
				h, ok := s.Next(now, int(v))
				if ok == full && s.Counters().Timeouts == 0 {
					t.Fatalf("full %v, next %v", full, ok)
				}
				if ok {
					if h.Sequence != next || int(h.PayloadLength) != int(v) {
						t.Fatalf("%+v, want sequence %d", h, next)
					}
					next++
				}
			case 1:
				s.Acknowledged(now, next-v)
			case 2:
				s.Owe(now, AckOf(v))
				if h, ok := s.AckDue(now); ok && (h.Ack != v || h.HasSequence) {
					t.Fatalf("%+v for %d", h, v)
				}
			case 3:
				now = now.Add(time.Duration(v) * 50 * ms)
				s.Tick(now)
				if d := s.timeoutAt(); !d.IsZero() && !d.After(now) {
					t.Fatalf("deadline %v has passed", d)
				}
				st := s.State()
				r, err := RestoreSender(cfg, st)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(r.State(), st) {
					t.Fatalf("%+v became %+v", st, r.State())
				}
				s = r
			}
			st := s.State()
			if st.Next != next || st.Window < 1 || st.Window > max(st.MaxWindow, 1) || Before(st.Floor, st.Unacked) || Before(st.Next, st.Floor) {
				t.Fatalf("%+v, next %d", st, next)
			}
		}
	})
}

func BenchmarkSender(b *testing.B) {
	s := NewSender(epoch, SenderConfig{Enforce: true, Window: 64})
	b.ReportAllocs()
	n := uint32(0)
	for b.Loop() {
		s.Owe(epoch, AckOf(n/2))
		if _, ok := s.Next(epoch, 1400); !ok {
			b.Fatal("full")
		}
		if n%8 == 7 {
			s.Acknowledged(epoch, n)
		}
		n++
	}
}
