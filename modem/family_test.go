package modem

import (
	"slices"
	"strings"
	"testing"

	"trunkline.example/modem/at"
	"trunkline.example/modem/profile"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// family is a modem that knows the commands of its manual and refuses all
// others.
type family struct {
	name    string // of the profile expected
	usb     string
	answers map[string]string // what it says of itself
	knows   []string          // beginnings of its commands without AT, besides common
	connect []string          // what it says instead of the sim's CONNECT
	want    line.Connected    // of that
	gets    []string          // commands that it must have been given
}

// common are the commands of every modem.
var common = []string{"E", "V", "Q", "X", "H", "&C", "&D", "S0=", "S2=", "S7=", "S8", "A", "DT"}

// families speak as the manuals of their makers say.
var families = []family{
	{
		name: "usr", usb: "0baf:0303", answers: map[string]string{"I3": "U.S. Robotics 56K FAX USB V1.2.23",
			"I6": "Retrains 2", "I11": "Disconnect reason DTR"},
		knows:   []string{"&F1", "&A", "&B", "&H", "&R", "&I", "&K", "&M", "&N", "&U", "S10=", "S19=", "#CID", "I", "+FCLASS"},
		connect: []string{"CONNECT 28800/ARQ/V34/LAPM/V42BIS"},
		want:    line.Connected{RxSpeed: 28800, TxSpeed: 28800, Modulation: "V.34", ErrorControl: "LAPM", Compression: "V.42bis"},
		gets:    []string{"&F1", "&A3&K1", "&M4", "&B1", "&U1&N14", "&H1&R2&I0", "#CID=1"},
	},
	{
		name: "conexant", answers: map[string]string{"I3": "CX93001-EIS_V0.2002-V92", "I": "56000"},
		knows:   []string{"&F", "W", "&K", `\N`, `%C`, `\J`, "S10=", "+FCLASS", "+MR", "+ER", "+DR", "+MS", "+VCID", "+GMM", "I"},
		connect: []string{"+MCR: V34", "+MRR: 26400,28800", "+ER: LAPM", "+DR: V42B", "CONNECT 115200"},
		want:    line.Connected{TxSpeed: 26400, RxSpeed: 28800, Modulation: "V.34", ErrorControl: "LAPM", Compression: "V.42bis"},
		gets:    []string{"W2", "&K3", `\N3%C3`, `\J0`, "+MS=V34,1,0,28800,0,28800", "+MR=1;+ER=1;+DR=1", "+VCID=1"},
	},
	{
		name: "zoom", usb: "0803:3095", answers: map[string]string{"I3": "CX93001-EIS_V0.2013-V92"},
		knows:   []string{"&F", "W", "&K", `\N`, `\J`, "S10=", "+FCLASS", "+MS", "+VCID", "I"},
		connect: []string{"CARRIER 24000", "PROTOCOL: LAPM", "COMPRESSION: V.42BIS", "CONNECT 24000"},
		want:    line.Connected{TxSpeed: 24000, RxSpeed: 24000, ErrorControl: "LAPM", Compression: "V.42bis"},
		gets:    []string{"W2", "&K3", `\N3`, "+VCID=1"},
	},
	{
		name: "lucent", answers: map[string]string{"I3": "LT V.92 Data+Fax Modem Version 8.26"},
		knows:   []string{"&F", "W", "&K", `\N`, "%C", `\J`, "S10=", "+FCLASS", "+MS", "+VCID", "I"},
		connect: []string{"CONNECT 28800 V42bis"},
		want:    line.Connected{TxSpeed: 28800, RxSpeed: 28800, ErrorControl: "ARQ", Compression: "V.42bis"},
		gets:    []string{"W2", "&K3", `\N3%C1`, `\J0`, "+VCID=1"},
	},
	{
		name: "multitech", usb: "06e0:f107", answers: map[string]string{"+GMM": "MT5634ZBA-USB-V92"},
		knows:   []string{"&F", `\V`, "&K", "&E", `\N`, "%C", "$BA", "S10=", "+FCLASS", "+MS", "+VCID", "I", "+GMM"},
		connect: []string{"CONNECT 115200/V34/LAPM/V42BIS/28800:TX/26400:RX"},
		want:    line.Connected{TxSpeed: 28800, RxSpeed: 26400, Modulation: "V.34", ErrorControl: "LAPM", Compression: "V.42bis"},
		gets:    []string{`\V1`, "&K3", `\N3%C1`, "$BA0", "+VCID=1"},
	},
	{
		name: "zyxel", answers: map[string]string{"I1": "U336S V 1.12", "I": "336"},
		knows:   []string{"&F", "&H", "&N", "&K", "&B", "&S", "S40.2=", "I"},
		connect: []string{"CONNECT 14400/ARQ"},
		want:    line.Connected{TxSpeed: 14400, RxSpeed: 14400, ErrorControl: "ARQ"},
		gets:    []string{"E0Q0V1X6", "&H3", "&N0", "&K4", "&B1", "S40.2=1"},
	},
	{
		name: "generic", usb: "0403:6001", answers: map[string]string{"+GMM": "Nobody's V.90"},
		knows:   []string{"&F", "+IFC", "+FCLASS", "+MS", "+VCID", "+GMM", "I"},
		connect: []string{"CONNECT 31200"},
		want:    line.Connected{TxSpeed: 31200, RxSpeed: 31200},
		gets:    []string{"&F", "+IFC=2,2", "+VCID=1", "+MS=V34,1,0,28800,0,28800"},
	},
}

// become makes the sim a modem of the family.
func (f family) become(h *host) {
	h.device.SetUSB(f.usb)
	h.sim.connect = strings.Join(f.connect, "\r\n\r\n")
	h.sim.strict = func(command string) (answer string, ok bool) {
		if text, ok := f.answers[command]; ok {
			return text, true
		}
		for _, part := range at.Split("AT" + command) {
			known := slices.ContainsFunc(append(f.knows, common...), func(k string) bool { return strings.HasPrefix(part[2:], k) })
			if part != "AT" && !known {
				return "", false
			}
		}
		return "", true
	}
}

// Every family that is built in is played.
func TestEveryFamilyIsPlayed(t *testing.T) {
	played := map[string]bool{}
	for _, f := range families {
		played[f.name] = true
	}
	for _, name := range profile.Builtin().Names() {
		if !played[name] {
			t.Errorf("%s is not", name)
		}
	}
}

func TestFamilies(t *testing.T) {
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			inBubble(t, rig{keys: "max_speed = 28800", before: f.become}, func(h *host) {
				for _, answer := range f.answers {
					if equipment := h.status.Equipment; len(f.answers) == 1 && equipment != answer {
						t.Errorf("equipment %q instead of %q", equipment, answer)
					}
				}
				for _, command := range f.gets {
					if !h.sim.did(command) {
						t.Errorf("%s was not given: %q", command, h.sim.seen)
					}
				}
				c := h.connect()
				got := line.Connected{RxSpeed: c.RxSpeed, TxSpeed: c.TxSpeed, Modulation: c.Modulation, ErrorControl: c.ErrorControl, Compression: c.Compression}
				if got != f.want || !c.SpeedKnown {
					t.Errorf("%+v instead of %+v", c, f.want)
				}
				h.must(h.sim.HangUp(h.Context()))
				if lost := want[line.Lost](h); lost.Report {
					t.Error("a report is announced of a modem that has never given one")
				}
				told := want[line.Idle](h).Report
				if f.name == "usr" && told != "Retrains 2; Disconnect reason DTR" {
					t.Errorf("report %q", told)
				}
				_, err := h.line.Dial(h.Context(), line.DialRequest{Number: "5550199"})
				h.must(err)
				want[line.Dialing](h)
				want[line.Connected](h)
				h.must(h.sim.HangUp(h.Context()))
				if lost := want[line.Lost](h); lost.Report != (told != "") {
					t.Errorf("a report is announced: %v; the last one was %q", lost.Report, told)
				}
			})
		})
	}
}

func TestFamilyOfTheConfiguration(t *testing.T) {
	const keys = `
profile = "mine"

[[family]]
name = "mine"
extends = "usr"
reset = "ATZ4"
answer = "AT%TA"
`
	inBubble(t, rig{keys: keys, before: func(h *host) {
		h.sim.on("%TA", func(s *sim) bool { s.obey("A"); return true })
	}}, func(h *host) {
		if h.sim.did("+GMI") || !h.sim.did("Z4") || !h.sim.did("&A3&K1") {
			t.Errorf("%q", h.sim.seen)
		}
		h.connect()
	})
}

// Another modem is in the socket when the device comes back.
func TestModemIsExchanged(t *testing.T) {
	inBubble(t, rig{before: families[0].become}, func(h *host) {
		h.device.HangUp(true)
		h.sim.set(func() { families[2].become(h); h.sim.echo, h.sim.seen = true, nil })
		h.device.Plug()
		h.ring(linetest.Caller{Number: "5551234", Name: "X"})
		if !h.sim.did("W2") || h.sim.did("&F1") {
			t.Errorf("%q", h.sim.seen)
		}
	})
}

// A modem that shows what it says about a call by pages is asked for all of them, whether the line that asks for a key has an end or not.
func TestReportByPages(t *testing.T) {
	for _, end := range []string{"", "\r\n"} {
		lucent := families[slices.IndexFunc(families, func(f family) bool { return f.name == "lucent" })]
		inBubble(t, rig{before: func(h *host) {
			lucent.become(h)
			h.sim.hooks = map[string]func(*sim) bool{"I11": func(s *sim) bool {
				s.pages = []string{"\r\n18 Retrain by Local Modem 2\r\nPress any key to continue; ESC to quit.\r\n", "\r\n20 Call Termination Cause 1\r\n\r\nOK\r\n"}
				s.later(s.reply, "\r\n4 Final Transmit Carrier Rate 28800\r\nPress any key to continue; ESC to quit."+end)
				return true
			}}
		}}, func(h *host) {
			h.connect()
			h.must(h.sim.HangUp(h.Context()))
			want[line.Lost](h)
			if told := want[line.Idle](h).Report; told != "4 Final Transmit Carrier Rate 28800; 18 Retrain by Local Modem 2; 20 Call Termination Cause 1" {
				t.Errorf("%q: report %q", end, told)
			}
		})
	}
}
