package hayes

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/hdlc"
)

var (
	elsa = Config{Adapter: ELSA}
	i4l  = Config{Adapter: ISDN4Linux}
)

// framed is a result code as it is told in V1.
func framed(lines ...string) string { return "\r\n" + strings.Join(lines, "\r\n\r\n") + "\r\n" }

// What rings, and what connects, in each dialect.
func TestAdapterTellsCalls(t *testing.T) {
	from := Caller{Number: "5001", Dialed: "4001", Subaddress: "7"}
	for _, c := range []struct {
		cfg         Config
		setup       string
		first, next string // the first rings
		link        Link
		connect     string
	}{
		{elsa, "", framed("RING"), framed("RING"), Link{Receive: 64000, Modulation: "HDLC"}, framed("CONNECT 64000/ISDN/HDLC")},
		{elsa, "S153=6", framed("RING;5001;4001/7"), framed("RING;5001;4001/7"), Link{Receive: 64000, Modulation: "X.75"}, framed("CONNECT 64000/ISDN/X75;5001")},
		{elsa, "S153=2", framed("RING;5001"), framed("RING;5001"), Link{Receive: 38400, Modulation: "V110"}, framed("CONNECT 38400/ISDN/V110;5001")},
		{elsa, "S153=4V0", "2\r", "2\r", Link{Receive: 64000, Modulation: "HDLC"}, "221\r"},
		{elsa, "X0", framed("RING"), framed("RING"), Link{Receive: 64000, Modulation: "HDLC"}, framed("CONNECT")},
		{i4l, "", framed("CALLER NUMBER: 5001", "RING"), framed("CALLER NUMBER: 5001", "RING"), Link{Receive: 64000, Modulation: "X.75"}, framed("CONNECT 64000/X.75")},
		{i4l, "S13.4=1S23=5", framed("RING/4001", "CALLER NUMBER: 5001", "CALLED NUMBER: 4001"), framed("RING/4001"),
			Link{Receive: 64000, Modulation: "HDLC"}, framed("CONNECT 64000/HDLC")},
		{i4l, "V0", "2\r", "2\r", Link{Receive: 19200, Modulation: "V110"}, "5\r"},
	} {
		r := quiet(t, c.cfg)
		r.ask("AT" + c.setup)
		for burst, want := range []string{c.first, c.next} {
			r.m.Ring(r.now, burst+1, from)
			if got := r.run(time.Second); got != want {
				t.Errorf("%d %s: ring %d is %q, want %q", c.cfg.Adapter, c.setup, burst+1, got, want)
			}
		}
		r.ask("ATA")
		r.did(Answer{})
		r.m.Connect(r.now, c.link)
		if got := r.run(time.Second); got != c.connect {
			t.Errorf("%d %s: %q, want %q", c.cfg.Adapter, c.setup, got, c.connect)
		}
	}
}

// An adapter answers nothing that does not ring, also when the caller has given up.
func TestAdapterAnswersWhatRings(t *testing.T) {
	quiet(t, elsa).want("ATA", noCarrier)
	r := quiet(t, i4l)
	r.want("ATA", framed("NO ANSWER"))
	r.ask("ATS13.6=1")
	for burst, want := range []string{framed("CALLER NUMBER: ", "RING"), "", ""} { // RUNG takes the place of further ones
		r.m.Ring(r.now, burst+1, Caller{Dialed: "4001"})
		if got := r.run(6 * time.Second); got != want {
			t.Errorf("ring %d: %q, want %q", burst+1, got, want)
		}
	}
	r.m.RingEnd(r.now)
	if got := r.run(time.Second); got != framed("RUNG") {
		t.Errorf("the caller gave up: %q", got)
	}
	r.want("ATA", framed("NO ANSWER"))
	r.did()
}

// isdn4linux takes the calls that &E and &L name.
func TestAdapterListens(t *testing.T) {
	for setup, takes := range map[string]string{
		"": "4001 4002 5999", "&E4001": "4001", "&E4001&L4002": "4002", "&L400[12];5*": "4001 4002 5999", "&L400?;5*": "4001 4002 5999", "&L*": "4001 4002 5999", "&E1": "",
	} {
		r := quiet(t, i4l)
		r.want("AT"+setup, ok)
		for _, dialed := range []string{"4001", "4002", "5999"} {
			r.m.Ring(r.now, 1, Caller{Dialed: dialed})
			if rang := strings.Contains(r.run(time.Second), "RING"); rang != strings.Contains(takes, dialed) {
				t.Errorf("%q: a call for %s rings: %v", setup, dialed, rang)
			}
			r.m.RingEnd(r.now)
			r.run(10 * time.Second)
		}
	}
}

// Why a call fails is told in the form of the dialect.
func TestAdapterCauses(t *testing.T) {
	for _, c := range []struct {
		cause      uint8
		elsa, i4l  string
		plainLinux string // without S13.3
	}{
		{1, "NO CARRIER;1", "NO CARRIER/E0001", "NO CARRIER"}, {17, "BUSY;17", "BUSY/E0011", "BUSY"},
		{18, "NO ANSWER;18", "NO ANSWER/E0012", "NO ANSWER"}, {34, "NO DIALTONE;34", "NO DIALTONE/E0022", "NO DIALTONE"},
		{65, "NO CARRIER;65", "NO CARRIER/E0041", "NO CARRIER"},
	} {
		for _, d := range []struct {
			cfg         Config
			setup, want string
		}{{elsa, "", c.elsa}, {i4l, "S13.3=1", c.i4l}, {i4l, "", c.plainLinux}} {
			r := quiet(t, d.cfg)
			r.ask("AT" + d.setup)
			r.ask("ATD1")
			r.m.Refused(r.now, Intercept, c.cause)
			if got := r.run(time.Second); got != framed(d.want) {
				t.Errorf("%d: %q, want %q", c.cause, got, d.want)
			}
			r.did(Dial{Digits: "1"}, HangUp{})
		}
	}
	r := quiet(t, elsa)
	r.ask("ATS7=5")
	r.ask("ATD1/7")
	r.did(Dial{Digits: "1/7"})
	r.m.Hear(r.now, Ringback)
	if got := r.run(10 * time.Second); got != framed("NO ANSWER;18") {
		t.Errorf("nobody answers: %q", got)
	}
	r.ask("ATD1")
	r.m.Fail(r.now)
	if got := r.run(time.Second); got != framed("NO CARRIER;88") {
		t.Errorf("another protocol: %q", got)
	}
}

// And why it is over.
func TestAdapterCleared(t *testing.T) {
	for _, c := range []struct {
		cfg     Config
		setup   string
		orderly bool
		want    string
	}{
		{elsa, "", true, "NO CARRIER;16"}, {elsa, "", false, "NO CARRIER;41"}, {elsa, "X0", true, "NO CARRIER"},
		{i4l, "S13.3=1", true, "NO CARRIER/E0010"}, {i4l, "S13.3=1", false, "NO CARRIER/E0029"}, {i4l, "", true, "NO CARRIER"},
	} {
		r := quiet(t, c.cfg)
		r.ask("AT" + c.setup)
		r.m.Ring(r.now, 1, Caller{})
		r.run(time.Second)
		r.ask("ATA")
		r.m.Connect(r.now, Link{Transmit: 64000, Receive: 64000, Modulation: "X.75", ErrorControl: true})
		r.run(time.Second)
		r.m.Lose(r.now, c.orderly)
		if got := r.run(time.Second); got != framed(c.want) {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestAdapterProtocols(t *testing.T) {
	for _, c := range []struct {
		cfg   Config
		setup string
		want  Protocol
	}{
		{elsa, "", Protocol{Name: "HDLC", Rate: 64000, Convert: true}},
		{elsa, "$IBP=HDLC", Protocol{Name: "HDLC", Rate: 64000}},
		{elsa, "$IBP=x75", Protocol{Name: "X.75", Rate: 64000, ErrorControl: true}},
		{elsa, "$IBP=V120", Protocol{Name: "V120", Rate: 64000, ErrorControl: true}},
		{i4l, "", Protocol{Name: "X.75", Rate: 64000, ErrorControl: true}},
		{i4l, "S14=3", Protocol{Name: "HDLC", Rate: 64000}},
		{i4l, "S14=8", Protocol{Name: "V110", Rate: 19200}},
		{i4l, "&R9600", Protocol{Name: "V110", Rate: 9600}},
		{i4l, "&R38400&R0", Protocol{Name: "X.75", Rate: 64000, ErrorControl: true}},
		{i4l, "S14=99", Protocol{}},
		{Config{}, "", Protocol{}},
	} {
		r := quiet(t, c.cfg)
		r.want("AT"+c.setup, ok)
		if got, known := r.m.Protocol(); got != c.want || known != (c.want != Protocol{}) {
			t.Errorf("%d %s: %+v, want %+v", c.cfg.Adapter, c.setup, got, c.want)
		}
	}
	quiet(t, i4l).want("AT&R300", bad)
	r := quiet(t, elsa)
	r.want("AT$IBP=TELEX", bad)
	r.want("AT$IBP=V120;$IBP?", framed("V120", "OK"))
	r.want("AT&FE0$IBP?", framed("HDLCP", "OK"))
	r.want("ATI3", framed("ELSA MicroLink ISDN (virtual)", "OK"))
}

// The conversion sends whole frames with good FCS only, and escapes all control
// characters, whatever the client did; frames may come in any pieces.
func TestAdapterConverts(t *testing.T) {
	r := online(t, elsa, Link{Transmit: 64000, Receive: 64000, Modulation: "HDLC", Convert: true})
	body := []byte{0xff, 0x03, 0x00, 0x21, 0x01, 0x02, 0x11, 0x7e, 0x7d, 0x13}
	plain := hdlc.AppendFrame(nil, body, 0) // no control character is escaped
	damaged := bytes.Clone(plain)
	damaged[5] ^= 0x40
	r.send("login:" + string(damaged) + string(plain[:4]))
	if got := r.m.ToLine(); len(got) != 0 {
		t.Fatalf("on the line before a frame is complete: %q", got)
	}
	for range 5 { // the rig moves the modem into a fresh one meanwhile
		r.run(time.Second)
	}
	r.send(string(plain[4:]))
	r.run(time.Second)
	got, want := r.m.ToLine(), hdlc.AppendFrame(nil, body, hdlc.DefaultACCM)
	if !bytes.Equal(got, want) || bytes.Equal(want, plain) {
		t.Errorf("on the line %x, want %x", got, want)
	}
}
