package hdlc

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

func TestDetector(t *testing.T) {
	request := AppendFrame(nil, octets(t, "FF 03 C0 21 01 01 00 0E 01 04 05 DC 02 06 FF FF FF FF"), DefaultACCM)
	parity := func(b []byte, odd bool) []byte {
		b = bytes.Clone(b)
		for i, c := range b {
			ones := 0
			for bit := range 7 {
				ones += int(c >> bit & 1)
			}
			b[i] = c & 0x7F
			if ones%2 == 1 != odd {
				b[i] |= 0x80
			}
		}
		return b
	}
	strip := func(b []byte) []byte {
		b = bytes.Clone(b)
		for i := range b {
			b[i] &= 0x7F
		}
		return b
	}
	for _, c := range []struct {
		name string
		in   []byte
		want Detection
	}{
		{"nothing", nil, Undecided},
		{"Configure-Request", request, PPP},
		{"nothing escaped", octets(t, "7E FF 03 C0 21 01 01 00 04"), PPP},
		{"all escaped", octets(t, "7E 7D DF 7D 23 7D E0 21"), PPP},
		{"only control characters escaped", octets(t, "7E FF 7D 23 C0 21"), PPP},
		{"leading flag lost", request[1:], PPP},
		{"doubled flag", append([]byte{flag}, request...), PPP},
		{"without address and control", octets(t, "7E C0 21 7D 21"), PPP},
		{"the same without a flag", octets(t, "C0 21 7D 21 7D 21"), Undecided},
		{"an escaped flag is no flag", octets(t, "7D 5E C0 21 7D 21"), Undecided},
		{"garbage in front", append([]byte("{~\xff\xff~}x LAPM"), request...), PPP},
		{"link requests of MNP in front", append(octets(t, "16 10 02 00 16 10 02"), request...), PPP},
		{"octets of a ZyXEL and flow control inside", octets(t, "7E FF 11 7D 13 23 00 C0 01 21"), PPP},
		{"a login name in front", append([]byte("paula\rsecret\rppp\r"), request...), PPP},
		{"cut before the last octet", octets(t, "7E FF 7D 23 C0"), Undecided},
		{"PAP", octets(t, "7E FF 7D 23 C0 23 7D 21"), Undecided},
		{"IPCP", octets(t, "7E FF 7D 23 80 21 7D 21"), Undecided},
		{"stripped to 7 bits", strip(request), PPPSevenBit},
		{"even parity", parity(request, false), PPPSevenBit}, // it shows only in the escaped 03: A3
		{"odd parity", parity(request, true), PPPSevenBit},
		{"SLIP", octets(t, "C0 45 00 00 54"), SLIP},
		{"SLIP, doubled END", octets(t, "0D 0A C0 C0 45 00"), SLIP},
		{"CSLIP", octets(t, "C0 75 00 00 28"), CSLIP},
		{"END alone", octets(t, "C0 C0 00 45"), Undecided},
		{"EMSI", []byte("\r**EMSI_INQC816\r"), Mailer},
		{"EMSI after asterisks", []byte("*****EMSI_INQC816"), Mailer},
		{"EMSI with something between", []byte("**EM**EMSI_INQ"), Mailer},
		{"EMSI data is not an inquiry", []byte("**EMSI_DAT"), Undecided},
		{"TSYNC and YooHoo", octets(t, "AE F1 AE"), Mailer},
		{"TSYNC alone", octets(t, "AE 41 AE AE 41"), Undecided},
		{"direct cable", []byte("CLIENTCLIENT"), DirectCable},
		{"direct cable with noise", []byte("CLICLIENT"), DirectCable},
		{"direct cable, 7 bits and parity", parity([]byte("CLIENT"), true), DirectCable},
		{"a person", []byte("hello? login: client\r\npassword: CLIEN T\r\n"), Undecided},
		{"AT commands", []byte("ATZ\r\r\nOK\r\nATDT5551001\r"), Undecided},
	} {
		for n := 1; n <= len(c.in)+1; n++ {
			d := NewDetector()
			got := Undecided
			for i := 0; i < len(c.in); i += n {
				var s DetectorState
				transfer(t, d.State(), &s, n%2 == 0)
				d = RestoreDetector(s)
				got = d.Feed(c.in[i:min(i+n, len(c.in))])
			}
			if got != c.want || d.Found() != c.want {
				t.Fatalf("%s, pieces of %d: %v, want %v", c.name, n, got, c.want)
			}
		}
	}
}

func TestDetectorStaysDecided(t *testing.T) {
	d := NewDetector()
	d.Feed([]byte("CLIENT"))
	if got := d.Feed(octets(t, "7E FF 03 C0 21")); got != DirectCable || d.State().Octets != 6 {
		t.Errorf("%v after %d octets", got, d.State().Octets)
	}
}

// Noise on a line without error correction must not pass for anything.
func TestDetectorIgnoresNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for run := range 200 {
		noise := make([]byte, 50)
		for i := range noise {
			noise[i] = [...]byte{'{', '~', 0xFF, byte(rng.Uint32()), byte(rng.Uint32())}[rng.IntN(5)]
		}
		if got := NewDetector().Feed(noise); got != Undecided {
			t.Fatalf("run %d: %v in % X", run, got, noise)
		}
	}
}

func TestDetectionNames(t *testing.T) {
	seen := map[string]bool{}
	for d := Undecided; d <= DirectCable+1; d++ {
		if s := d.String(); s == "" || seen[s] {
			t.Errorf("detection %d is called %q", uint8(d), s)
		} else {
			seen[s] = true
		}
	}
}

func FuzzDetectorSplit(f *testing.F) {
	f.Add([]byte("~\xff}#\xc0!}!"), uint8(2))
	f.Add([]byte("***EMSI_INQ"), uint8(1))
	f.Add([]byte("~\x7f}#@!}!"), uint8(3))
	f.Add([]byte{0xC0, 0x45, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		whole, parts := NewDetector(), NewDetector()
		want := whole.Feed(b)
		for n := int(piece) + 1; len(b) > 0; b = b[min(n, len(b)):] {
			parts.Feed(b[:min(n, len(b))])
		}
		if parts.State() != whole.State() || parts.Found() != want {
			t.Fatalf("pieces: %+v\nwhole: %+v", parts.State(), whole.State())
		}
	})
}

func BenchmarkDetector(b *testing.B) {
	noise := bytes.Repeat([]byte("\r\nlogin: "), 100)
	d := NewDetector()
	b.SetBytes(int64(len(noise)))
	b.ReportAllocs()
	for b.Loop() {
		d.Feed(noise)
	}
}
