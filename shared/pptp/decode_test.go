package pptp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// change returns a copy of b with the octets at off replaced.
func change(b []byte, off int, to ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[off:], to)
	return b
}

func TestDecodeErrors(t *testing.T) {
	echo := (&EchoRequest{Identifier: 7}).Append(nil)
	tests := []struct {
		name string
		msg  []byte
		want error
	}{
		{"empty", nil, ErrTruncated},
		{"header cut", echo[:11], ErrTruncated},
		{"body cut", echo[:15], ErrTruncated},
		{"octets too many", append(bytes.Clone(echo), 0), ErrBadLength},
		{"length below header", change(echo, 0, 0, 11), ErrBadLength},
		{"length zero", change(echo, 0, 0, 0), ErrBadLength},
		{"length below type", change(echo[:12], 0, 0, 12), ErrBadLength},
		{"length above maximum", change(make([]byte, MaximumLength+1), 0, 0x04, 0x01, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, 5), ErrBadLength},
		{"management message", change(echo, 2, 0, 2), ErrBadMessageType},
		{"message type 0", change(echo, 2, 0, 0), ErrBadMessageType},
		{"magic off by one bit", change(echo, 7, 0x4c), ErrBadMagic},
		{"control type 0", change(echo, 8, 0, 0), ErrUnknownType},
		{"control type 16", change(echo, 8, 0, 16), ErrUnknownType},
		{"control type 0x0500", change(echo, 8, 5, 0), ErrUnknownType},
	}
	for _, tt := range tests {
		m, err := Decode(tt.msg)
		if !errors.Is(err, tt.want) || m != nil {
			t.Errorf("%s: got %v, %v, want %v", tt.name, m, err, tt.want)
		}
	}
}

// TestEveryShortLength: no type may be read with a Length below its own.
func TestEveryShortLength(t *testing.T) {
	for _, mt := range MessageTypes() {
		whole := mt.New().Append(nil)
		for n := range len(whole) {
			if _, err := Decode(whole[:n]); err == nil {
				t.Errorf("%v: %d octets decode", mt, n)
			}
			short := bytes.Clone(whole[:n])
			if n >= HeaderLength {
				binary.BigEndian.PutUint16(short, uint16(n))
				if _, err := Decode(short); !errors.Is(err, ErrBadLength) {
					t.Errorf("%v: Length %d: %v", mt, n, err)
				}
			}
		}
	}
}

// TestLongerMessage: octets beyond those of the type are ignored, as
// pptp-linux does.
func TestLongerMessage(t *testing.T) {
	for _, mt := range MessageTypes() {
		exact := mt.New().Append(nil)
		long := append(bytes.Clone(exact), 0xde, 0xad, 0xbe, 0xef)
		binary.BigEndian.PutUint16(long, uint16(len(long)))
		m, err := Decode(long)
		if err != nil {
			t.Errorf("%v: %v", mt, err)
			continue
		}
		if got := m.Append(nil); !bytes.Equal(got, exact) {
			t.Errorf("%v: encoded %x, want %x", mt, got, exact)
		}
	}
}

func TestDecodeKeepsNothing(t *testing.T) {
	wire := (&OutgoingCallRequest{PNSCallID: 5, PhoneNumber: MakeText64("555"), PhoneNumberLength: 3}).Append(nil)
	m, err := Decode(wire)
	if err != nil {
		t.Fatal(err)
	}
	clear(wire)
	if got := m.(*OutgoingCallRequest); got.Number() != "555" || got.PNSCallID != 5 {
		t.Errorf("the message changed with its octets: %v", m.Summary())
	}
}

func TestText(t *testing.T) {
	full := bytes.Repeat([]byte{'x'}, 64)
	tests := []struct {
		in   string
		want string
	}{
		{"", ""}, {"abc", "abc"}, {"abc\x00rubbish", "abc"}, {string(full), string(full)}, {string(full) + "y", string(full)},
	}
	for _, tt := range tests {
		if got := MakeText64(tt.in).String(); got != tt.want {
			t.Errorf("%q reads %q, want %q", tt.in, got, tt.want)
		}
	}
	if got := MakeText128(string(full) + string(full) + "y").String(); len(got) != 128 {
		t.Errorf("128 octets read as %d", len(got))
	}
	digits := []struct {
		n    uint16
		want string
	}{{0, ""}, {2, "55"}, {3, "555"}, {4, "555"}, {64, "555"}, {65, "555"}, {0xffff, "555"}}
	for _, tt := range digits {
		if got := MakeText64("555").Digits(tt.n); got != tt.want {
			t.Errorf("%d digits: %q, want %q", tt.n, got, tt.want)
		}
	}
}

func TestSetNumbers(t *testing.T) {
	var m IncomingCallRequest
	m.SetNumbers("100", string(bytes.Repeat([]byte{'9'}, 70)))
	if m.Dialed() != "100" || m.DialedNumberLength != 3 || m.DialingNumberLength != 64 || len(m.Dialing()) != 64 {
		t.Errorf("%+v", m)
	}
	var o OutgoingCallRequest
	o.SetNumber("100")
	o.SetNumber("2")
	if o.Number() != "2" || o.PhoneNumber.String() != "2" {
		t.Errorf("%+v", o)
	}
}

func TestTenths(t *testing.T) {
	tests := []struct {
		d    time.Duration
		want Tenths
	}{
		{0, 0}, {49 * time.Millisecond, 0}, {50 * time.Millisecond, 1}, {6400 * time.Millisecond, 64},
		{-time.Second, 0}, {3 * time.Hour, 0xffff},
	}
	for _, tt := range tests {
		if got := TenthsOf(tt.d); got != tt.want {
			t.Errorf("TenthsOf(%v) = %d, want %d", tt.d, got, tt.want)
		}
	}
	if d := Tenths(64).Duration(); d != 6400*time.Millisecond {
		t.Error(d)
	}
}

func TestVersion(t *testing.T) {
	tests := []struct {
		v    ProtocolVersion
		ok   bool
		text string
	}{{0x0100, true, "1.0"}, {0x0101, true, "1.1"}, {0x0001, false, "0.1"}, {0x0200, false, "2.0"}, {0, false, "0.0"}}
	for _, tt := range tests {
		if tt.v.Supported() != tt.ok || tt.v.String() != tt.text {
			t.Errorf("%v: supported %v", tt.v, tt.v.Supported())
		}
	}
}
