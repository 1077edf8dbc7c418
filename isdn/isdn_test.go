package isdn

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest"

	"trunkline.example/modem"
	"trunkline.example/modem/at"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// adapters speak as the manuals of their makers say.
var adapters = []struct {
	name    string // of the profile expected
	manual  manual
	keys    string
	gets    []string
	rings   line.Ringing
	answers line.Connected
	q850    uint8
	dials   string // for a number with a subaddress; "": it cannot
}{
	{
		name: "zyxel", manual: manual{
			says: "28642", knows: []string{"&O", "&H", "B", "S40.2", "S84.4"}, rings: []string{"RING", "FM:5551234/12/ TO:5550100/7/"},
			answer: "CONNECT 64000/HDLC", fails: map[linetest.Outcome]string{linetest.OutcomeBusy: "BUSY"},
		},
		keys: "protocol = \"ppp\"\nnumbers = [\"5550100\", \"5550101\"]", gets: []string{"&O2", "B40", "S40.2=1S84.4=0", "&H3", "E0Q0V1X6"},
		rings:   line.Ringing{Dialed: "5550100", Dialing: "5551234", Subaddress: "7"},
		answers: line.Connected{TxSpeed: 64000, Modulation: "HDLC", Bearer: line.BearerDigital}, dials: "I5550199/7/",
	},
	{
		name: "elsa", manual: manual{
			says: "ELSA MicroLink ISDN", knows: []string{"$IBP", "S153=", `\Q`}, rings: []string{"RING;5551234;5550100"},
			answer: "CONNECT 64000/ISDN/V120;5551234", fails: map[linetest.Outcome]string{linetest.OutcomeBusy: "NO CARRIER;17"},
		},
		keys: "protocol = \"v120\"", gets: []string{"$IBP=V120", "S153=6", `\Q3`},
		rings:   line.Ringing{Dialed: "5550100", Dialing: "5551234"},
		answers: line.Connected{TxSpeed: 64000, Modulation: "V.120", ErrorControl: "LAPD", Bearer: line.BearerDigital}, q850: 17, dials: "5550199/7",
	},
	{
		name: "isdn4linux", manual: manual{
			says: "Linux ISDN", knows: []string{"S1", "S23", "&E", "&L"}, rings: []string{"CALLER NUMBER: 5551234", "RING/5550100"},
			answer: "CONNECT 64000/X.75", fails: map[linetest.Outcome]string{linetest.OutcomeBusy: "BUSY/E0011"},
		},
		keys: "protocol = \"x75\"\nnumbers = [\"5550100\", \"5550101\"]", gets: []string{"S14=0S18=4", "&L*", "&E5550100", "&L5550100;5550101", "S13.2=1S13.3=1S13.4=0S13.6=0"},
		rings:   line.Ringing{Dialed: "5550100", Dialing: "5551234"},
		answers: line.Connected{TxSpeed: 64000, Modulation: "X.75", ErrorControl: "LAPB", Bearer: line.BearerDigital}, q850: 17,
	},
	{
		name: "imodem", manual: manual{
			says: "USRobotics Courier I-Modem", knows: []string{"&F1", "&A", "&B", "&H", "&R", "&I", "*V2", "#CID", "I"}, rings: []string{"RING"},
			answer: "CONNECT 33600/ARQ/V34/LAPM/V42BIS", fails: map[linetest.Outcome]string{linetest.OutcomeBusy: "BUSY"},
		},
		keys: "analog = true", gets: []string{"&F1", "&A3&B1", "#CID=1"},
		answers: line.Connected{TxSpeed: 33600, Modulation: "V.34", ErrorControl: "LAPM", Compression: "V.42bis", Bearer: line.BearerAnalog},
	},
	{
		name: "bitsurfr", manual: manual{
			says: "960", knows: []string{"%A", "@B", `\Q`}, rings: []string{"RING"}, answer: "CONNECT", fails: map[linetest.Outcome]string{linetest.OutcomeBusy: "BUSY"},
		},
		keys: "protocol = \"ppp\"", gets: []string{"%A2=95", "%A4=0", "@B0=1", `\Q3`},
		answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
	{
		name: "capi", manual: manual{
			says: "cFos", knows: []string{"B", "&A", "&E", "&K"}, rings: []string{"RING 5551234"}, answer: "CONNECT 38400/V.110",
			fails: map[linetest.Outcome]string{linetest.OutcomeBusy: "BUSY 3491"},
		},
		keys: "protocol = \"v110\"\nnumbers = [\"5550100\", \"5550101\"]", gets: []string{"B1", "&K3", "E0Q0V1X6", "&A0=5550100", "&A1=5550101", "&E5550100"},
		rings:   line.Ringing{Dialing: "5551234"},
		answers: line.Connected{TxSpeed: 64000, Modulation: "V.110", Bearer: line.BearerDigital}, q850: 17,
	},
	{
		name: "usr-isdn-pro", manual: manual{says: "346900", knows: []string{"&F1", "&H", "&R", "&I", "*PPP"}, rings: []string{"RING"}, answer: "CONNECT 64000", fails: busy},
		keys: "protocol = \"ppp\"", gets: []string{"&F1", "&H1&R2&I0", "*PPP=1"}, answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
	{
		name: "sportster-isdn", manual: manual{says: "SP ISDN 128", knows: []string{"&F1", "&H", "&R", "&I", "B"}, rings: []string{"RING"}, answer: "CONNECT 64000", fails: busy},
		keys: "protocol = \"ppp\"", gets: []string{"&F1", "&H1&R2&I0", "B3"}, answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
	{
		name: "impact", manual: manual{says: "3C882", knows: []string{"S60", "S61", "S71", "S80", `\Q`}, rings: []string{"RING"}, answer: "CONNECT 64000", fails: busy},
		keys: "protocol = \"ppp\"", gets: []string{"S60=64S71=0S80=0", "S61=2", `\Q3`}, answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
	{
		name: "hagenuk", manual: manual{says: "Hagenuk Speed Dragon", knows: []string{"B", "&K"}, rings: []string{"RING"}, answer: "CONNECT 64000", fails: busy},
		keys: "protocol = \"ppp\"", gets: []string{"B8", "&K3"}, answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
	{
		name: "asuscom", manual: manual{says: "ISDN TA", knows: []string{"B", "&K"}, rings: []string{"RING"}, answer: "CONNECT 64000", fails: busy},
		keys: "protocol = \"ppp\"", gets: []string{"B40", "&K3"}, answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
	{
		name: "lasat", manual: manual{says: "128000", knows: []string{`\P`, "&B", "&K"}, rings: []string{"RING"}, answer: "CONNECT 64000", fails: busy},
		keys: "protocol = \"ppp\"", gets: []string{"E0Q0V1X3", `\P1&B2`}, answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
	{
		name: "aterm", manual: manual{says: "NEC Aterm IT55", knows: []string{"$N", "&K"}, rings: []string{"RING"}, answer: "CONNECT 64000", fails: busy},
		keys: "protocol = \"ppp\"", gets: []string{"$N1=1", "&K3"}, answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
	{
		name: "diva", manual: manual{
			says: "Eicon Diva Server", knows: []string{"+iP", "+IP", "+IFC", "#CID"}, rings: []string{"RING", "DAD: 5550100", "CID: 5551234"}, answer: "CONNECT 64000/V120",
			fails: busy,
		},
		keys: "protocol = \"v120\"", gets: []string{"#CID=14", "+IP6"}, rings: line.Ringing{Dialed: "5550100", Dialing: "5551234"},
		answers: line.Connected{TxSpeed: 64000, Modulation: "V.120", ErrorControl: "LAPD", Bearer: line.BearerDigital},
	},
	{
		name: "generic", manual: manual{says: "Nobody's TA", knows: []string{"+IFC", "#CID"}, rings: []string{"RING"}, answer: "CONNECT 64000", fails: busy},
		gets: []string{"&F", "+IFC=2,2", "#CID=1"}, answers: line.Connected{TxSpeed: 64000, Bearer: line.BearerDigital},
	},
}

// busy is what most say to a busy number.
var busy = map[linetest.Outcome]string{linetest.OutcomeBusy: "BUSY"}

// Every family that is built in is played.
func TestEveryFamilyIsPlayed(t *testing.T) {
	played := map[string]bool{}
	for _, c := range adapters {
		played[c.name] = true
	}
	for _, name := range Families().Names() {
		if !played[name] {
			t.Errorf("%s is not", name)
		}
	}
}

func TestAdapters(t *testing.T) {
	for _, c := range adapters {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := open(t, c.manual, c.keys)
				a := b.adapter
				for _, command := range c.gets {
					if !a.did(command) {
						t.Errorf("%s was not given: %q", command, a.seen)
					}
				}
				if bearers := b.line.Identity().Bearers; bearers&line.BearerDigital == 0 || (bearers&line.BearerAnalog != 0) != strings.Contains(c.keys, "analog") {
					t.Errorf("bearers %v", bearers)
				}
				b.must(a.Ring(t.Context(), linetest.Caller{}))
				b.until(line.StateRinging)
				if r := b.status.Ringing; r.Dialed != c.rings.Dialed || r.Dialing != c.rings.Dialing || r.Subaddress != c.rings.Subaddress || r.Bearer != line.BearerDigital {
					t.Errorf("ringing %+v", r)
				}
				b.must(b.line.Answer(t.Context(), b.status.Call))
				b.until(line.StateConnected)
				got := b.status.Connected
				if got.TxSpeed != c.answers.TxSpeed || got.Modulation != c.answers.Modulation || got.Bearer != c.answers.Bearer || got.Framing != line.FramingAsync ||
					c.answers.ErrorControl != "" && got.ErrorControl != c.answers.ErrorControl {
					t.Errorf("connected %+v", got)
				}
				b.must(b.line.Hangup(t.Context(), b.status.Call))
				b.until(line.StateIdle)
				b.must(a.Plan(t.Context(), linetest.OutcomeBusy))
				_, err := b.line.Dial(t.Context(), line.DialRequest{Number: "5550199", Bearer: line.BearerDigital})
				b.must(err)
				b.until(line.StateDialing)
				b.until(line.StateReleasing)
				if b.status.Cause.Q850 != c.q850 {
					t.Errorf("the call failed by %+v", b.status.Cause)
				}
				b.until(line.StateIdle)
				b.subaddress(c.dials)
				b.done()
			})
		})
	}
}

// subaddress dials with one; the adapter is given dials, or cannot send it.
func (b *bench) subaddress(dials string) {
	b.Helper()
	a := b.adapter
	a.Step(func() { a.dialed = nil })
	_, err := b.line.Dial(b.Context(), line.DialRequest{Number: "5550199", Subaddress: "7"})
	b.must(err)
	b.until(line.StateDialing)
	b.until(line.StateReleasing)
	if unable := b.status.Cause.Code == line.CauseNotSupported; unable != (dials == "") {
		b.Errorf("a call to a subaddress failed by %+v", b.status.Cause)
	}
	b.until(line.StateIdle)
	a.Step(func() {
		if got := strings.Join(a.dialed, " "); got != dials {
			b.Errorf("dialed %q, want %q", got, dials)
		}
	})
	if _, err := b.line.Dial(b.Context(), line.DialRequest{Number: "5550199", Subaddress: "7;H"}); !errors.Is(err, line.ErrInvalid) {
		b.Errorf("a subaddress that is a command: %v", err)
	}
}

// HDLC is synchronous PPP where the adapter converts, and where it is not told what to do; else it carries the octets as they are.
func TestTransparentHDLC(t *testing.T) {
	for protocol, want := range map[string]string{"": "HDLC", "ppp": "HDLC", "hdlc": "HDLC transparent"} {
		c := line.Connected{Modulation: "HDLC"}
		connected(at.Connection{Modulation: "HDLC"}, protocol, &c)
		if c.Modulation != want || c.Bearer != line.BearerDigital {
			t.Errorf("%q: %+v", protocol, c)
		}
	}
}

// Calls for numbers that are others' are not the line's: they are left to ring, and the next one is taken.
func TestOthersNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, adapters[1].manual, `numbers = ["100"]`)
		a := b.adapter
		a.Step(func() { a.rings = []string{"RING;5551234;5550999"} })
		b.must(a.Ring(t.Context(), linetest.Caller{}))
		time.Sleep(30 * time.Second) // several rings
		a.Step(func() { a.ringing, a.rings = false, []string{"RING;5551234;5550100"} })
		time.Sleep(15 * time.Second) // the first caller has given up
		b.must(a.Ring(t.Context(), linetest.Caller{}))
		b.until(line.StateRinging)
		if b.status.Ringing.Dialed != "5550100" || b.status.Call != 1 {
			t.Errorf("call %d for %+v", b.status.Call, b.status.Ringing)
		}
		b.done()
	})
}

// A call may have another protocol than the line: by the number it is for, or because it is to be analog. The line's own comes back after it.
func TestProtocolOfACall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := adapters[2].manual // isdn4linux
		m.answer = "CONNECT 64000/HDLC"
		b := open(t, m, "protocol = \"x75\"\nanalog = true\nprotocols = { 5550100 = \"hdlc\", 100 = \"x75\" }")
		a := b.adapter
		told := func(want ...string) {
			t.Helper()
			a.Step(func() {
				rest := a.seen
				for _, command := range want {
					i := slices.Index(rest, command)
					if i < 0 {
						t.Fatalf("no %q among %q of %q", command, rest, a.seen)
					}
					rest = rest[i+1:]
				}
				a.seen = nil
			})
		}
		told("S14=0S18=4")
		b.must(a.Ring(t.Context(), linetest.Caller{}))
		b.until(line.StateRinging)
		b.must(b.line.Answer(t.Context(), b.status.Call))
		b.until(line.StateConnected)
		if c := b.status.Connected; c.Modulation != "HDLC transparent" {
			t.Errorf("connected %+v", c)
		}
		b.must(b.line.Hangup(t.Context(), b.status.Call))
		b.until(line.StateIdle)
		told("S14=3S18=4", "A", "&F", "S14=0S18=4")
		a.Step(func() { a.answer = "CONNECT 33600/V34" })
		_, err := b.line.Dial(t.Context(), line.DialRequest{Number: "5550199", Bearer: line.BearerAnalog})
		b.must(err)
		b.until(line.StateConnected)
		if c := b.status.Connected; c.Bearer != line.BearerAnalog {
			t.Errorf("connected %+v", c)
		}
		b.must(b.line.Hangup(t.Context(), b.status.Call))
		b.until(line.StateIdle)
		told("S14=10S18=1", "D5550199", "&F", "S14=0S18=4")
		b.done()
	})
}

// An adapter that cannot speak what a call needs does not take it, and takes the next one.
func TestProtocolRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := adapters[1].manual // elsa
		m.knows = []string{"$IBP=V120", "S153=", `\Q`}
		b := open(t, m, "protocol = \"v120\"\nprotocols = { 5550100 = \"x75\" }")
		a := b.adapter
		b.must(a.Ring(t.Context(), linetest.Caller{}))
		b.until(line.StateRinging)
		b.must(b.line.Answer(t.Context(), b.status.Call))
		b.until(line.StateReleasing)
		if b.status.Cause.Code != line.CauseNotSupported || a.did("A") {
			t.Errorf("the call ended by %+v", b.status.Cause)
		}
		a.Step(func() { a.ringing, a.rings = false, []string{"RING;5551234;5550101"} })
		b.until(line.StateIdle)
		b.must(a.Ring(t.Context(), linetest.Caller{}))
		b.until(line.StateRinging)
		b.must(b.line.Answer(t.Context(), b.status.Call))
		b.until(line.StateConnected)
		b.done()
	})
}

// Who is not wanted is refused without being answered, by an adapter that can do so.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, adapters[0].manual, `reject = "hook"`)
		a := b.adapter
		b.must(a.Ring(t.Context(), linetest.Caller{}))
		b.until(line.StateRinging)
		b.must(b.line.Reject(t.Context(), b.status.Call, line.Cause{Code: line.CauseRejected}))
		b.must(a.Await(t.Context(), func() bool { return !a.ringing }))
		b.until(line.StateIdle)
		if !a.did("H1") || a.did("A") {
			t.Errorf("the adapter was told %q", a.seen)
		}
		b.done()
	})
}

func TestSection(t *testing.T) {
	for keys, want := range map[string]string{
		`protocol = "telex"`:                                 `no profile has commands for "telex"; there are ppp, hdlc, x75, v120, v110, modem`,
		"profile = \"lasat\"\nprotocol = \"x75\"":            `profile "lasat" has no commands for "x75"`,
		`protocols = { 100 = "telex" }`:                      `"100" = "telex" is not a telephone number and one of`,
		"profile = \"lasat\"\nprotocols = { 100 = \"x75\" }": `profile "lasat" has no commands for "x75"`,
		`numbers = ["55x"]`:                                  `"55x" is not a telephone number`,
		`profile = "usr"`:                                    `there is no profile "usr"`,
	} {
		_, err := modem.ParseSection(Dialect, section(keys))
		if !errors.Is(err, line.ErrConfiguration) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", keys, err)
		}
	}
	if _, err := modem.ParseSection(modem.Analog, section(`protocol = "ppp"`)); err == nil {
		t.Error("a modem has protocols of the B channel")
	}
}

func TestCause(t *testing.T) {
	for text, want := range map[string]uint8{
		"NO CARRIER": 0, "NO CARRIER/E001B": 27, "BUSY/E0011": 17, "NO CARRIER E0290": 16, "BUSY 3491": 17, "NO CARRIER 34A9": 41,
		"NO CARRIER;17": 17, "NO CARRIER (34)": 34, "NO CARRIER: 18": 18, "NO CARRIER 5551234": 0, "BUSY 17": 0, "NO CARRIER;999": 0, "": 0, "E": 0, "NO CARRIER/E12345678": 0,
	} {
		if got := Cause(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func FuzzCause(f *testing.F) {
	f.Add("NO CARRIER/E001B")
	f.Add("BUSY 3491")
	f.Fuzz(func(t *testing.T, text string) {
		if c := Cause(text); c > 127 {
			t.Errorf("%q: %d", text, c)
		}
	})
}

func TestConformance(t *testing.T) {
	for _, c := range linetest.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.Run(t, func(t *testing.T) linetest.Fixture {
					a := &adapter{manual: manual{
						says: "ELSA MicroLink ISDN", knows: []string{"$IBP", "S153=", `\Q`}, rings: []string{"RING;5551234;5550100"}, answer: "CONNECT 64000/ISDN/HDLC;5551234",
						fails: map[linetest.Outcome]string{
							linetest.OutcomeBusy: "BUSY;17", linetest.OutcomeNoAnswer: "NO ANSWER;18", linetest.OutcomeNoCarrier: "NO CARRIER;31",
							linetest.OutcomeNoDialtone: "NO DIALTONE;34", linetest.OutcomeUnanswered: "",
						},
					}}
					a.run(t)
					return linetest.Fixture{Driver: New(modem.Options{Logger: zaptest.NewLogger(t), Open: a.device.Open}), Section: section(""), Far: a}
				})
			})
		})
	}
}
