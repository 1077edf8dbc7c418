package fsm

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// choosy is a Negotiator for tests. It asks for option 1 with Value; it accepts option 1
// always, option 2 only with value 7, and nothing else.
type choosy struct {
	Value         byte
	Drop          bool
	Demand        bool // Nak requests that lack option 2
	seen2         bool
	naked, denied []Option
}

func (c *choosy) Request(dst []byte) []byte {
	if c.Drop {
		return dst
	}
	return AppendOption(dst, Option{1, []byte{c.Value}})
}
func (c *choosy) Begin() { c.seen2 = false }
func (c *choosy) Judge(o Option) Ruling {
	switch {
	case o.Type == 1, o.Type == 2 && bytes.Equal(o.Data, []byte{7}):
		c.seen2 = c.seen2 || o.Type == 2
		return Ruling{}
	case o.Type == 2:
		c.seen2 = true
		return Ruling{Nak, Option{2, []byte{7}}}
	}
	return Ruling{Verdict: Reject}
}
func (c *choosy) Missing(dst []byte) []byte {
	if c.Demand && !c.seen2 {
		dst = AppendOption(dst, Option{2, []byte{7}})
	}
	return dst
}
func (c *choosy) Naked(o Option) {
	c.naked = append(c.naked, o)
	if o.Type == 1 && len(o.Data) == 1 {
		c.Value = o.Data[0]
	}
}
func (c *choosy) Rejected(o Option) {
	c.denied = append(c.denied, o)
	c.Drop = true
}

func packet(code Code, id uint8, data ...byte) []byte {
	return AppendPacket(nil, Packet{code, id, data})
}

// in returns a machine that has come to state s by honest means as far as its data goes.
func in(s State, neg Negotiator) *Machine {
	return Restore(&Config{Name: "TCP", Extensions: []Code{EchoRequest}}, neg, Data{State: s, Identifier: 4, RequestID: 4,
		Request: []byte{1, 3, 9}, RequestedAt: epoch, RestartCount: 3, RestartAt: epoch.Add(3 * time.Second)})
}

// provoke makes event e happen to m.
func provoke(m *Machine, now time.Time, e Event) {
	switch e {
	case EventUp:
		m.Up(now)
	case EventDown:
		m.Down(now)
	case EventOpen:
		m.Open(now)
	case EventClose:
		m.Close(now, "bye")
	case EventTOPlus:
		m.Tick(now.Add(3 * time.Second))
	case EventTOMinus:
		m.d.RestartCount = 0
		m.Tick(now.Add(3 * time.Second))
	case EventRCRPlus:
		m.Receive(now, packet(ConfigureRequest, 9, 1, 3, 5))
	case EventRCRMinus:
		m.Receive(now, packet(ConfigureRequest, 9, 2, 3, 5))
	case EventRCA:
		m.Receive(now, packet(ConfigureAck, 4, 1, 3, 9))
	case EventRCN:
		m.Receive(now, packet(ConfigureNak, 4, 1, 3, 8))
	case EventRTR:
		m.Receive(now, packet(TerminateRequest, 9, 'x'))
	case EventRTA:
		m.Receive(now, packet(TerminateAck, 9))
	case EventRUC:
		m.Receive(now, packet(99, 9, 1, 2))
	case EventRXJPlus:
		m.Receive(now, packet(CodeReject, 9, byte(EchoRequest)))
	case EventRXJMinus:
		m.Receive(now, packet(CodeReject, 9, byte(ConfigureRequest)))
	case EventRXR:
		if p, ok := m.Receive(now, packet(EchoRequest, 9, 0, 0, 0, 0)); ok {
			m.Transmit(Packet{EchoReply, p.Identifier, p.Data}) // what the protocol does for ser
		}
	}
}

// trace is what a machine did, in the RFC's words; irc and zrc cannot be seen.
func trace(actions []Action) string {
	var out []string
	for _, a := range actions {
		switch a := a.(type) {
		case Send:
			code := Code(a.Packet[0])
			out = append(out, map[Code]string{ConfigureRequest: "scr", ConfigureAck: "sca", ConfigureNak: "scn", ConfigureReject: "scn",
				TerminateRequest: "str", TerminateAck: "sta", CodeReject: "scj", EchoReply: "ser"}[code])
		case LayerUp:
			out = append(out, "tlu")
		case LayerDown:
			out = append(out, "tld")
		case LayerStarted:
			out = append(out, "tls")
		case LayerFinished:
			out = append(out, "tlf")
		}
	}
	return strings.Join(out, ",")
}

// Every event, as it really comes, in every state: the machine does what the RFC's
// table says.
func TestMachineFollowsTheTable(t *testing.T) {
	rfc := rfcTable(t)
	for e := range events {
		for s := range states {
			t.Run(fmt.Sprintf("%v in %v", e, s), func(t *testing.T) {
				m := in(s, &choosy{Value: 9})
				provoke(m, epoch, e)
				want := rfc[e.String()][s]
				if want.next == "-" {
					want = rfcCell{"", stateNumber(s)}
				}
				var visible []string
				for _, a := range strings.Split(want.actions, ",") {
					if a != "irc" && a != "zrc" && a != "" {
						visible = append(visible, a)
					}
				}
				if got := trace(m.Actions()); got != strings.Join(visible, ",") || stateNumber(m.State()) != want.next {
					t.Errorf("%s/%s, want %s/%s", got, stateNumber(m.State()), strings.Join(visible, ","), want.next)
				}
				waiting := m.State() >= Closing && m.State() <= AckSent
				if m.Deadline().IsZero() == waiting {
					t.Errorf("deadline %v in %v", m.Deadline(), m.State())
				}
			})
		}
	}
}

// sent returns the packets among the actions.
func sent(t *testing.T, m *Machine) []Packet {
	t.Helper()
	var out []Packet
	for _, a := range m.Actions() {
		if s, ok := a.(Send); ok {
			p, err := ParsePacket(s.Packet)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
		}
	}
	return out
}

func opened(t *testing.T, neg Negotiator, timers Timers) *Machine {
	t.Helper()
	m := New(&Config{Name: "TCP", Timers: timers}, neg)
	m.Open(epoch)
	m.Up(epoch)
	return m
}

func TestRestartTimer(t *testing.T) {
	m := opened(t, &choosy{Value: 9}, Timers{Restart: time.Second, MaxConfigure: 3})
	now, count := epoch, len(sent(t, m))
	for range 10 {
		m.Tick(m.Deadline().Add(-1)) // early: nothing
		now = now.Add(time.Second)
		m.Tick(now)
		for _, a := range m.Actions() {
			if s, ok := a.(Send); ok {
				count++
				if id := s.Packet[1]; id != 1 {
					t.Errorf("retransmission has identifier %d, want 1", id)
				}
			}
			if f, ok := a.(LayerFinished); ok && f.Why != FinishSilent {
				t.Errorf("finished by %v", f.Why)
			}
		}
		if m.State() == Stopped {
			break
		}
	}
	if count != 3 || m.State() != Stopped || now != epoch.Add(3*time.Second) {
		t.Errorf("%d requests, %v after %v; want 3, Stopped after 3s", count, m.State(), now.Sub(epoch))
	}
}

func TestMaxTerminate(t *testing.T) {
	m := in(Opened, &choosy{})
	m.Close(epoch, "enough")
	count := 0
	for m.State() == Closing {
		for _, p := range sent(t, m) {
			if p.Code != TerminateRequest || string(p.Data) != "enough" {
				t.Errorf("sent %v %q", p.Code, p.Data)
			}
			count++
		}
		m.Tick(m.Deadline())
	}
	if count != DefaultMaxTerminate || m.State() != Closed {
		t.Errorf("%d Terminate-Requests, then %v", count, m.State())
	}
}

// A receiver of Terminate-Request waits one restart period, and keeps acknowledging.
func TestStoppingWaits(t *testing.T) {
	m := in(Opened, &choosy{})
	m.Receive(epoch, packet(TerminateRequest, 8))
	if m.State() != Stopping || m.Deadline() != epoch.Add(DefaultRestart) {
		t.Fatalf("%v until %v", m.State(), m.Deadline())
	}
	m.Actions()
	m.Receive(epoch.Add(time.Second), packet(TerminateRequest, 9))
	if p := sent(t, m); len(p) != 1 || p[0].Code != TerminateAck || p[0].Identifier != 9 {
		t.Errorf("answer to a repeated Terminate-Request: %v", p)
	}
	m.Tick(m.Deadline())
	a := m.Actions()
	if len(a) != 1 || a[0] != (LayerFinished{FinishPeer}) || m.State() != Stopped {
		t.Errorf("%v in %v", a, m.State())
	}
}

func TestMaxFailureTurnsNakIntoReject(t *testing.T) {
	m := opened(t, &choosy{Demand: true}, Timers{MaxFailure: 2})
	m.Actions()
	bad := packet(ConfigureRequest, 7, 2, 3, 5, 1, 3, 0)
	for i, want := range []Code{ConfigureNak, ConfigureNak, ConfigureReject, ConfigureReject} {
		m.Receive(epoch, bad)
		p := sent(t, m)
		if len(p) != 1 || p[0].Code != want {
			t.Fatalf("answer %d: %v, want %v", i, p, want)
		}
		if want == ConfigureReject && !bytes.Equal(p[0].Data, []byte{2, 3, 5}) {
			t.Errorf("reject carries %x, want the option unchanged", p[0].Data)
		}
		if want == ConfigureNak && !bytes.Equal(p[0].Data, []byte{2, 3, 7}) {
			t.Errorf("nak carries %x, want the option wanted", p[0].Data)
		}
	}
	// What is merely missing is let go.
	m.Receive(epoch, packet(ConfigureRequest, 8, 1, 3, 0))
	if p := sent(t, m); len(p) != 1 || p[0].Code != ConfigureAck || !bytes.Equal(p[0].Data, []byte{1, 3, 0}) {
		t.Errorf("answer %v", p)
	}
	// Agreement makes patient again.
	m.Receive(epoch, packet(ConfigureRequest, 9, 2, 3, 5))
	if p := sent(t, m); p[0].Code != ConfigureNak {
		t.Errorf("answer %v", p)
	}
}

func TestNaksReceivedEndAsReject(t *testing.T) {
	neg := &choosy{Value: 1}
	m := opened(t, neg, Timers{MaxFailure: 3})
	for i := range 5 {
		req := sent(t, m)
		if len(req) != 1 {
			t.Fatalf("round %d: sent %v", i, req)
		}
		if i == 3 {
			if len(req[0].Data) != 0 {
				t.Fatalf("still asks for %x", req[0].Data)
			}
			break
		}
		m.Receive(epoch, packet(ConfigureNak, req[0].Identifier, 1, 3, byte(i), 50, 2))
	}
	if len(neg.naked) != 4 || len(neg.denied) != 1 || neg.denied[0].Type != 1 {
		t.Errorf("naked %v, denied %v", neg.naked, neg.denied)
	}
}

func TestRejectBeatsNakAndKeepsOrder(t *testing.T) {
	m := in(ReqSent, &choosy{})
	m.Receive(epoch, packet(ConfigureRequest, 7, 9, 2, 2, 3, 5, 8, 4, 1, 2, 1, 3, 0, 1, 3, 1))
	p := sent(t, m)
	if len(p) != 1 || p[0].Code != ConfigureReject || !bytes.Equal(p[0].Data, []byte{9, 2, 8, 4, 1, 2, 1, 3, 1}) {
		t.Errorf("answer %v", p)
	}
}

func TestAnswersThatDoNotFit(t *testing.T) {
	for name, p := range map[string][]byte{
		"ack of another request":    packet(ConfigureAck, 3, 1, 3, 9),
		"ack that changes an octet": packet(ConfigureAck, 4, 1, 3, 8),
		"ack that lacks the option": packet(ConfigureAck, 4),
		"empty nak":                 packet(ConfigureNak, 4),
		"malformed nak":             packet(ConfigureNak, 4, 1, 9, 1),
		"empty reject":              packet(ConfigureReject, 4),
		"reject of a thing unasked": packet(ConfigureReject, 4, 2, 3, 9),
		"reject of another value":   packet(ConfigureReject, 4, 1, 3, 1),
		"malformed request":         packet(ConfigureRequest, 9, 1, 1),
		"empty code-reject":         packet(CodeReject, 9),
		"short packet":              {1, 2, 0},
		"length beyond the end":     {1, 2, 0, 9, 1, 3, 9},
		"length below the header":   {1, 2, 0, 3, 1, 3, 9},
	} {
		m := in(ReqSent, &choosy{})
		m.Receive(epoch, p)
		if a := m.Actions(); len(a) != 0 || m.State() != ReqSent || m.Discarded() != 1 {
			t.Errorf("%s: %v in %v, %d discarded", name, a, m.State(), m.Discarded())
		}
	}
}

// A second Ack for one request is a repetition by the tunnel, not a crossed connection.
func TestRepeatedAckIsHarmless(t *testing.T) {
	m := in(AckSent, &choosy{})
	ack := packet(ConfigureAck, 4, 1, 3, 9)
	m.Receive(epoch, ack)
	m.Receive(epoch, ack)
	if m.State() != Opened || m.Discarded() != 1 {
		t.Errorf("%v, %d discarded", m.State(), m.Discarded())
	}
}

func TestPaddingIsIgnored(t *testing.T) {
	m := in(AckSent, &choosy{})
	m.Receive(epoch, append(packet(ConfigureAck, 4, 1, 3, 9), 1, 2, 3))
	if m.State() != Opened {
		t.Errorf("%v", m.State())
	}
}

func TestCodeRejectIsCutToThePeersMRU(t *testing.T) {
	m := in(Opened, &choosy{})
	m.SetReplyMax(20)
	m.Receive(epoch, packet(77, 9, make([]byte, 100)...))
	p := sent(t, m)
	if len(p) != 1 || p[0].Code != CodeReject || len(p[0].Data) != 16 || p[0].Data[0] != 77 {
		t.Errorf("answer %v", p)
	}
}

// The peer's request, long after ours or after it said that it was not ready, makes us
// repeat ours soon, or at once.
func TestNudge(t *testing.T) {
	good := packet(ConfigureRequest, 9, 1, 3, 5)
	for name, c := range map[string]struct {
		after    time.Duration // our request came the peer's
		refused  bool
		want     string
		deadline time.Duration // of ours, after it was sent
	}{
		"at once":               {0, false, "sca", time.Second},
		"soon":                  {400 * time.Millisecond, false, "sca", time.Second},
		"late":                  {900 * time.Millisecond, false, "sca", 1400 * time.Millisecond},
		"just before the end":   {2900 * time.Millisecond, false, "sca", 3 * time.Second},
		"after a Terminate-Ack": {10 * time.Millisecond, true, "sca,scr", 3010 * time.Millisecond},
	} {
		m := in(ReqSent, &choosy{Value: 9})
		if c.refused {
			m.Receive(epoch, packet(TerminateAck, 4))
		}
		m.Receive(epoch.Add(c.after), good)
		if got := trace(m.Actions()); got != c.want || m.State() != AckSent || m.Deadline().Sub(epoch) != c.deadline {
			t.Errorf("%s: %s in %v until %v, want %s until %v", name, got, m.State(), m.Deadline().Sub(epoch), c.want, c.deadline)
		}
	}
	// The last try gets its full time.
	m := in(ReqSent, &choosy{Value: 9})
	m.d.RestartCount = 0
	m.Receive(epoch, good)
	if d := m.Deadline().Sub(epoch); d != 3*time.Second {
		t.Errorf("the last try ends after %v", d)
	}
}

func TestTerminatingCarriesTheText(t *testing.T) {
	m := in(Opened, &choosy{})
	m.Receive(epoch, packet(TerminateRequest, 8, []byte("go\x00away")...))
	if a := m.Actions(); a[0] != (Terminating{"go?away", Opened}) {
		t.Errorf("%v", a)
	}
}

func TestCodeRejectedIsReported(t *testing.T) {
	m := in(Opened, &choosy{})
	m.Receive(epoch, packet(CodeReject, 8, byte(Identification), 1, 0, 4))
	if a := m.Actions(); len(a) != 1 || a[0] != (CodeRejected{Identification}) || m.State() != Opened {
		t.Errorf("%v in %v", a, m.State())
	}
}

func TestProtocolRejected(t *testing.T) {
	m := in(Opened, &choosy{})
	m.Rejected(epoch, false)
	if m.State() != Opened {
		t.Errorf("permitted rejection: %v", m.State())
	}
	m.Rejected(epoch, true)
	if m.State() != Stopping {
		t.Errorf("fatal rejection: %v", m.State())
	}
}
