package pptp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

// outcome of framing a stream: the messages, the error and what is left.
type framing struct {
	messages [][]byte
	err      error
	left     int
}

// frame feeds the pieces to a Framer.
func frame(pieces ...[]byte) (r framing) {
	var f Framer
	for _, piece := range pieces {
		f.Feed(piece)
		for {
			msg, ok, err := f.Next()
			if err != nil {
				r.err = err
				return r
			}
			if !ok {
				break
			}
			r.messages = append(r.messages, bytes.Clone(msg))
		}
	}
	r.left = len(f.Buffered())
	return r
}

func (a framing) equal(b framing) bool {
	if len(a.messages) != len(b.messages) || a.left != b.left || (a.err == nil) != (b.err == nil) {
		return false
	}
	if a.err != nil && a.err.Error() != b.err.Error() {
		return false
	}
	for i := range a.messages {
		if !bytes.Equal(a.messages[i], b.messages[i]) {
			return false
		}
	}
	return true
}

// stream returns all goldens one behind the other.
func stream() (b []byte) {
	for _, g := range goldens {
		b = g.message.Append(b)
	}
	return b
}

func octets(b []byte) (pieces [][]byte) {
	for i := range b {
		pieces = append(pieces, b[i:i+1])
	}
	return pieces
}

func TestFramerWholeStream(t *testing.T) {
	got := frame(stream())
	if got.err != nil || got.left != 0 || len(got.messages) != len(goldens) {
		t.Fatalf("%d messages, %d left, %v", len(got.messages), got.left, got.err)
	}
	for i, msg := range got.messages {
		if want := goldens[i].message.Append(nil); !bytes.Equal(msg, want) {
			t.Errorf("message %d is %x, want %x", i, msg, want)
		}
	}
}

// TestFramerEverySplit cuts the stream in two at every place, and into octets.
func TestFramerEverySplit(t *testing.T) {
	s := stream()
	want := frame(s)
	for i := range s {
		if got := frame(s[:i], s[i:]); !got.equal(want) {
			t.Fatalf("split at %d: %d messages, %d left, %v", i, len(got.messages), got.left, got.err)
		}
	}
	if got := frame(octets(s)...); !got.equal(want) {
		t.Fatalf("octet by octet: %d messages, %d left, %v", len(got.messages), got.left, got.err)
	}
}

func TestFramerErrors(t *testing.T) {
	echo := (&EchoRequest{Identifier: 7}).Append(nil)
	tests := []struct {
		name   string
		octets []byte
		want   error
		at     int // so many octets are enough to know
	}{
		{"length below header", change(echo, 0, 0, 11), ErrBadLength, 2},
		{"length above maximum", change(echo, 0, 0x04, 0x01), ErrBadLength, 2},
		{"an HTTP request", []byte("GET / HTTP/1.1\r\n"), ErrBadLength, 2},
		{"management message", change(echo, 2, 0, 2), ErrBadMessageType, 4},
		{"bad magic", change(echo, 4, 0), ErrBadMagic, 8},
		{"length below type", change(echo, 0, 0, 15), ErrBadLength, 10},
		{"SCCRQ of 16 octets", change(echo, 8, 0, 1), ErrBadLength, 10},
	}
	for _, tt := range tests {
		var f Framer
		good := (&EchoReply{}).Append(nil)
		f.Feed(good)
		if msg, ok, err := f.Next(); !ok || err != nil || !bytes.Equal(msg, good) {
			t.Fatalf("%s: good message before: %v %v", tt.name, ok, err)
		}
		for i := range tt.octets {
			f.Feed(tt.octets[i : i+1])
			_, ok, err := f.Next()
			if ok {
				t.Fatalf("%s: a message", tt.name)
			}
			if known := i+1 >= tt.at; known != (err != nil) || known && !errors.Is(err, tt.want) {
				t.Errorf("%s: after %d octets %v, want %v after %d", tt.name, i+1, err, tt.want, tt.at)
			}
		}
		f.Feed(good)
		if _, ok, err := f.Next(); ok || !errors.Is(err, tt.want) {
			t.Errorf("%s: it hunts for the next message: %v %v", tt.name, ok, err)
		}
		if n := len(f.Buffered()); n != 0 {
			t.Errorf("%s: holds %d octets after the error", tt.name, n)
		}
	}
}

// TestFramerUnknownType: an unknown type is framed by its Length.
func TestFramerUnknownType(t *testing.T) {
	odd := change(make([]byte, 100), 0, 0, 100, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 99)
	got := frame(odd, (&EchoReply{}).Append(nil))
	if got.err != nil || len(got.messages) != 2 || !bytes.Equal(got.messages[0], odd) {
		t.Fatalf("%d messages, %v", len(got.messages), got.err)
	}
}

// TestFramerBounds: between messages nothing is held, in the middle of one no
// more than was fed.
func TestFramerBounds(t *testing.T) {
	var f Framer
	msg := (&IncomingCallRequest{}).Append(nil)
	for range 1000 {
		f.Feed(msg)
		if _, ok, err := f.Next(); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, ok, err := f.Next(); ok || err != nil {
			t.Fatal(ok, err)
		}
		if f.buf != nil {
			t.Fatalf("holds %d octets between messages", cap(f.buf))
		}
	}
	long := change(make([]byte, MaximumLength), 0, 0x04, 0x00, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 99)
	for i := range long {
		f.Feed(long[i : i+1])
		if _, ok, err := f.Next(); err != nil || ok != (i == len(long)-1) {
			t.Fatal(i, ok, err)
		}
		if cap(f.buf) > 2*MaximumLength {
			t.Fatalf("holds %d octets for %d", cap(f.buf), i)
		}
	}
}

// TestFramerBuffered: a fresh Framer goes on from what another has buffered.
func TestFramerBuffered(t *testing.T) {
	s := stream()
	want := frame(s)
	for i := range s {
		var first, second Framer
		var got framing
		take := func(f *Framer) {
			for {
				msg, ok, err := f.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					return
				}
				got.messages = append(got.messages, bytes.Clone(msg))
			}
		}
		first.Feed(s[:i])
		take(&first)
		second.Feed(first.Buffered())
		second.Feed(s[i:])
		take(&second)
		if !got.equal(want) {
			t.Fatalf("handed over at %d: %d messages", i, len(got.messages))
		}
	}
}

func TestFramerKeepsNothing(t *testing.T) {
	var f Framer
	b := (&EchoRequest{Identifier: 1}).Append(nil)
	want := bytes.Clone(b)
	f.Feed(b[:10])
	tail := bytes.Clone(b[10:])
	clear(b)
	f.Feed(tail)
	if msg, ok, _ := f.Next(); !ok || !bytes.Equal(msg, want) {
		t.Errorf("%x", msg)
	}
}

// seedStreams are the seeds of the fuzzers.
func seedStreams() [][]byte {
	s := stream()
	seeds := [][]byte{s, s[:200], octetsSwapped(s[:168])}
	for _, g := range goldens {
		seeds = append(seeds, g.message.Append(nil))
	}
	long := append((&EchoRequest{}).Append(nil), 1, 2, 3, 4)
	binary.BigEndian.PutUint16(long, uint16(len(long)))
	return append(seeds, long, []byte("GET / HTTP/1.1\r\n\r\n"), nil)
}

func octetsSwapped(b []byte) []byte {
	b = bytes.Clone(b)
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return b
}

// FuzzFramer: the verdict on a stream does not depend on how it was split, and
// what comes out is what went in.
func FuzzFramer(f *testing.F) {
	for i, s := range seedStreams() {
		f.Add(s, uint64(i))
	}
	f.Fuzz(func(t *testing.T, s []byte, seed uint64) {
		want := frame(s)
		random := rand.New(rand.NewPCG(seed, 1))
		var pieces [][]byte
		for rest := s; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 40))
			pieces = append(pieces, rest[:n])
			rest = rest[n:]
		}
		if got := frame(pieces...); !got.equal(want) {
			t.Fatalf("random split: %d messages, %v; whole: %d, %v", len(got.messages), got.err, len(want.messages), want.err)
		}
		if got := frame(octets(s)...); !got.equal(want) {
			t.Fatalf("octets: %d messages, %v; whole: %d, %v", len(got.messages), got.err, len(want.messages), want.err)
		}
		if joined := bytes.Join(want.messages, nil); !bytes.HasPrefix(s, joined) || want.err == nil && len(joined)+want.left != len(s) {
			t.Fatalf("%d octets in, %d out, %d left", len(s), len(joined), want.left)
		}
		for _, msg := range want.messages {
			if _, err := Decode(msg); err != nil && !errors.Is(err, ErrUnknownType) {
				t.Fatalf("the Framer delivers what Decode refuses: %v", err)
			}
		}
	})
}

// FuzzDecode: no panic, and what decodes encodes to the same octets, up to the
// length of its type.
func FuzzDecode(f *testing.F) {
	for _, s := range seedStreams() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		m, err := Decode(msg)
		if err != nil {
			for _, known := range []error{ErrTruncated, ErrBadLength, ErrBadMessageType, ErrBadMagic, ErrUnknownType} {
				if errors.Is(err, known) {
					return
				}
			}
			t.Fatalf("no sentinel: %v", err)
		}
		want := bytes.Clone(msg[:m.Type().Length()])
		binary.BigEndian.PutUint16(want, uint16(len(want)))
		wire := m.Append(nil)
		if !bytes.Equal(wire, want) {
			t.Fatalf("encoded\n%x, want\n%x", wire, want)
		}
		again, err := Decode(wire)
		if err != nil || !bytes.Equal(again.Append(nil), wire) {
			t.Fatalf("not stable: %v", err)
		}
		for _, r := range m.Summary() {
			if r < ' ' || r > '~' {
				t.Fatalf("Summary is not one printable line: %q", m.Summary())
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	wire := (&OutgoingCallRequest{}).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(wire); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFramer(b *testing.B) {
	s := stream()
	var f Framer
	b.ReportAllocs()
	b.SetBytes(int64(len(s)))
	for b.Loop() {
		f.Feed(s)
		for {
			_, ok, err := f.Next()
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
		}
	}
}
