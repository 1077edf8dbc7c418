package hayes

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// into brings a modem into a phase.
var into = map[Phase]func(t *testing.T) *rig{
	Command: func(t *testing.T) *rig { return quiet(t, Config{}) },
	Dialing: func(t *testing.T) *rig {
		r := quiet(t, Config{})
		r.ask("ATDT5551234")
		r.did(Dial{Digits: "5551234"})
		return r
	},
	Answering: func(t *testing.T) *rig {
		r := quiet(t, Config{})
		r.m.Ring(r.now, 1, Caller{Number: "2001"})
		r.ask("ATA")
		r.did(Answer{})
		return r
	},
	Online: func(t *testing.T) *rig { return online(t, Config{}, v34) },
	Escaped: func(t *testing.T) *rig {
		r := online(t, Config{}, v34)
		r.run(2 * time.Second)
		r.send("+++")
		r.run(2 * time.Second)
		return r
	},
}

// Every event in every phase: what the client reads, what the line sees, where
// it leads.
func TestPhases(t *testing.T) {
	type cell struct {
		text    string
		actions []Action
		next    Phase
	}
	hung, lost, gone := []Action{HangUp{}}, []Action{HangUp{}, CarrierOff{DropsClient: true}}, []Action{HangUp{}, CarrierOff{}}
	connect := "\r\nCONNECT 33600\r\n"
	phases := []Phase{Command, Dialing, Answering, Online, Escaped}
	same := func(p Phase) cell { return cell{next: p} }
	fails := cell{noCarrier, hung, Command}
	for _, e := range []struct {
		name  string
		do    func(r *rig) string
		cells [5]cell
	}{
		{"ring", func(r *rig) string { r.m.Ring(r.now, 1, Caller{}); return r.run(time.Second) },
			[5]cell{{"\r\nRING\r\n", nil, Command}, same(Dialing), same(Answering), same(Online), same(Escaped)}},
		{"ring end", func(r *rig) string { r.m.RingEnd(r.now); return r.run(time.Second) },
			[5]cell{same(Command), same(Dialing), same(Answering), same(Online), same(Escaped)}},
		{"no dial tone", hear(NoDialTone),
			[5]cell{same(Command), {"\r\nNO DIALTONE\r\n", hung, Command}, same(Answering), same(Online), same(Escaped)}},
		{"busy", hear(Busy),
			[5]cell{same(Command), {"\r\nBUSY\r\n", hung, Command}, same(Answering), same(Online), same(Escaped)}},
		{"intercept", hear(Intercept), [5]cell{same(Command), fails, same(Answering), same(Online), same(Escaped)}},
		{"ringback", hear(Ringback), [5]cell{same(Command), same(Dialing), same(Answering), same(Online), same(Escaped)}},
		{"connect", func(r *rig) string { r.m.Connect(r.now, v34); return r.run(time.Second) },
			[5]cell{same(Command), {connect, nil, Online}, {connect, nil, Online}, same(Online), same(Escaped)}},
		{"fail", func(r *rig) string { r.m.Fail(r.now); return r.run(time.Second) },
			[5]cell{same(Command), fails, fails, same(Online), same(Escaped)}},
		{"goodbye", func(r *rig) string { r.m.Lose(r.now, true); return r.run(time.Second) },
			[5]cell{same(Command), fails, fails, {noCarrier, lost, Command}, {noCarrier, gone, Command}}},
		{"cut", func(r *rig) string { r.m.Lose(r.now, false); return r.run(1500 * time.Millisecond) },
			[5]cell{same(Command), fails, fails, {noCarrier, lost, Command}, {noCarrier, gone, Command}}},
		{"DTR", func(r *rig) string { r.m.SetDTR(r.now, false); return r.run(time.Second) },
			[5]cell{same(Command), fails, fails, {noCarrier, gone, Command}, {noCarrier, gone, Command}}},
		{"S7", func(r *rig) string { return r.run(time.Minute) },
			[5]cell{same(Command), fails, fails, same(Online), same(Escaped)}},
		{"a key", func(r *rig) string { return r.send("x") + r.run(time.Second) },
			[5]cell{same(Command), fails, fails, same(Online), same(Escaped)}},
		{"a line feed", func(r *rig) string { return r.send("\n") + r.run(time.Second) },
			[5]cell{same(Command), same(Dialing), same(Answering), same(Online), same(Escaped)}},
		{"escape", func(r *rig) string { r.run(2 * time.Second); return r.send("+++") + r.run(2*time.Second) },
			[5]cell{same(Command), fails, fails, {ok, nil, Escaped}, same(Escaped)}},
		{"ATH", ask("ATH"), [5]cell{{ok, nil, Command}, fails, fails, same(Online), {ok, gone, Command}}},
		{"ATZ", ask("ATZE0"), [5]cell{{ok, nil, Command}, fails, fails, same(Online), {ok, gone, Command}}},
		{"ATO", ask("ATO"), [5]cell{{noCarrier, nil, Command}, fails, fails, same(Online), {connect, nil, Online}}},
		{"ATA", ask("ATA"), [5]cell{{"", []Action{Answer{}}, Answering}, fails, fails, same(Online), {bad, nil, Escaped}}},
		{"ATD", ask("ATD2"), [5]cell{{"", []Action{Dial{Digits: "2"}}, Dialing}, fails, fails, same(Online), {bad, nil, Escaped}}},
	} {
		for i, p := range phases {
			t.Run(fmt.Sprint(e.name, " ", p), func(t *testing.T) {
				r := into[p](t)
				if r.m.Phase() != p {
					t.Fatalf("in %v, not %v", r.m.Phase(), p)
				}
				r.actions = nil
				want := e.cells[i]
				text := e.do(r)
				if strings.HasPrefix(e.name, "AT") && p == Dialing || e.name == "escape" && (p == Dialing || p == Answering) {
					text = noCarrier[:min(len(text), len(noCarrier))] // the first key ended it; the rest is a command of its own
					if r.m.Phase() != Command && p != Dialing && p != Answering {
						t.Error("not back in command state")
					}
				}
				if text != want.text {
					t.Errorf("client reads %q, want %q", text, want.text)
				}
				r.did(want.actions...)
				if r.m.Phase() != want.next {
					t.Errorf("then %v, want %v", r.m.Phase(), want.next)
				}
			})
		}
	}
}

func hear(tone Tone) func(r *rig) string {
	return func(r *rig) string { r.m.Hear(r.now, tone); return r.run(time.Second) }
}

func ask(line string) func(r *rig) string { return func(r *rig) string { return r.ask(line) } }

func TestDialStrings(t *testing.T) {
	for _, c := range []struct {
		dial   string
		digits string
		after  time.Duration
	}{
		{"T5551234", "5551234", 100 * time.Millisecond},
		{"P 555-12 34", "5551234", 100 * time.Millisecond},
		{"t9,,(0)12", "9012", 4100 * time.Millisecond},
		{"T9W123", "9123", 200 * time.Millisecond},
		{"T*67#1A!2/3@", "*67#1A23", 725 * time.Millisecond},
		{"", "", 100 * time.Millisecond},
		{"S=1", "777", 100 * time.Millisecond},
		{"L", "42", 100 * time.Millisecond},
	} {
		t.Run(c.dial, func(t *testing.T) {
			r := quiet(t, Config{ReplyDelay: -1})
			r.ask("AT&Z1=777")
			r.ask("ATD42")
			r.send("x")
			r.run(time.Second)
			r.did(Dial{Digits: "42"}, HangUp{})
			r.send("ATD" + c.dial + "\r")
			r.run(c.after - time.Millisecond)
			r.did()
			r.run(time.Millisecond)
			r.did(Dial{Digits: c.digits})
		})
	}
}

// A semicolon keeps the line and the command state; the digits go on later.
func TestDialInParts(t *testing.T) {
	r := quiet(t, Config{})
	r.want("ATDT555;", ok)
	r.did(Answer{})
	r.want("ATDT12;S7?", "\r\n050\r\n"+ok)
	r.did()
	r.want("ATD34", "")
	r.did(Dial{Digits: "5551234"})
	r.send("x")
	r.run(time.Second)
	r.want("ATD9", "")
	r.did(HangUp{}, Dial{Digits: "9"})
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		setup string
		tone  Tone
		want  string
		after time.Duration // zero: at once
	}{
		{"X4", NoDialTone, "NO DIALTONE", 0}, {"X2", NoDialTone, "NO DIALTONE", 0}, {"X3", NoDialTone, "NO CARRIER", 50},
		{"X0", NoDialTone, "NO CARRIER", 50}, {"X4", Busy, "BUSY", 0}, {"X3", Busy, "BUSY", 0}, {"X2", Busy, "NO CARRIER", 50},
		{"X4", Ringback, "NO ANSWER", 50}, {"X1", Ringback, "NO CARRIER", 50}, {"X4S7=5", Ringback, "NO ANSWER", 5},
		{"X4", 0, "NO CARRIER", 50}, {"X0", Intercept, "NO CARRIER", 0}, {"V0", Busy, "7", 0}, {"V0", NoDialTone, "6", 0}, {"V0", Ringback, "8", 50},
	} {
		t.Run(c.setup+" "+c.want, func(t *testing.T) {
			r := quiet(t, Config{ReplyDelay: -1, DialTone: -1})
			r.ask("AT" + c.setup)
			r.send("ATDT1\r")
			want := "\r\n" + c.want + "\r\n"
			if c.setup == "V0" {
				want = c.want + "\r"
			}
			got := r.run(0)
			if c.tone != 0 {
				r.m.Hear(r.now, c.tone)
			}
			if c.after > 0 {
				if got += r.run(c.after*time.Second - time.Millisecond); got != "" {
					t.Errorf("%q too early", got)
				}
			}
			if got += r.run(10 * time.Millisecond); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	r := quiet(t, Config{})
	r.ask("ATX1DT1@")
	r.m.Hear(r.now, Ringback)
	if got := r.run(time.Minute); got != "\r\nNO ANSWER\r\n" {
		t.Errorf("with @: %q", got)
	}
}

func TestConnectForms(t *testing.T) {
	plain := Link{Transmit: 14400, Receive: 14400, Modulation: "V32B"}
	odd := Link{Transmit: 31200, Receive: 49333, ErrorControl: true, Compression: true, Modulation: "V90"}
	free := Link{ErrorControl: true, Modulation: "FAST"}
	for _, c := range []struct {
		setup string
		link  Link
		want  string
	}{
		{"", v34, "CONNECT 33600"},
		{"X0", v34, "CONNECT"},
		{"W0", v34, "CONNECT 57600"},
		{"W1", v34, "CARRIER 33600|PROTOCOL: LAPM|COMPRESSION: NONE|CONNECT 57600"},
		{"W2", plain, "CONNECT 14400"},
		{"S95=46", v34, "CARRIER 33600|PROTOCOL: LAPM|COMPRESSION: NONE|CONNECT 33600/ARQ"},
		{"W0S95=3", v34, "CONNECT 33600/ARQ"},
		{`\V1`, odd, "CONNECT 57600/V90/LAPM/V42BIS/31200:TX/49333:RX"},
		{`\V1`, plain, "CONNECT 57600/V32B/NONE/NONE/14400:TX/14400:RX"},
		{"&A3", odd, "CONNECT 49333/ARQ/V90/LAPM/V42BIS"},
		{"&A3", plain, "CONNECT 14400/NONE/V32B"},
		{"&A2", v34, "CONNECT 33600/ARQ/V34"},
		{"&A1", v34, "CONNECT 33600/ARQ"},
		{"+MR=1;+ER=1;+DR=1;+ILRR=1", v34, "+MCR: V34|+MRR: 31200,33600|+ER: LAPM|+DR: NONE|+ILRR: 57600|CONNECT 33600"},
		{"+DR=1", odd, "+DR: V42B|CONNECT 49333"},
		{"", free, "CARRIER 57600|CONNECT 57600"},
		{"+MR=1", free, "+MCR: FAST|+MRR: 57600,57600|CARRIER 57600|CONNECT 57600"},
		{"V0", v34, "84"}, {"V0", plain, "15"}, {"V0W0", v34, "18"}, {"V0", odd, "1"}, {"V0X0", v34, "1"},
		{"Q1", v34, ""}, {"Q2", v34, "CONNECT 33600"},
	} {
		t.Run(c.setup+" "+c.want, func(t *testing.T) {
			r := quiet(t, Config{})
			r.m.SetSpeed(57600)
			r.ask("AT" + c.setup)
			r.ask("ATDT1")
			r.m.Connect(r.now, c.link)
			want := ""
			for _, l := range strings.Split(c.want, "|") {
				if strings.HasPrefix(c.setup, "V0") {
					want = l + "\r"
				} else if l != "" {
					want += "\r\n" + l + "\r\n"
				}
			}
			if got := r.run(time.Second); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	r := quiet(t, Config{})
	r.ask("ATQ2")
	r.m.Ring(r.now, 1, Caller{})
	r.ask("ATA")
	r.m.Connect(r.now, v34)
	if got := r.run(time.Second); got != "" {
		t.Errorf("Q2 says %q to an answering client", got)
	}
}

func TestRinging(t *testing.T) {
	who := Caller{Number: "2001", Name: "PHONE 1", Dialed: "1000"}
	date := "DATE=1121|TIME=1405|"
	for _, c := range []struct {
		setup string
		who   Caller
		want  string
	}{
		{"", who, "RING"},
		{"+VCID=1", who, "RING|" + date + "NMBR=2001|NAME=PHONE 1"},
		{"#CID=1", who, "RING|DATE = 1121|TIME = 1405|NMBR = 2001|NAME = PHONE 1"},
		{"+VCID=1", Caller{Number: "P"}, "RING|" + date + "NMBR=P"},
		{"+VCID=1", Caller{}, "RING|" + date + "NMBR=O"},
		{"#CID=2", who, "RING|MESG = 8019010831313231313430350204323030310707" + "50484F4E452031" + "2D"},
		{"+VCID=2", Caller{}, "RING|MESG=800D0108313132313134303504014F87"},
		{"+VCID=2", Caller{Number: "P"}, "RING|MESG=800D0108313132313134303504" + "015086"},
		{"+VDR=1,0", who, "RING|DROF=0|DRON=20"},
	} {
		t.Run(c.setup, func(t *testing.T) {
			r := quiet(t, Config{})
			r.ask("AT" + c.setup)
			r.m.Ring(r.now, 1, c.who)
			got := r.run(5 * time.Second)
			want := ""
			for _, l := range strings.Split(c.want, "|") {
				want += "\r\n" + l + "\r\n"
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if strings.Contains(c.setup, "VDR") {
				return
			}
			r.m.Ring(r.now, 2, c.who)
			if got := r.run(5 * time.Second); got != "\r\nRING\r\n" {
				t.Errorf("second ring: %q", got)
			}
		})
	}
	r := quiet(t, Config{})
	r.ask("AT+VCID=1")
	r.m.Ring(r.now, 1, who)
	if got := r.run(400 * time.Millisecond); got != "\r\nRING\r\n" {
		t.Errorf("got %q before the caller ID", got)
	}
	r.m.RingEnd(r.now)
	if got := r.run(time.Second); got != "" {
		t.Errorf("caller ID %q after the caller gave up", got)
	}
	r.want("AT+VRID=0", "\r\nDATE=1121\r\n\r\nTIME=1405\r\n\r\nNMBR=2001\r\n\r\nNAME=PHONE 1\r\n"+ok)
	r.want("ATS1?", "\r\n001\r\n"+ok)
	r.run(8 * time.Second)
	r.want("ATS1?", "\r\n000\r\n"+ok)
}

func TestAutoAnswer(t *testing.T) {
	r := quiet(t, Config{})
	r.ask("ATS0=2")
	r.m.Ring(r.now, 1, Caller{})
	r.run(6 * time.Second)
	r.did()
	r.m.Ring(r.now, 2, Caller{})
	r.did(Answer{})
	if seeking, answering := r.m.Training(); !seeking || !answering {
		t.Error("does not answer")
	}
	for _, c := range []struct {
		setup string
		want  []Action
	}{{"ATS0=1&D2", nil}, {"ATS0=1&D0", []Action{Answer{}}}} { // without DTR only if DTR does not matter
		r := quiet(t, Config{})
		r.ask(c.setup)
		r.m.SetDTR(r.now, false)
		r.run(time.Second)
		r.m.Ring(r.now, 1, Caller{})
		r.did(c.want...)
	}
}

func TestDTR(t *testing.T) {
	gone := []Action{HangUp{}, CarrierOff{}}
	for _, c := range []struct {
		setup string
		low   time.Duration
		want  []Action
		next  Phase
		s7    string
	}{
		{"&D2", time.Second, gone, Command, "060"},
		{"&D3", time.Second, gone, Command, "050"},
		{"&D1", time.Second, nil, Escaped, "060"},
		{"&D0", time.Second, nil, Online, ""},
		{"&D2", 40 * time.Millisecond, nil, Online, ""}, // shorter than S25
		{"&D2S25=200", time.Second, nil, Online, ""},
	} {
		t.Run(c.setup, func(t *testing.T) {
			r := quiet(t, Config{})
			r.ask("ATS7=60" + c.setup)
			r.ask("ATDT1")
			r.m.Connect(r.now, v34)
			r.run(time.Second)
			r.actions = nil
			r.m.SetDTR(r.now, false)
			r.run(c.low)
			r.m.SetDTR(r.now, true)
			r.run(time.Second)
			r.did(c.want...)
			if r.m.Phase() != c.next {
				t.Fatalf("then %v, want %v", r.m.Phase(), c.next)
			}
			if c.s7 != "" && !strings.Contains(r.ask("ATS7?"), c.s7) {
				t.Errorf("S7 is not %s", c.s7)
			}
		})
	}
}

func TestLoseCarrier(t *testing.T) {
	for _, c := range []struct {
		setup string
		ec    bool
		bye   bool
		after time.Duration // until NO CARRIER; zero: never
		drops bool
	}{
		{"", true, true, time.Nanosecond, true},
		{"", false, true, 1400 * time.Millisecond, true}, // without error control there is no goodbye
		{"", true, false, 1400 * time.Millisecond, true},
		{"S10=50", true, false, 5 * time.Second, true},
		{"S10=255", true, false, 0, false},
		{"&C0", true, true, time.Nanosecond, false},
	} {
		t.Run(fmt.Sprint(c.setup, c.ec, c.bye), func(t *testing.T) {
			r := quiet(t, Config{})
			r.ask("AT" + c.setup)
			r.ask("ATDT1")
			l := v34
			l.ErrorControl = c.ec
			r.m.Connect(r.now, l)
			r.run(time.Second)
			r.actions = nil
			if n := r.m.FromLine(r.now, []byte("last words")); n != 10 {
				t.Fatal("took", n)
			}
			r.m.Lose(r.now, c.bye)
			got := r.run(max(c.after-time.Millisecond, 20*time.Millisecond))
			if c.after > time.Second {
				if got != "last words" {
					t.Errorf("before S10: %q", got)
				}
				got += r.run(20 * time.Millisecond)
			}
			if c.after == 0 {
				r.run(time.Hour)
				r.did()
				return
			}
			if want := "last words" + noCarrier; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			r.did(HangUp{}, CarrierOff{DropsClient: c.drops})
		})
	}
}

func TestOffers(t *testing.T) {
	for line, want := range map[string]Offer{
		"AT":                            {},
		`AT\N0`:                         {EC: ECOff},
		`AT\N2`:                         {EC: ECRequired},
		"AT&Q5":                         {EC: ECAuto},
		"AT&M5":                         {EC: ECRequired},
		"AT+ES=1,0":                     {EC: ECOff},
		"AT+ES=3,2,4":                   {EC: ECRequired},
		"AT%C3":                         {Compression: true},
		"AT+DS=3":                       {Compression: true},
		"AT%C1+DS=0":                    {},
		"AT+MS=V34,1":                   {MaxTransmit: 33600, MaxReceive: 33600},
		"AT+MS=V34,1,0,26400,0,26400":   {MaxTransmit: 26400, MaxReceive: 26400},
		"AT+MS=V32B,1,9600,14400":       {MaxTransmit: 14400, MaxReceive: 14400, MinTransmit: 9600, MinReceive: 9600},
		"AT+MS=V90,1,0,31200,300,50000": {MaxTransmit: 31200, MaxReceive: 50000, MinReceive: 300},
		"AT+MS=56,1,300,56000":          {MaxTransmit: 56000, MaxReceive: 56000, MinTransmit: 300, MinReceive: 300},
	} {
		r := quiet(t, Config{})
		r.want(line, ok)
		if got := r.m.Offer(); got != want {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
	}
}

func TestLastCall(t *testing.T) {
	r := online(t, Config{}, v34)
	r.send("hello")
	r.run(time.Second)
	r.m.Sent(r.now, len(r.m.ToLine()))
	r.m.FromLine(r.now, []byte("you too"))
	r.run(time.Second)
	r.m.Lose(r.now, true)
	r.run(time.Second)
	want := ""
	for _, l := range []string{"Last call ORIGINATE", "Line speed TX/RX 31200/33600", "Modulation V34 protocol LAPM",
		"Octets sent 5 received 7", "Duration 2 s", "Ended: the other side hung up"} {
		want += "\r\n" + l + "\r\n"
	}
	for _, line := range []string{"ATI6", "ATI11", "AT#UD"} {
		r.want(line, want+ok)
	}
}
