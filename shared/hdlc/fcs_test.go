package hdlc

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

// octets decodes hex with spaces.
func octets(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFCSVectors(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want uint16
	}{
		{"check value of CRC-16/X-25", []byte("123456789"), 0x906E},
		{"Configure-Request with MRU and ACCM", octets(t, "FF 03 C0 21 01 01 00 0E 01 04 05 DC 02 06 FF FF FF FF"), 0xC6D6},
		{"nothing", nil, 0},
	} {
		if got := ^FCS(FCSInit, c.in); got != c.want {
			t.Errorf("%s: FCS %04X, want %04X", c.name, got, c.want)
		}
		sum := ^FCS(FCSInit, c.in)
		if got := FCS(FCSInit, append(c.in, byte(sum), byte(sum>>8))); got != FCSGood {
			t.Errorf("%s: with its FCS %04X, want %04X", c.name, got, FCSGood)
		}
	}
}

// The definition of RFC 1662 section C.1, bit by bit.
func TestFCSAgainstDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1662))
	for range 200 {
		b := make([]byte, rng.IntN(200))
		want := uint16(FCSInit)
		for i := range b {
			b[i] = byte(rng.Uint32())
			for bit := range 8 {
				if (want^uint16(b[i])>>bit)&1 == 1 {
					want = want>>1 ^ 0x8408
				} else {
					want >>= 1
				}
			}
		}
		cut := rng.IntN(len(b) + 1)
		if got := FCS(FCS(FCSInit, b[:cut]), b[cut:]); got != want {
			t.Fatalf("%x, cut at %d: %04X, want %04X", b, cut, got, want)
		}
	}
}
