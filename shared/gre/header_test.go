package gre

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func octets(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each field has a value of its own, so that a swap shows.
var goldens = []struct {
	name    string
	header  Header
	payload string
	wire    string
}{
	{"data", Header{PayloadLength: 3, CallID: 0x1234, HasSequence: true, Sequence: 0x89ABCDEF}, "C02101",
		"3001 880B 0003 1234 89ABCDEF C02101"},
	{"data and ack", Header{PayloadLength: 2, CallID: 0xFFFE, HasSequence: true, Sequence: 1, HasAck: true, Ack: 0xFFFFFFFF}, "2145",
		"3081 880B 0002 FFFE 00000001 FFFFFFFF 2145"},
	{"ack only", Header{CallID: 7, HasAck: true, Ack: 0x01020304}, "", "2081 880B 0000 0007 01020304"},
	{"first packet of a call with Call ID 0", Header{PayloadLength: 1, HasSequence: true}, "AA", "3001 880B 0001 0000 00000000 AA"},
	{"sequence without payload", Header{CallID: 1, HasSequence: true, Sequence: 5}, "", "3001 880B 0000 0001 00000005"},
	{"payload without sequence", Header{PayloadLength: 2, CallID: 1}, "C021", "2001 880B 0002 0001 C021"},
}

func TestHeaderGoldens(t *testing.T) {
	for _, c := range goldens {
		wire, payload := octets(t, c.wire), octets(t, c.payload)
		if got := append(c.header.Append([]byte("x")), payload...); !bytes.Equal(got[1:], wire) {
			t.Errorf("%s: encoded % X, want % X", c.name, got[1:], wire)
		}
		if c.header.Len() != len(wire)-len(payload) {
			t.Errorf("%s: Len %d", c.name, c.header.Len())
		}
		for _, padding := range []int{0, 1, 30} {
			h, got, err := Parse(append(bytes.Clone(wire), make([]byte, padding)...))
			if err != nil || h != c.header || !bytes.Equal(got, payload) {
				t.Errorf("%s, %d octets of padding: %+v % X %v, want %+v", c.name, padding, h, got, err, c.header)
			}
			if cap(got) != len(got) {
				t.Errorf("%s: an append to the payload would write over the padding", c.name)
			}
		}
		for n := range wire {
			want := ErrShort
			if n >= c.header.Len() {
				want = ErrPayloadLength
			}
			if _, _, err := Parse(wire[:n]); !errors.Is(err, want) {
				t.Errorf("%s, cut to %d octets: %v, want %v", c.name, n, err, want)
			}
		}
	}
}

func TestPutPrepends(t *testing.T) {
	h := Header{PayloadLength: 2, CallID: 9, HasSequence: true, Sequence: 3, HasAck: true, Ack: 4}
	buffer := append(make([]byte, 20), 0xC0, 0x21)
	start := 20 - h.Len()
	if n := h.Put(buffer[start:]); n != h.Len() {
		t.Fatalf("Put wrote %d octets", n)
	}
	if back, payload, err := Parse(buffer[start:]); back != h || !bytes.Equal(payload, buffer[20:]) || err != nil {
		t.Fatalf("%+v % X %v", back, payload, err)
	}
	if !bytes.Equal(buffer[:start], make([]byte, start)) {
		t.Fatal("wrote in front of the header")
	}
}

// Every bit that must be fixed is looked at.
func TestParseRefusesFlags(t *testing.T) {
	wire := octets(t, goldens[1].wire)
	for bit := range 16 {
		b := bytes.Clone(wire)
		binary.BigEndian.PutUint16(b, binary.BigEndian.Uint16(b)^1<<bit)
		_, _, err := Parse(b)
		if free := 1<<bit&(flagSequence|flagAck) != 0; free && errors.Is(err, ErrFlags) || !free && !errors.Is(err, ErrFlags) {
			t.Errorf("bit %#04x flipped: %v", 1<<bit, err)
		}
		b = bytes.Clone(wire)
		binary.BigEndian.PutUint16(b[2:], binary.BigEndian.Uint16(b[2:])^1<<bit)
		if _, _, err := Parse(b); !errors.Is(err, ErrProtocolType) {
			t.Errorf("bit %#04x of the protocol type flipped: %v", 1<<bit, err)
		}
	}
}

// recorded calls f with the GRE part of each packet of a capture that is not a fragment.
func recorded(t testing.TB, path string, f func(source [4]byte, packet []byte)) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const magic, ethernet = 0xA1B2C3D4, 1
	if binary.LittleEndian.Uint32(b) != magic || binary.LittleEndian.Uint32(b[20:]) != ethernet {
		t.Fatalf("%s: not what is expected", path)
	}
	for b = b[24:]; len(b) > 0; {
		n := binary.LittleEndian.Uint32(b[8:])
		frame := b[16 : 16+n]
		b = b[16+n:]
		if binary.BigEndian.Uint16(frame[12:]) != 0x0800 || frame[14+9] != IPProtocol || binary.BigEndian.Uint16(frame[14+6:])&0x3FFF != 0 {
			continue
		}
		ip := frame[14:]
		f([4]byte(ip[12:16]), ip[int(ip[0]&0xF)*4:binary.BigEndian.Uint16(ip[2:])])
	}
}

func captures(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob("../../test/captures/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range all {
		if !strings.HasPrefix(filepath.Base(name), "serial-") {
			names = append(names, name)
		}
	}
	if len(names) < 20 {
		t.Fatalf("%d recorded calls", len(names))
	}
	return names
}

// The headers of recorded calls decode and come out the same octet for octet, and their packets pass a Receiver in order.
func TestRecordedCalls(t *testing.T) {
	for _, name := range captures(t) {
		receivers := map[[4]byte]*Receiver{}
		packets := 0
		recorded(t, name, func(source [4]byte, packet []byte) {
			packets++
			h, payload, err := Parse(packet)
			if err != nil {
				t.Fatalf("%s: packet %d: %v: % X", name, packets, err, packet)
			}
			if got := append(h.Append(nil), payload...); !bytes.Equal(got, packet) {
				t.Fatalf("%s: packet %d:\n% X, was\n% X", name, packets, got, packet)
			}
			r := receivers[source]
			if r == nil {
				r = NewReceiver(ReceiverConfig{ReorderPackets: -1})
				receivers[source] = r
			}
			r.Receive(epoch, h, payload)
			f, ok := r.Next()
			if ok != (len(payload) > 0) || !bytes.Equal(f.Payload, payload) {
				t.Fatalf("%s: packet %d: %v % X", name, packets, ok, f.Payload)
			}
		})
		if packets < 4 {
			t.Errorf("%s: %d GRE packets", name, packets)
		}
		for source, r := range receivers {
			c := r.Counters()
			if c.Late+c.Duplicates+c.Strays+c.Restarts+c.Unsequenced > 0 {
				t.Errorf("%s: from %v: %+v", name, source, c)
			}
		}
	}
}

func TestBefore(t *testing.T) {
	for _, c := range []struct {
		a, b uint32
		want bool
	}{
		{0, 0, false}, {0, 1, true}, {1, 0, false},
		{0xFFFFFFFF, 0, true}, {0, 0xFFFFFFFF, false}, {0xFFFFFFF0, 0x10, true},
		{0x7FFFFFFF, 0x80000000, true}, {0, 0x7FFFFFFF, true}, {0x7FFFFFFF, 0, false},
	} {
		if got := Before(c.a, c.b); got != c.want {
			t.Errorf("Before(%#x, %#x) = %v", c.a, c.b, got)
		}
	}
}

func TestAck(t *testing.T) {
	if _, ok := Ack(0).Sequence(); ok {
		t.Error("the zero Ack acknowledges something")
	}
	for _, n := range []uint32{0, 1, 0xFFFFFFFF} {
		if got, ok := AckOf(n).Sequence(); got != n || !ok {
			t.Errorf("Ack of %#x: %#x %v", n, got, ok)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range goldens {
		f.Add(octets(f, c.wire))
	}
	f.Add(octets(f, "3081 880B FFFF FFFE 00000001 FFFFFFFF 2145"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := Parse(b)
		if err != nil {
			return
		}
		if int(h.PayloadLength) != len(payload) {
			t.Fatalf("payload of %d octets, header says %d", len(payload), h.PayloadLength)
		}
		if got := append(h.Append(nil), payload...); !bytes.Equal(got, b[:len(got)]) {
			t.Fatalf("% X became % X", b, got)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	packet := append(Header{PayloadLength: 1400, HasSequence: true, HasAck: true}.Append(nil), make([]byte, 1400)...)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(packet); err != nil {
			b.Fatal(err)
		}
	}
}
