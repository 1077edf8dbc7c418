package at

import (
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// say feeds a stream in pieces of the given size and returns the lines.
func say(stream string, size int) []string {
	var t Tokenizer
	var lines []string
	for len(stream) > 0 {
		n := min(size, len(stream))
		t.Feed([]byte(stream[:n]))
		stream = stream[n:]
		for line, ok := t.Next(); ok; line, ok = t.Next() {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTokenizer(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         []string
	}{
		{"framed", "\r\nOK\r\n", []string{"OK"}},
		{"echo", "ATZ\r\r\nOK\r\n", []string{"ATZ", "OK"}},
		{"stray newlines", "\n\n\r\r\nRI\x00NG\r\n\n", []string{"RING"}},
		{"no leading newline", "OK\r\nRING\r", []string{"OK", "RING"}},
		{"parity", "\x8d\x0a\xcf\x4b\x8d\x0a", []string{"OK"}},
		{"backspace", "ATX\bZ\r", []string{"ATZ"}},
		{"incomplete", "\r\nCONN", nil},
		{"too long", strings.Repeat("x", MaxLine+9) + "\r\nOK\r\n", []string{"OK"}},
		{"just fits", strings.Repeat("x", MaxLine) + "\r", []string{strings.Repeat("x", MaxLine)}},
	} {
		for size := 1; size < 9; size++ {
			if got := say(c.stream, size); !slices.Equal(got, c.want) {
				t.Errorf("%s in pieces of %d: %q", c.name, size, got)
			}
		}
	}
}

func TestTokenizerData(t *testing.T) {
	stream := "\r\nCONNECT 33600\r\n~\n\r data"
	for _, end := range []string{"\r\n", "\r"} {
		stream := strings.Replace(stream, "\r\n~", end+"~", 1)
		for cut := range len(stream) {
			var tok Tokenizer
			var data []byte
			connected := false
			for _, piece := range []string{stream[:cut], stream[cut:]} {
				if connected {
					data = append(data, tok.Data([]byte(piece))...)
					continue
				}
				tok.Feed([]byte(piece))
				if line, ok := tok.Next(); ok {
					connected = Classify(line) == Connect
					data = append(data, tok.Data(nil)...)
				}
			}
			if string(data) != "~\n\r data" {
				t.Errorf("cut at %d: %q", cut, data)
			}
		}
	}
}

func TestPendingAndReset(t *testing.T) {
	var tok Tokenizer
	tok.Feed([]byte("logi"))
	tok.Next()
	if tok.Pending() != "logi" {
		t.Errorf("pending %q", tok.Pending())
	}
	tok.Reset()
	tok.Feed([]byte("OK\r"))
	if line, _ := tok.Next(); line != "OK" {
		t.Errorf("after reset %q", line)
	}
}

func TestGarbled(t *testing.T) {
	for text, want := range map[string]int{"\r\nRING\r\n\tx\b": 0, "\x81\xfe\x03\r\xf8": 4, "\x00\x00\x7f": 3} {
		var tok Tokenizer
		tok.Feed([]byte(text))
		for _, ok := tok.Next(); ok; _, ok = tok.Next() {
		}
		if got := tok.Garbled(); got != want || tok.Garbled() != 0 {
			t.Errorf("%q: %d instead of %d", text, got, want)
		}
	}
}

func TestClassify(t *testing.T) {
	for text, want := range map[string]Kind{
		"OK": OK, "ok ": OK, "ERROR": Error, "+CME ERROR: 3": Error,
		"CONNECT": Connect, "CONNECT 33600/ARQ": Connect, "CONNECT33600": Connect, "CONNECTING": Progress, "CONNECTION": Information,
		"RING": Ring, "RING 1": Ring, "RING1": Ring, "RING B": Ring, "RING 5551234": Ring, "RING;5551;5552": Ring, "RING/5552": Ring,
		"+CRING: VOICE": Ring, "RINGING": Progress, "RRING": Progress, "RINGER OFF": Information, "RUNG": RingStopped,
		"NO CARRIER": NoCarrier, "{~{xNO CARRIER": NoCarrier, "NO CARRIER (16)": NoCarrier,
		"NO DIALTONE": NoDialtone, "NO DIAL TONE": NoDialtone, "NO LINE": NoDialtone, "LINE IN USE": NoDialtone,
		"BUSY": Busy, "NO ANSWER": NoAnswer, "VOICE": NotData, "FAX": NotData, "+FCON": NotData, "+FCERROR": NotData,
		"DELAYED": Delayed, "DELAYED 30": Delayed, "BLACKLISTED": Delayed, "BLACKLIST FULL": Delayed,
		"CARRIER 31200": Detail, "PROTOCOL: LAPM": Detail, "+MRR: 31200,33600": Detail, "+MCR: V34": Detail,
		"0": Numeric, "29": Numeric, "1234": Information, "5551234": Caller,
		"NMBR = 5551234": Caller, "DATE = 0101": Caller, "DRON=20": Caller,
		"USRobotics 56K": Information, "": Information,
	} {
		if got := Classify(text); got != want {
			t.Errorf("%q is %v instead of %v", text, got, want)
		}
	}
	for k := range Kind(17) {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
	for _, k := range []Kind{OK, Error, Connect, NoCarrier, NoDialtone, Busy, NoAnswer, NotData, Delayed} {
		if !k.Final() {
			t.Errorf("%v is not final", k)
		}
	}
	if Ring.Final() || Progress.Final() || Information.Final() || Numeric.Final() {
		t.Error("a line that ends nothing is final")
	}
}

func TestParseRing(t *testing.T) {
	for text, want := range map[string]RingLine{
		"RING": {}, "ring ": {}, "RING 1": {Cadence: "1"}, "RING C": {Cadence: "C"}, "RING3": {Cadence: "3"}, "RING 5551234": {From: "5551234"},
		"RING;5551": {From: "5551"}, "RING;5551;5552": {From: "5551", To: "5552"}, "RING/5552": {To: "5552"},
		"RING: t DN1 from 5": {}, "+CRING: VOICE": {}, "RI": {},
	} {
		if got := ParseRing(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// fsk builds a raw caller-identification message with its checksum.
func fsk(kind byte, body string) string {
	b := append([]byte{kind, byte(len(body))}, body...)
	var sum byte
	for _, v := range b {
		sum += v
	}
	return strings.ToUpper(hex.EncodeToString(append(b, -sum)))
}

func TestCallerID(t *testing.T) {
	multi := fsk(0x80, "\x01\x0811231459\x02\x0a2125551234\x07\x05SMITH")
	for _, c := range []struct {
		name  string
		lines []string
		want  CallerID
	}{
		{"Rockwell", []string{"DATE = 1123", "TIME = 1459", "NMBR = 2125551234", "NAME = SMITH J"}, CallerID{Number: "2125551234", Name: "SMITH J", named: true}},
		{"V.253", []string{"DATE=1123", "TIME=1459", "NMBR=2125551234", "NAME="}, CallerID{Number: "2125551234", named: true}},
		{"private", []string{"NMBR = P", "NAME = P"}, CallerID{Withheld: true, NoNumber: true, named: true}},
		{"out of area", []string{"NMBR = O"}, CallerID{NoNumber: true}},
		{"word", []string{"OUT_OF_AREA"}, CallerID{NoNumber: true}},
		{"ZyXEL", []string{"CALLER NUMBER: 5551234", "CALLER NAME: BOB"}, CallerID{Number: "5551234", Name: "BOB", named: true}},
		{"ZyXEL none", []string{"REASON FOR NO CALLER NUMBER: PRIVATE"}, CallerID{Withheld: true, NoNumber: true}},
		{"ZyXEL ISDN", []string{"FM:5551234/12/ TO:5550100/7/"}, CallerID{Number: "5551234", Dialed: "5550100", Subaddress: "7"}},
		{"ZyXEL ISDN spaces", []string{"FM: 5551234 TO: 5550100"}, CallerID{Number: "5551234", Dialed: "5550100"}},
		{"Diva", []string{"CID: 5551234", "DAD: 5550100"}, CallerID{Number: "5551234", Dialed: "5550100"}},
		{"others", []string{"DDN_NMBR= 5551234", "NDID=5550100"}, CallerID{Number: "5551234", Dialed: "5550100"}},
		{"GSM", []string{`+CLIP: "+4930123456",145,"",0`}, CallerID{Number: "+4930123456"}},
		{"isdn4linux", []string{"CALLER NUMBER: 5551234", "CALLED NUMBER: 5550100"}, CallerID{Number: "5551234", Dialed: "5550100"}},
		{"ELINK", []string{"5551234"}, CallerID{Number: "5551234"}},
		{"Bell Canada", []string{"MESG = 030735353531323334"}, CallerID{Number: "5551234"}},
		{"raw multi", []string{multi}, CallerID{Number: "2125551234", Name: "SMITH", named: true}},
		{"raw single", []string{fsk(0x04, "112314595551234")}, CallerID{Number: "5551234"}},
		{"raw absent", []string{fsk(0x80, "\x04\x01P\x08\x01O")}, CallerID{Withheld: true, NoNumber: true, named: true}},
		{"hostile", []string{"NMBR = 55\x1b[31m5; rm -rf", "NAME = \x07<b>"}, CallerID{Number: "55315", Name: "<b>", named: true}},
	} {
		var got CallerID
		for _, l := range c.lines {
			if !got.Add(l) {
				t.Errorf("%s: %q was not taken", c.name, l)
			}
		}
		if got != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
		if got.Complete() != ((got.Number != "" || got.NoNumber) && got.named) || got.Known() != (got.Number != "" || got.NoNumber) {
			t.Errorf("%s: complete %v", c.name, got.Complete())
		}
	}
	for _, l := range []string{"RING", "OK", "1234", "TOTAL: 4", "NAMES ARE SMOKE", multi[:len(multi)-2] + "00", "80", "8000ZZ00", "MESG"} {
		var c CallerID
		if c.Add(l) || c != (CallerID{}) {
			t.Errorf("%q was taken for caller identification: %+v", l, c)
		}
	}
	var c CallerID
	if !c.Add("MESG=0309353535") || c.Known() {
		t.Error("a short MESG was believed")
	}
}

func TestParseConnect(t *testing.T) {
	for _, c := range []struct {
		connect string
		details []string
		dce     bool
		want    Connection
	}{
		{"CONNECT", nil, false, Connection{}},
		{"CONNECT 115200", nil, false, Connection{DTESpeed: 115200}},
		{"CONNECT 57600", nil, true, Connection{TxSpeed: 57600, RxSpeed: 57600}},
		{"CONNECT 33600", nil, false, Connection{TxSpeed: 33600, RxSpeed: 33600}},
		{"CONNECT 115200", []string{"CARRIER 31200", "PROTOCOL: LAPM", "COMPRESSION: V.42BIS"}, false,
			Connection{TxSpeed: 31200, RxSpeed: 31200, DTESpeed: 115200, ErrorControl: "LAPM", Compression: "V.42bis"}},
		{"CONNECT 31200", []string{"PROTOCOL: NONE", "COMPRESSION: NONE"}, false, Connection{TxSpeed: 31200, RxSpeed: 31200, ErrorControl: "none", Compression: "none"}},
		{"CONNECT 115200/V34/LAPM/V42BIS/33600:TX/31200:RX", nil, false,
			Connection{TxSpeed: 33600, RxSpeed: 31200, DTESpeed: 115200, Modulation: "V.34", ErrorControl: "LAPM", Compression: "V.42bis"}},
		{"CONNECT 115200/V34/LAPM/V42BIS/33600:31200", nil, false,
			Connection{TxSpeed: 33600, RxSpeed: 31200, DTESpeed: 115200, Modulation: "V.34", ErrorControl: "LAPM", Compression: "V.42bis"}},
		{"CONNECT 28800/ARQ/V34/LAPM/V42BIS", nil, false, Connection{TxSpeed: 28800, RxSpeed: 28800, Modulation: "V.34", ErrorControl: "LAPM", Compression: "V.42bis"}},
		{"CONNECT 40000/ARQ/V90/LAPM/V42BIS", nil, false, Connection{TxSpeed: 40000, RxSpeed: 40000, Modulation: "V.90", ErrorControl: "LAPM", Compression: "V.42bis"}},
		{"CONNECT 2400/NONE", nil, false, Connection{TxSpeed: 2400, RxSpeed: 2400, ErrorControl: "none"}},
		{"CONNECT 44000 V42bis", nil, false, Connection{TxSpeed: 44000, RxSpeed: 44000, ErrorControl: "ARQ", Compression: "V.42bis"}},
		{"CONNECT 28800 LAPM", nil, false, Connection{TxSpeed: 28800, RxSpeed: 28800, ErrorControl: "LAPM"}},
		{"CONNECT 33600 LAPM COMPRESSED", nil, false, Connection{TxSpeed: 33600, RxSpeed: 33600, ErrorControl: "LAPM", Compression: "yes"}},
		{"CONNECT 38400/V.32bis 14400/V.42bis", nil, false,
			Connection{TxSpeed: 14400, RxSpeed: 14400, DTESpeed: 38400, Modulation: "V.32bis", ErrorControl: "ARQ", Compression: "V.42bis"}},
		{"CONNECT 14400/ARQ/MNP5", nil, false, Connection{TxSpeed: 14400, RxSpeed: 14400, ErrorControl: "ARQ", Compression: "MNP5"}},
		{"CONNECT 115200", []string{"+MCR: V34", "+MRR: 31200,33600", "+ER: LAPM", "+DR: V42B", "+ILRR: 115200"}, false,
			Connection{TxSpeed: 31200, RxSpeed: 33600, DTESpeed: 115200, Modulation: "V.34", ErrorControl: "LAPM", Compression: "V.42bis"}},
		{"CONNECT 64000/ISDN/V120;5551234", nil, false, Connection{TxSpeed: 64000, RxSpeed: 64000, Modulation: "V.120"}},
		{"CONNECT 64000/HDLC", nil, false, Connection{TxSpeed: 64000, RxSpeed: 64000, Modulation: "HDLC"}},
		{"CONNECT 29333 V42", nil, false, Connection{TxSpeed: 29333, RxSpeed: 29333, ErrorControl: "V.42"}},
		{"CONNECT FAST", []string{"CARRIER x", "+MRR: y"}, false, Connection{}},
	} {
		if got := ParseConnect(c.connect, c.details, c.dce); got != c.want {
			t.Errorf("%s %q:\n got %+v\nwant %+v", c.connect, c.details, got, c.want)
		}
	}
}

func TestDialString(t *testing.T) {
	for number, want := range map[string]string{"5550100": "5550100", "+1 (212) 555-0100": "12125550100", "9,w*67#@5": "9,W*67#@5", "a1": "A1"} {
		if got, err := DialString(number); err != nil || got != want {
			t.Errorf("%q: %q, %v", number, got, err)
		}
	}
	for _, number := range []string{"", "  ", ",,", "555;H", "555\r", "ATH", "5+5", "L", "S=1", "5\xff", strings.Repeat("5", MaxDial+1)} {
		if got, err := DialString(number); !errors.Is(err, ErrNumber) {
			t.Errorf("%q: %q, %v", number, got, err)
		}
	}
	if got := DialTime("9,W5550100", 2*time.Second); got != 13*time.Second {
		t.Errorf("dial time %v", got)
	}
}

func TestCheckSubaddress(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "7": true, "aB09": true, strings.Repeat("5", 20): true, strings.Repeat("5", 21): false, "7/": false, "7\r": false, "7;H": false, "é": false} {
		if err := CheckSubaddress(text); (err == nil) != ok || err != nil && !errors.Is(err, ErrNumber) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"ATE0Q0V1X4&C1&D2":            {"ATE0", "ATQ0", "ATV1", "ATX4", "AT&C1", "AT&D2"},
		"AT E0 S0=0 S7=75":            {"ATE0", "ATS0=0", "ATS7=75"},
		"AT+MR=1;+ER=1;+DR=1":         {"AT+MR=1", "AT+ER=1", "AT+DR=1"},
		"AT&K3\\N3%C3":                {"AT&K3", "AT\\N3", "AT%C3"},
		"ATZ":                         {"ATZ"},
		"AT":                          {"AT"},
		"ATE0+VCID=1":                 {"ATE0", "AT+VCID=1"},
		"ATS13.0=1S0?":                {"ATS13.0=1", "ATS0?"},
		"AT*V2=5&F":                   {"AT*V2=5", "AT&F"},
		"ATX3DT555":                   {"ATX3DT555"},
		"hello":                       {"hello"},
		"AT*BAD":                      {"AT*BAD"},
		"AT&":                         {"AT&"},
		"AT!X":                        {"AT!X"},
		"AT+FCLASS=0":                 {"AT+FCLASS=0"},
		"AT+MS=V34,1,0,26400,0,26400": {"AT+MS=V34,1,0,26400,0,26400"},
	} {
		if got := Split(line); !slices.Equal(got, want) {
			t.Errorf("%q: %q", line, got)
		}
	}
}

func TestEcho(t *testing.T) {
	for _, text := range []string{"ATE0Q0V1", "ate0 q0 v1", "E0Q0V1"} {
		if !IsEcho(text, "ATE0Q0V1") {
			t.Errorf("%q is no echo", text)
		}
	}
	for _, text := range []string{"OK", "", "1", "ERROR"} {
		if IsEcho(text, "ATE0Q0V1") {
			t.Errorf("%q is an echo", text)
		}
	}
	if IsEcho("OK", "ATOK") {
		t.Error("a result was taken for the end of an echo")
	}
	if Register(7, 75) != "ATS7=75" {
		t.Error(Register(7, 75))
	}
}

func FuzzTokenizer(f *testing.F) {
	f.Add([]byte("ATZ\r\r\nOK\r\n\r\nRING\r\nNMBR = 5551234\r\n"), uint8(3))
	f.Add([]byte("\r\nCONNECT 33600\r\n~\xff}#\xc0!"), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		if all, pieces := say(string(stream), len(stream)+1), say(string(stream), int(size)+1); !slices.Equal(all, pieces) {
			t.Fatalf("whole: %q, in pieces: %q", all, pieces)
		}
		for _, line := range say(string(stream), 64) {
			if len(line) > MaxLine || line == "" {
				t.Fatalf("line of %d octets", len(line))
			}
			Classify(line)
			ParseRing(line)
		}
	})
}

func FuzzReports(f *testing.F) {
	for _, s := range []string{"CONNECT 115200/V34/LAPM/V42BIS/33600:TX/31200:RX", "+MRR: 31200,33600", "NMBR = 5551234", "CARRIER 33600",
		"FM:5551234/12/ TO:5550100/7/", fsk(0x80, "\x02\x0a2125551234"), "MESG=0302", "RING;5;6", "\xff\xffNAME = x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var id CallerID
		id.Add(s)
		for _, n := range []string{id.Number, id.Dialed, ParseRing(s).From, ParseRing(s).To} {
			if n != Number(n) {
				t.Fatalf("%q gives number %q", s, n)
			}
		}
		if id.Name != Printable(id.Name, 64) {
			t.Fatalf("%q gives name %q", s, id.Name)
		}
		ParseConnect(s, []string{s}, false)
		Classify(s)
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("ATE0Q0V1X4&C1&D2;+MS=1")
	f.Fuzz(func(t *testing.T, s string) {
		parts := Split(s)
		if len(parts) == 0 {
			t.Fatalf("%q: no parts", s)
		}
		for _, p := range parts {
			if p != s && (len(p) < 3 || p[:2] != "AT") && !reflect.DeepEqual(parts, []string{s}) {
				t.Fatalf("%q: %q", s, parts)
			}
		}
		if d, err := DialString(s); err == nil && strings.ContainsAny(d, ";\r\n ") {
			t.Fatalf("%q dials %q", s, d)
		}
	})
}

func BenchmarkTokenizer(b *testing.B) {
	stream := []byte("ATE0\r\r\nOK\r\n\r\nRING\r\n\r\nNMBR = 5551234\r\n")
	for b.Loop() {
		var t Tokenizer
		t.Feed(stream)
		for _, ok := t.Next(); ok; _, ok = t.Next() {
		}
	}
}

func TestContradicts(t *testing.T) {
	for _, c := range []struct {
		first, later []string
		want         bool
	}{
		{nil, []string{"NMBR = 5551234"}, false},
		{[]string{"NMBR = 5551234"}, nil, false},
		{[]string{"NMBR = 5551234"}, []string{"NAME = X"}, false},
		{[]string{"NMBR = 5551234"}, []string{`+CLIP: "+31305551234",145`}, false},
		{[]string{"NMBR = 0305551234"}, []string{"NMBR = 0031305551234"}, false},
		{[]string{"NMBR = +31305551234"}, []string{"NMBR = 5551234"}, false},
		{[]string{"NMBR = 5551234"}, []string{"NMBR = 5551235"}, true},
		{[]string{"NMBR = 5551234"}, []string{"NMBR = P"}, true},
		{[]string{"NMBR = P"}, []string{"NMBR = O"}, false},
		{[]string{"NMBR = O"}, []string{"NMBR = 5551234"}, true},
	} {
		var first CallerID
		for _, text := range c.first {
			first.Add(text)
		}
		later := first
		for _, text := range c.later {
			later.Add(text)
		}
		if first.Contradicts(&later) != c.want {
			t.Errorf("%q, later %q: %v", c.first, c.later, !c.want)
		}
	}
}
