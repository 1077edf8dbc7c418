package hdlc

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

func TestAppendFrame(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame string
		accm  uint32
		want  string
	}{
		{"LCP Configure-Request", "FF 03 C0 21 01 01 00 0E 01 04 05 DC 02 06 FF FF FF FF", DefaultACCM,
			"7E FF 7D 23 C0 21 7D 21 7D 21 7D 20 7D 2E 7D 21 7D 24 7D 25 DC 7D 22 7D 26 FF FF FF FF D6 C6 7E"},
		{"the same whatever the map", "FF 03 C0 21 01 01 00 0E 01 04 05 DC 02 06 FF FF FF FF", 0,
			"7E FF 7D 23 C0 21 7D 21 7D 21 7D 20 7D 2E 7D 21 7D 24 7D 25 DC 7D 22 7D 26 FF FF FF FF D6 C6 7E"},
		{"address and control are put back for LCP", "C0 21 01 01 00 0E 01 04 05 DC 02 06 FF FF FF FF", 0,
			"7E FF 7D 23 C0 21 7D 21 7D 21 7D 20 7D 2E 7D 21 7D 24 7D 25 DC 7D 22 7D 26 FF FF FF FF D6 C6 7E"},
		{"Code-Reject is the last such code", "FF 03 C0 21 07 01 00 04", 0, "7E FF 7D 23 C0 21 7D 27 7D 21 7D 20 7D 24 40 7D 28 7E"},
		{"Protocol-Reject is not", "FF 03 C0 21 08 01 00 04", 0, "7E FF 03 C0 21 08 01 00 04 41 E2 7E"},
		{"data, map 0", "21 45 00 7E 7D 11 13 0A 1F 20", 0, "7E 21 45 00 7D 5E 7D 5D 11 13 0A 1F 20 E5 1D 7E"},
		{"data, XON and XOFF", "21 45 00 7E 7D 11 13 0A 1F 20", 0x000A0000, "7E 21 45 00 7D 5E 7D 5D 7D 31 7D 33 0A 1F 20 E5 1D 7E"},
		{"data, bits 0 and 31", "21 45 00 7E 7D 11 13 0A 1F 20", 0x80000001, "7E 21 45 7D 20 7D 5E 7D 5D 11 13 0A 7D 3F 20 E5 1D 7E"},
		{"address and control are not put in front of data", "80 21 01 01 00 04", 0, "7E 80 21 01 01 00 04 7D 5E 26 7E"},
	} {
		// The FCS of the expected octets is computed, the rest is literal: TestFCSVectors vouches for it.
		frame, want := octets(t, c.frame), octets(t, c.want)
		got := AppendFrame(nil, frame, c.accm)
		if !bytes.Equal(body(t, got), body(t, want)) || len(got) > MaxEncoded(len(frame)) {
			t.Errorf("%s:\n% X, want\n% X", c.name, got, want)
		}
		d := NewDeframer(0)
		d.SetReceiveACCM(c.accm)
		if back, _ := d.Next(got); !bytes.HasSuffix(back, frame) || d.Counters().ControlDrop > 0 {
			t.Errorf("%s: deframed % X", c.name, back)
		}
	}
}

// body cuts off flags and the FCS, escaped or not.
func body(t *testing.T, b []byte) []byte {
	t.Helper()
	if len(b) < 4 || b[0] != flag || b[len(b)-1] != flag || bytes.Count(b, flagOctet) != 2 {
		t.Fatalf("no frame with two flags: % X", b)
	}
	b = b[1 : len(b)-1]
	for range fcsLength {
		b = b[:len(b)-1]
		if b[len(b)-1] == escape {
			b = b[:len(b)-1]
		}
	}
	return b
}

func TestFramerFlags(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f := NewFramer()
	first := f.Append(now, nil, two)
	if want := AppendFrame(nil, two, DefaultACCM); !bytes.Equal(first, want) {
		t.Errorf("first frame % X, want % X", first, want)
	}
	now = now.Add(flagInterval - 1)
	f = RestoreFramer(f.State())
	if got := f.Append(now, nil, two); !bytes.Equal(got, first[1:]) {
		t.Errorf("soon after: % X, want no opening flag", got)
	}
	now = now.Add(flagInterval)
	f.SetSendACCM(0)
	if got, want := f.Append(now, []byte("before"), two), append([]byte("before"), AppendFrame(nil, two, 0)...); !bytes.Equal(got, want) {
		t.Errorf("a second later: % X, want % X", got, want)
	}
	if s := f.State(); s.Frames != 3 || s.Octets != uint64(2*len(first)-1+len(AppendFrame(nil, two, 0))) {
		t.Errorf("%+v", s)
	}
}

func TestRoundTrip(t *testing.T) {
	const seed = 99
	rng := rand.New(rand.NewPCG(seed, 2))
	f, d := NewFramer(), NewDeframer(300)
	now := time.Unix(1, 0)
	var stream []byte
	var want [][]byte
	for range 500 {
		accm := rng.Uint32()
		f.SetSendACCM(accm)
		d.SetReceiveACCM(accm)
		frame := make([]byte, 2+rng.IntN(299))
		for i := range frame {
			frame[i] = byte(rng.Uint32() >> rng.UintN(8))
		}
		now = now.Add(time.Duration(rng.IntN(3)) * flagInterval / 2)
		stream = f.Append(now, stream[:0], frame)
		want = append(want, frame)
		got := feed(d, stream, 1+rng.IntN(40))
		if basic, bare := lcpConfiguration(frame); basic && bare {
			continue
		}
		if len(got) != 1 || !bytes.Equal(got[0], frame) {
			t.Fatalf("seed %d: map %08x, % X became % X", seed, accm, frame, got)
		}
	}
	if c := d.Counters(); c.Frames != uint64(len(want)) || c.FCSErrors+c.Runts+c.Aborts+c.ControlDrop+c.Unescaped != 0 {
		t.Fatalf("seed %d: %+v", seed, c)
	}
}

// Every frame survives the line with any map, even when the line loses the map's characters or inserts them.
func FuzzFramer(f *testing.F) {
	f.Add(one, uint32(0))
	f.Add(two, uint32(DefaultACCM))
	f.Add([]byte{0xC0, 0x21, 1, 2, 0, 4}, uint32(0x000A0000))
	f.Add([]byte{flag, escape, flag ^ flipBit, escape ^ flipBit, 0x11, 0x13}, uint32(0x000A0000))
	f.Fuzz(func(t *testing.T, frame []byte, accm uint32) {
		if len(frame) < 2 || len(frame) > 1000 {
			return
		}
		line := AppendFrame([]byte("x"), frame, accm)
		if len(line) > 1+MaxEncoded(len(frame)) {
			t.Fatalf("%d octets for %d", len(line), len(frame))
		}
		line = line[1:]
		for c := range byte(0x20) {
			if accm>>c&1 == 1 {
				if bytes.IndexByte(line, c) >= 0 {
					t.Fatalf("octet %02X of map %08X on the line: % X", c, accm, line)
				}
				line = append([]byte{c, line[0], c}, line[1:]...)
			}
		}
		d := NewDeframer(1002)
		d.SetReceiveACCM(accm)
		got := feed(d, append([]byte{flag}, line...), 1)
		if basic, bare := lcpConfiguration(frame); basic && bare {
			frame = append([]byte{address, control}, frame...)
		}
		if len(got) != 1 || !bytes.Equal(got[0], frame) {
			t.Fatalf("map %08X: % X became % X on the line % X", accm, frame, got, line)
		}
	})
}

func TestFramerDoesNotAllocate(t *testing.T) {
	frame := bytes.Repeat([]byte{'a', 0x11, 0x7E}, 500)
	f := NewFramer()
	buffer := make([]byte, 0, MaxEncoded(len(frame)))
	now := time.Unix(0, 0)
	if n := testing.AllocsPerRun(100, func() { buffer = f.Append(now, buffer[:0], frame) }); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func BenchmarkFramer(b *testing.B) {
	frame := make([]byte, 1500)
	for i := range frame {
		frame[i] = byte(i * 7)
	}
	buffer := make([]byte, 0, MaxEncoded(len(frame)))
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendFrame(buffer[:0], frame, 0x000A0000)
	}
}
