package hayes

import (
	"strings"
	"testing"
	"time"
)

func TestEchoAndTyping(t *testing.T) {
	for _, c := range []struct{ name, send, want string }{
		{"echo", "AT\r", "AT\r" + ok},
		{"lower case", "at\r", "at\r" + ok},
		{"nothing", "\r\r\r\r\r", ""},
		{"line feed after it", "AT\r\n", "AT\r" + ok},
		{"junk before", "xyzAAT\r", "AT\r" + ok},
		{"A without T", "AxAT\r", "AT\r" + ok},
		{"backspace", "ATX9\b4\r", "ATX9\b \b4\r" + ok},
		{"backspace too far", "AT\b\b\bV1\r", "ATV1\r" + ok},
		{"delete", "ATQ9\x7f0\r", "ATQ9\b \b0\r" + ok},
		{"parity bit", "\xc1\xd4\x8d", "AT\r" + ok},
		{"again", "ATS7?\rA/", "ATS7?\r\r\n050\r\n" + ok + "A/" + "\r\n050\r\n" + ok},
		{"two lines at once", "ATE0\rATI0\r", "ATE0\r" + ok + "\r\n33600\r\n" + ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Config{})
			if got := r.send(c.send) + r.run(time.Second); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			// octet by octet gives the same
			r = newRig(t, Config{})
			got := ""
			for i := range len(c.send) {
				got += r.send(c.send[i:i+1]) + r.run(30*time.Millisecond)
			}
			if got += r.run(time.Second); got != c.want {
				t.Errorf("one by one: got %q, want %q", got, c.want)
			}
		})
	}
}

func TestReplyDelay(t *testing.T) {
	r := quiet(t, Config{ReplyDelay: 200 * time.Millisecond})
	r.send("AT\r")
	if got := r.run(199 * time.Millisecond); got != "" {
		t.Errorf("%q before its time", got)
	}
	if got := r.run(2 * time.Millisecond); got == "" {
		t.Error("no reply")
	}
	r = quiet(t, Config{ReplyDelay: -1, Unpaced: true})
	if r.send("AT\r"); string(r.output()) != ok {
		t.Error("no reply at once")
	}
}

func TestLongLine(t *testing.T) {
	r := quiet(t, Config{})
	r.want("AT"+strings.Repeat("E0", 127)+"E", ok)
	r.want("AT"+strings.Repeat("E0", 128), bad)
	r.want("AT", ok)
}

func TestCommands(t *testing.T) {
	for _, c := range []struct{ line, permissive, strict string }{
		{"ATQ0V1E0S0=0&C1&D2+FCLASS=0", ok, ok},
		{"AT E0 V1 &D2 &C1 S0 = 0", ok, ok},
		{"AT&F1E0Q0V1&C1&D2S0=0", ok, ok},
		{"ATE0Q0V1X4W2&C1&D2&K3", ok, ok},
		{`AT&FE0\N3%C3`, ok, ok},
		{`AT&D2&S0X4%C1\J0\N7\Q3\V1\T0`, ok, ok},
		{"ATS7=60S30=0L0M1&Q5S36=7S48=7S46=138&K3", ok, ok},
		{"ATS7=60S19=0M1&M4&K1&H1&R2&I0B0X4", ok, bad},
		{"AT+MR=1;+ER=1;+DR=1", ok, ok},
		{"ATE0+MR=1;+ER=1;+DR=1;S0=0", ok, ok},
		{"AT+FCLASS=0 S7=2", ok, bad}, {"AT+VCID=1S0=0", ok, bad}, {"AT+ES=3,0,2;S7=60", ok, ok},
		{"AT+MS=V34,1", ok, ok},
		{"AT+MS=v32b,1,14400,14400,14400,14400", ok, ok},
		{"AT+MS=MORSE", bad, bad},
		{"AT+MS=V34,fast", bad, bad},
		{"ATS2=128", ok, ok}, {"ATS2=256", bad, bad}, {"ATS2=x", bad, bad}, {"ATS256=1", bad, bad},
		{"ATE2", bad, bad}, {"ATV2", bad, bad}, {"ATQ3", bad, bad}, {"ATW3", bad, bad}, {"ATX5", ok, bad}, {"ATX8", bad, bad},
		{"AT&C2", bad, bad}, {"AT&D4", bad, bad}, {"AT&K9", ok, bad}, {"AT&W2", bad, bad}, {"AT&Y3", bad, bad}, {"ATZ2", bad, bad},
		{"ATH2", bad, bad}, {"ATI77", ok, bad}, {`AT\V9`, bad, bad}, {"AT%C4", bad, bad}, {"ATO4", bad, bad},
		{"AT+FCLASS=8", bad, bad}, {"AT+FCLASS=1", bad, bad}, {"AT#CLS=8", bad, bad}, {"AT+VCID=3", bad, bad},
		{"AT+ES=3,0,2", ok, ok}, {"AT+ES=9", bad, bad}, {"AT+DS=3,0", ok, ok}, {"AT+IFC=2,2", ok, ok}, {"AT+IFC=7,7", bad, bad},
		{"AT*V2=5", ok, bad}, {"AT$IBP=HDLCP", ok, bad}, {"AT@B0=1", ok, bad}, {"AT-SDR=7", ok, ok}, {"AT%A2=95", ok, ok},
		{`AT\N10%P1`, ok, bad}, {"ATU", ok, bad}, {"AT+NOPE=1", ok, bad}, {"AT)M1", ok, bad}, {`AT"`, ok, bad},
		{"ATJUNK", ok, bad}, {"ATS13.0=1", ok, ok}, {"ATS13.9=1", bad, bad}, {"ATS13.0=2", bad, bad},
		{"AT&Z0=555-1234,,W;9", ok, ok}, {"AT&Z4=1", bad, bad},
		{"AT+GMI=1", bad, bad},
	} {
		quiet(t, Config{}).want(c.line, c.permissive)
		quiet(t, Config{Strict: true}).want(c.line, c.strict)
	}
}

func TestErrorEndsTheLine(t *testing.T) {
	r := quiet(t, Config{})
	r.want("ATS7=60V7S8=9", bad)
	r.want("ATS7?S8?", "\r\n060\r\n\r\n002\r\n"+ok)
}

func TestRegisters(t *testing.T) {
	r := quiet(t, Config{})
	r.want("ATS7=75", ok)
	r.want("ATS7?", "\r\n075\r\n"+ok)
	r.want("ATS10", ok)
	r.want("AT=30", ok)
	r.want("AT?", "\r\n030\r\n"+ok)
	r.want("ATS13=128S13.0=1S13.7=0S13?", "\r\n001\r\n"+ok)
	r.want("ATS13.0?S13.7?", "\r\n1\r\n\r\n0\r\n"+ok)
	r.want("ATS3=33S4=46", "!.OK!.")
	if got := r.send("ATS7?!") + r.run(time.Second); got != "!.075!.!.OK!." {
		t.Errorf("other CR and LF: %q", got)
	}
}

func TestNumericAndQuiet(t *testing.T) {
	r := quiet(t, Config{})
	r.want("ATV0", "0\r")
	r.want("ATV7", "4\r")
	r.want("ATS7?", "050\r\n0\r")
	r.want("ATQ1", "")
	r.want("ATV7", "")
	r.want("ATQ0V1", ok)
}

func TestProfiles(t *testing.T) {
	r := quiet(t, Config{})
	r.want("ATS7=60X1+MR=1;&W", ok)
	r.want("ATS7=61X2+MR=0;&W1", ok)
	r.want("AT&F E0 S7?", "\r\n050\r\n"+ok)
	r.want("ATZ0", ok)
	r.want("ATS7?+MR?", "\r\n060\r\n\r\n+MR: 1\r\n"+ok)
	r.want("ATZ1", ok)
	r.want("ATS7?+MR?", "\r\n061\r\n\r\n+MR: 0\r\n"+ok)
	r.want("AT&Y1Z", ok)
	r.want("ATS7?", "\r\n061\r\n"+ok)
	if got := r.ask("AT&V"); !strings.Contains(got, "ACTIVE PROFILE:") || !strings.Contains(got, "S07:061") ||
		!strings.Contains(got, "S07:060") || !strings.HasSuffix(got, ok) {
		t.Errorf("AT&V: %q", got)
	}
	r.want("AT&Z2=5551234", ok)
	r.want("AT&Z2?", "\r\n5551234\r\n"+ok)
}

func TestQueries(t *testing.T) {
	r := quiet(t, Config{Identity: Identity{Manufacturer: "ACME", Model: "Racer", Revision: "1", Info: []string{"33600", "", "ok"}}})
	for line, text := range map[string]string{
		"AT+GMI": "ACME", "AT+GMM": "Racer", "AT+GMR": "1", "AT+FMM": "Racer", "ATI": "33600", "ATI2": "ok",
		"AT+FCLASS=?": "0", "AT+FCLASS?": "0", "AT#CLS=?": "0", "AT+VCID=?": "(0-2)", "AT+VCID?": "+VCID: 0", "AT#CID?": "0",
		"AT+GCAP": "+GCAP: +MS,+ES,+DS", "AT+ES?": "+ES: 3,0,2", "AT+IPR?": "+IPR: 0", "AT#UD": "No call yet", "ATI6": "No call yet",
	} {
		r.want(line, "\r\n"+text+"\r\n"+ok)
	}
	r.want("ATI1", ok)
	r.want("AT+GMI=?", ok)
	r.want("AT+VRID=0", ok)
	r.want("AT+VCID=1;#CID?", "\r\n1\r\n"+ok)
	r.want("AT+MS=V32B,1;+MS?", "\r\n+MS: V32B,1\r\n"+ok)
	r.want("AT+MS;+MS?", "\r\n+MS: V34,1,0,0,0,0\r\n"+ok)
}

// At a speed it does not know, a modem hears only noise.
func TestAutobaud(t *testing.T) {
	r := quiet(t, Config{Speeds: []int{9600, 115200}})
	for _, c := range []struct {
		bps  int
		want string
	}{{9600, ok}, {460800, ""}, {2400, ""}, {115200, ok}, {0, ok}} {
		r.m.SetSpeed(c.bps)
		r.want("AT", c.want)
	}
}

func FuzzInput(f *testing.F) {
	for _, s := range []string{"AT\r", "ATDT5551234;\rATD9\r", "A/", "AT&Z0=1;\r", "ATS13.0=1=2?\r", "AT+MS=V34,1;+VCID=?\r", "ATA\r+++", "AT\\N%C\r",
		"ATS0=1\rATO\r", "AT=?\r", "AT+\r", "ATDS=3\r", "AT&Z3?\r", "ATS2=255S3=255\xff"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Add([]byte("AT$IBP=V120;$IBP?\rATD5/7\r~\xff\x03~"), uint8(0x42))
	f.Add([]byte("AT&E5&L[1-3]*;?S14=3&R9600\rATA\r"), uint8(0x82))
	f.Fuzz(func(t *testing.T, data []byte, what uint8) {
		m := New(Config{ReplyDelay: -1, DialTone: -1, Unpaced: true, Adapter: Adapter(what >> 6 % 3)})
		now := start
		m.SetDTR(now, true)
		for i := 0; len(data) > 0; i++ {
			n := m.Input(now, data)
			data = data[n:]
			m.Actions()
			switch what >> (i % 8) & 1 {
			case 0:
				m.Ring(now, i+1, Caller{Number: "1"})
				link := v34
				link.Convert = m.isAdapter()
				m.Connect(now, link)
			default:
				m.Sent(now, len(m.ToLine()))
			}
			now = now.Add(time.Second)
			m.Tick(now)
			var b [4096]byte
			m.Output(now, b[:])
			if n == 0 && len(m.ToLine()) == 0 && m.Deadline().IsZero() {
				t.Fatalf("stuck before %q in %v", data, m.Phase())
			}
			if len(m.s.Line) > maxLine || len(m.s.Out) > 8192 || len(m.s.Transmit) > 2048+2*longestFrame {
				t.Fatal("unbounded")
			}
		}
		if _, err := Restore(Config{}, m.State()); err != nil {
			t.Fatal(err)
		}
	})
}
