package ppp

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		frame []byte
		proto Protocol
		info  []byte
		err   error
	}{
		{[]byte{0xFF, 3, 0xC0, 0x21, 1, 2}, LCP, []byte{1, 2}, nil},
		{[]byte{0xC0, 0x21, 1, 2}, LCP, []byte{1, 2}, nil},
		{[]byte{0xFF, 3, 0x21, 0x45}, IPv4, []byte{0x45}, nil},
		{[]byte{0x21, 0x45}, IPv4, []byte{0x45}, nil},
		{[]byte{0, 0x21, 0x45}, IPv4, []byte{0x45}, nil},
		{[]byte{0xFD, 0x90, 0}, Compressed, []byte{0x90, 0}, nil},
		{[]byte{0xFF, 3, 0xFD}, Compressed, nil, nil},
		{[]byte{0xFF, 3}, 0, nil, ErrShort},
		{nil, 0, nil, ErrShort},
		{[]byte{0xC0}, 0, nil, ErrShort},
		{[]byte{0xFF, 3, 0x80}, 0, nil, ErrShort},
		{[]byte{0xC0, 0x22, 1}, 0xC022, []byte{1}, ErrProtocol},
		{[]byte{0xFF, 3, 0xFF, 3}, 0xFF, []byte{3}, ErrProtocol},
		{[]byte{0, 0xFF, 3}, 0xFF, []byte{3}, ErrProtocol},
	} {
		proto, info, err := Split(c.frame)
		if proto != c.proto || !bytes.Equal(info, c.info) || !errors.Is(err, c.err) {
			t.Errorf("Split(%x) = %v, %x, %v; want %v, %x, %v", c.frame, proto, info, err, c.proto, c.info, c.err)
		}
	}
}

func TestAppendHeader(t *testing.T) {
	for _, c := range []struct {
		proto     Protocol
		acfc, pfc bool
		want      []byte
	}{
		{LCP, true, true, []byte{0xFF, 3, 0xC0, 0x21}},
		{IPv4, false, false, []byte{0xFF, 3, 0, 0x21}},
		{IPv4, true, false, []byte{0, 0x21}},
		{IPv4, false, true, []byte{0xFF, 3, 0x21}},
		{IPv4, true, true, []byte{0x21}},
		{IPCP, true, true, []byte{0x80, 0x21}},
	} {
		if got := AppendHeader(nil, c.proto, c.acfc, c.pfc); !bytes.Equal(got, c.want) {
			t.Errorf("%v acfc %v pfc %v: %x, want %x", c.proto, c.acfc, c.pfc, got, c.want)
		}
	}
}

func TestProtocol(t *testing.T) {
	for p := range protocolNames {
		if !p.Valid() {
			t.Errorf("%v (%04X) breaks the rule for protocol numbers", p, uint16(p))
		}
	}
	if IPv4.Valid() != true || Protocol(0x0121).Valid() || Protocol(0x0020).Valid() {
		t.Error("Valid")
	}
	if !IPv4.Data() || !Compressed.Data() || IPCP.Data() || LCP.Data() {
		t.Error("Data")
	}
	if s := Protocol(0x1235).String(); s != "protocol 1235" {
		t.Error(s)
	}
	if s := CCP.String(); s != "CCP" {
		t.Error(s)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"Authentication failed", "Authentication failed"}, {" a\x00b\n", "a?b?"}, {"\xff\xfe", "??"}, {"grün", "grün"}, {"\u0085x", "?x"},
	} {
		if got := Text([]byte(c.in)); got != c.want {
			t.Errorf("Text(%q) = %q, want %q", c.in, got, c.want)
		}
	}
	if got := Text([]byte(strings.Repeat("x", 1000))); len(got) != textMax {
		t.Errorf("%d octets kept", len(got))
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte{0xFF, 3, 0xC0, 0x21, 1, 1, 0, 4})
	f.Add([]byte{0x21, 0x45})
	f.Fuzz(func(t *testing.T, frame []byte) {
		proto, info, err := Split(frame)
		if err != nil {
			return
		}
		for _, acfc := range []bool{false, true} {
			for _, pfc := range []bool{false, true} {
				again := append(AppendHeader(nil, proto, acfc, pfc), info...)
				p, i, err := Split(again)
				if err != nil || p != proto || !bytes.Equal(i, info) {
					t.Fatalf("%x became %x: %v %x %v", frame, again, p, i, err)
				}
			}
		}
	})
}
