package hdlc

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// good returns body and its FCS, not escaped.
func good(body ...byte) []byte {
	fcs := ^FCS(FCSInit, body)
	return append(body[:len(body):len(body)], byte(fcs), byte(fcs>>8))
}

// feed gives b to d in pieces of n octets and returns copies of the frames.
func feed(d *Deframer, b []byte, n int) [][]byte {
	var frames [][]byte
	for len(b) > 0 {
		piece := b[:min(n, len(b))]
		b = b[len(piece):]
		for len(piece) > 0 {
			var f []byte
			if f, piece = d.Next(piece); f != nil {
				frames = append(frames, bytes.Clone(f))
			}
		}
	}
	return frames
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

var (
	flagOctet = []byte{flag}
	// one and two are frames that need no escape but for control characters in the first's header.
	one = []byte{0xFF, 0x03, 0xC0, 0x21, 0x09, 0x01, 0x00, 0x08, 'a', 'b', 'c', 'd'}
	two = []byte{0xFF, 0x03, 0x80, 0xFD, 0x41, 0x42}
)

func TestDeframer(t *testing.T) {
	escaped := func(frame []byte) []byte { return AppendFrame(nil, frame, DefaultACCM)[1:] } // with its closing flag only
	raw := func(body ...byte) []byte { return append(good(body...), flag) }
	for _, c := range []struct {
		name     string
		accm     uint32
		in       []byte
		want     [][]byte
		counters DeframerCounters
	}{
		{"nothing", DefaultACCM, nil, nil, DeframerCounters{}},
		{"flags only", DefaultACCM, []byte{flag, flag, flag}, nil, DeframerCounters{}},
		{"one frame", DefaultACCM, join(flagOctet, escaped(one)), [][]byte{one}, DeframerCounters{Frames: 1, Octets: 12}},
		{"shared flag", DefaultACCM, join(flagOctet, escaped(one), escaped(two)), [][]byte{one, two}, DeframerCounters{Frames: 2, Octets: 18}},
		{"two flags between", DefaultACCM, join(flagOctet, escaped(one), flagOctet, escaped(two)), [][]byte{one, two}, DeframerCounters{Frames: 2, Octets: 18}},
		{"first flag lost", DefaultACCM, join(escaped(one), escaped(two)), [][]byte{one, two}, DeframerCounters{Frames: 2, Octets: 18}},
		{"noise, then a frame", DefaultACCM, join([]byte("CONNECT 33600\r\n{~"), escaped(one)), [][]byte{one},
			DeframerCounters{Frames: 1, Octets: 12, Noise: 16, ControlDrop: 2}},
		{"escaped noise before the first flag", DefaultACCM, join([]byte("xx}"), flagOctet, escaped(one)), [][]byte{one},
			DeframerCounters{Frames: 1, Octets: 12, Noise: 2}},
		{"noise between frames", DefaultACCM, join(flagOctet, escaped(one), []byte("garbage"), flagOctet, escaped(two)), [][]byte{one, two},
			DeframerCounters{Frames: 2, Octets: 18, FCSErrors: 1}},
		{"noise glued to a frame", DefaultACCM, join(flagOctet, escaped(one), []byte("x"), escaped(two), escaped(one)), [][]byte{one, one},
			DeframerCounters{Frames: 2, Octets: 24, FCSErrors: 1}},
		{"aborted", DefaultACCM, join(flagOctet, []byte("aborted}"), escaped(one)[0:0], flagOctet, escaped(one)), [][]byte{one},
			DeframerCounters{Frames: 1, Octets: 12, Aborts: 1}},
		{"a whole good frame aborted", 0, join(flagOctet, good(two...), []byte{escape, flag}, escaped(one)), [][]byte{one},
			DeframerCounters{Frames: 1, Octets: 12, Aborts: 1}},
		{"runts", DefaultACCM, []byte{flag, 'a', flag, 'a', 'b', flag, 'a', 'b', 'c', flag, 'a', 'b', 'c', 'd', flag}, nil,
			DeframerCounters{Runts: 3, FCSErrors: 1}},
		{"shortest frame", 0, join(flagOctet, raw('a', 'b')), [][]byte{{'a', 'b'}}, DeframerCounters{Frames: 1, Octets: 2}},
		{"good FCS in three octets", 0, join(flagOctet, raw('a')), nil, DeframerCounters{Runts: 1}},
		{"control characters inserted", DefaultACCM, join([]byte{flag, 0x11}, escaped(one)[:5], []byte{0x13, 0x00}, escaped(one)[5:]), [][]byte{one},
			DeframerCounters{Frames: 1, Octets: 12, ControlDrop: 3}},
		{"control character between escape and octet", DefaultACCM, join([]byte{flag, 0xFF, escape, 0x11}, escaped(one)[2:]), [][]byte{one},
			DeframerCounters{Frames: 1, Octets: 12, ControlDrop: 1}},
		{"only control characters between flags", DefaultACCM, []byte{flag, 0x11, 0x13, flag}, nil, DeframerCounters{ControlDrop: 2}},
		{"XON and XOFF only in the map", 0x000A0000, join(flagOctet, []byte{0x11}, raw(one...)), [][]byte{one},
			DeframerCounters{Frames: 1, Octets: 12, ControlDrop: 1}},
		{"far end uses a smaller map already", DefaultACCM, join(flagOctet, raw(one...)), [][]byte{one},
			DeframerCounters{Frames: 1, Octets: 12, Unescaped: 1}},
		{"all escaped, map empty", 0, join(flagOctet, escaped(one)), [][]byte{one}, DeframerCounters{Frames: 1, Octets: 12}},
		{"more escaped than need be", 0, join(flagOctet, []byte{escape, 'a' ^ flipBit, escape, 'b' ^ flipBit}, good('a', 'b')[2:], flagOctet), [][]byte{{'a', 'b'}},
			DeframerCounters{Frames: 1, Octets: 2}},
		{"bad FCS", 0, join(flagOctet, []byte("abcdef"), flagOctet), nil, DeframerCounters{FCSErrors: 1}},
		{"longest", 0, join(flagOctet, raw(bytes.Repeat([]byte{'a'}, 20)...)), [][]byte{bytes.Repeat([]byte{'a'}, 20)}, DeframerCounters{Frames: 1, Octets: 20}},
		{"one too long", 0, join(flagOctet, raw(bytes.Repeat([]byte{'a'}, 21)...), raw(two...)), [][]byte{two}, DeframerCounters{Frames: 1, Octets: 6, Oversize: 1}},
		{"much too long", 0, join(flagOctet, bytes.Repeat([]byte{'a'}, 5000), flagOctet, raw(two...)), [][]byte{two},
			DeframerCounters{Frames: 1, Octets: 6, Oversize: 1}},
		{"longest, full of inserted controls", DefaultACCM,
			join(flagOctet, bytes.Repeat([]byte{0x11}, 40), bytes.Repeat([]byte{'a', 0x13}, 20), escaped(bytes.Repeat([]byte{'a'}, 20))[20:]),
			[][]byte{bytes.Repeat([]byte{'a'}, 20)}, DeframerCounters{Frames: 1, Octets: 20, ControlDrop: 60}},
		{"too long by unescaped controls", DefaultACCM, join(flagOctet, raw(bytes.Repeat([]byte{1}, 21)...)), nil,
			DeframerCounters{ControlDrop: 21, Runts: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := 1; n <= len(c.in)+1; n++ {
				d := NewDeframer(20)
				d.SetReceiveACCM(c.accm)
				got := feed(d, c.in, n)
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("pieces of %d: frames %x, want %x", n, got, c.want)
				}
				if d.Counters() != c.counters {
					t.Errorf("pieces of %d: %+v, want %+v", n, d.Counters(), c.counters)
				}
			}
		})
	}
}

// The map may change at any octet; what has come before was judged by the old one.
func TestDeframerMapChangesInFrame(t *testing.T) {
	in := append(append([]byte{flag}, good(one...)...), flag)
	d := NewDeframer(0)
	var got [][]byte
	got = append(got, feed(d, in[:2], 1)...) // FF
	d.SetReceiveACCM(0)
	got = append(got, feed(d, in[2:], 1)...)
	if len(got) != 1 || !bytes.Equal(got[0], one) {
		t.Fatalf("frames %x", got)
	}
	if c := d.Counters(); c.Frames != 1 || c.ControlDrop != 0 {
		t.Fatalf("%+v", c)
	}
}

func TestDeframerStateGoesOn(t *testing.T) {
	var stream []byte
	stream = append(stream, "noise"...)
	stream = AppendFrame(stream, one, DefaultACCM)
	stream = append(append(append(stream, flag), good(one...)...), flag) // unescaped
	stream = append(stream, 'x', flag, escape, flag)
	stream = append(append(stream, bytes.Repeat([]byte{'y'}, 100)...), flag)
	stream = append(append(stream, bytes.Repeat([]byte{0x11}, 50)...), AppendFrame(nil, two, DefaultACCM)[1:]...)
	whole := NewDeframer(40)
	want := feed(whole, stream, len(stream))
	for cut := range stream {
		first := NewDeframer(40)
		got := feed(first, stream[:cut], 7)
		var state DeframerState
		transfer(t, first.State(), &state, cut%2 == 0)
		second, err := RestoreDeframer(state)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		got = append(got, feed(second, stream[cut:], 7)...)
		if !reflect.DeepEqual(got, want) || second.Counters() != whole.Counters() {
			t.Fatalf("cut at %d: %x %+v\nwant %x %+v", cut, got, second.Counters(), want, whole.Counters())
		}
	}
}

// transfer sends a state through gob or JSON.
func transfer(t *testing.T, from, to any, asJSON bool) {
	t.Helper()
	var buffer bytes.Buffer
	var err error
	if asJSON {
		err = errors.Join(json.NewEncoder(&buffer).Encode(from), json.NewDecoder(&buffer).Decode(to))
	} else {
		err = errors.Join(gob.NewEncoder(&buffer).Encode(from), gob.NewDecoder(&buffer).Decode(to))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestoreDeframerRefuses(t *testing.T) {
	for i, s := range []DeframerState{
		{MaxFrame: 0},
		{MaxFrame: 1 << 20},
		{MaxFrame: 4, Frame: make([]byte, 7)},
		{MaxFrame: 4, Frame: make([]byte, 2), Removed: []uint16{2}},
		{MaxFrame: 4, Frame: make([]byte, 3), Removed: []uint16{1, 1}},
	} {
		if _, err := RestoreDeframer(s); !errors.Is(err, ErrState) {
			t.Errorf("state %d: error %v", i, err)
		}
	}
}

func TestDeframerDoesNotAllocate(t *testing.T) {
	var stream []byte
	for range 10 {
		stream = AppendFrame(stream, bytes.Repeat([]byte{'a', 0x11, 0x7E}, 300), 0)
	}
	d := NewDeframer(0)
	d.SetReceiveACCM(0)
	frames := 0
	if n := testing.AllocsPerRun(100, func() {
		for b := stream; len(b) > 0; {
			var f []byte
			if f, b = d.Next(b); f != nil {
				frames++
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations per run", n)
	}
	if frames != 101*10 {
		t.Errorf("%d frames", frames)
	}
}

// Any octets, in any pieces and with any map: the same frames and counters, and nothing longer than allowed.
func FuzzDeframerSplit(f *testing.F) {
	f.Add([]byte("~\xff}#\xc0!}!}!} }.}!}$\x05\xdc}\"}&\xff\xff\xff\xff\xd6\xc6~"), uint32(DefaultACCM), uint8(3))
	f.Add(join(flagOctet, good(one...), flagOctet, []byte{escape, flag, 1, 2, 3, 4, 5, flag}), uint32(DefaultACCM), uint8(1))
	f.Add(AppendFrame(AppendFrame(nil, one, 0), two, DefaultACCM), uint32(0), uint8(2))
	f.Add(bytes.Repeat([]byte{1, 2, 'a'}, 40), uint32(6), uint8(5))
	f.Fuzz(func(t *testing.T, b []byte, accm uint32, piece uint8) {
		const longest = 24
		whole, parts := NewDeframer(longest), NewDeframer(longest)
		whole.SetReceiveACCM(accm)
		parts.SetReceiveACCM(accm)
		before := bytes.Clone(b)
		want, got := feed(whole, b, len(b)+1), feed(parts, b, int(piece)+1)
		if !bytes.Equal(b, before) {
			t.Fatal("input was changed")
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || parts.Counters() != whole.Counters() {
			t.Fatalf("pieces of %d: %x %+v\nwhole: %x %+v", int(piece)+1, got, parts.Counters(), want, whole.Counters())
		}
		for _, frame := range want {
			if len(frame) > longest || len(frame) < minFrame-fcsLength {
				t.Fatalf("a frame of %d octets", len(frame))
			}
		}
	})
}

func BenchmarkDeframer(b *testing.B) {
	frame := make([]byte, 1500)
	for i := range frame {
		frame[i] = byte(i * 7)
	}
	stream := AppendFrame(nil, frame, 0)
	d := NewDeframer(0)
	d.SetReceiveACCM(0)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if f, _ := d.Next(stream[1:]); f == nil {
			b.Fatal("no frame")
		}
	}
}
