package fsm

import (
	"bytes"
	"errors"
	"testing"
)

func TestPacketCodec(t *testing.T) {
	p, err := ParsePacket([]byte{1, 0x42, 0, 7, 1, 3, 5, 0xFF, 0xFF})
	if err != nil || p.Code != ConfigureRequest || p.Identifier != 0x42 || !bytes.Equal(p.Data, []byte{1, 3, 5}) {
		t.Fatalf("%+v, %v", p, err)
	}
	if got := AppendPacket([]byte{0xEE}, p); !bytes.Equal(got, []byte{0xEE, 1, 0x42, 0, 7, 1, 3, 5}) {
		t.Errorf("encoded %x", got)
	}
	if got := AppendPacket(nil, Packet{Data: make([]byte, 70000)}); len(got) != 0xFFFF || got[2] != 0xFF || got[3] != 0xFF {
		t.Errorf("oversize packet: %d octets, length field %x", len(got), got[2:4])
	}
	for _, b := range [][]byte{nil, {1}, {1, 2, 0}, {1, 2, 0, 3}, {1, 2, 0, 5}, {1, 2, 0xFF, 0xFF, 0}} {
		if _, err := ParsePacket(b); !errors.Is(err, ErrPacket) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

func TestOptionCodec(t *testing.T) {
	list := AppendOption(nil, Option16(1, 1400))
	list = AppendOption(list, Option32(5, 0x01020304))
	list = AppendOption(list, Option{Type: 7})
	if !bytes.Equal(list, []byte{1, 4, 0x05, 0x78, 5, 6, 1, 2, 3, 4, 7, 2}) {
		t.Fatalf("%x", list)
	}
	o, rest, err := NextOption(list)
	if err != nil || o.Type != 1 || !bytes.Equal(o.Data, []byte{5, 0x78}) || len(rest) != 8 {
		t.Errorf("%v %x %v", o, rest, err)
	}
	if err := CheckOptions(list); err != nil {
		t.Error(err)
	}
	for _, b := range [][]byte{{1}, {1, 0}, {1, 1}, {1, 3}, {7, 2, 1}, {7, 2, 1, 4, 5}} {
		if err := CheckOptions(b); !errors.Is(err, ErrOption) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if got := AppendOption(nil, Option{9, make([]byte, 300)}); len(got) != 255 || got[1] != 255 {
		t.Errorf("oversize option: %d octets, length %d", len(got), got[1])
	}
}

func FuzzPacket(f *testing.F) {
	f.Add([]byte{1, 1, 0, 14, 1, 4, 5, 0xDC, 2, 6, 0xFF, 0xFF, 0xFF, 0xFF})
	f.Add([]byte{5, 2, 0, 4})
	f.Add([]byte{1, 2, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePacket(b)
		if err != nil {
			return
		}
		if again := AppendPacket(nil, p); !bytes.Equal(again, b[:len(again)]) {
			t.Fatalf("%x became %x", b, again)
		}
		var list []byte
		for rest := p.Data; len(rest) > 0; {
			o, next, err := NextOption(rest)
			if err != nil {
				if CheckOptions(p.Data) == nil {
					t.Fatal("CheckOptions accepts what NextOption does not")
				}
				return
			}
			list, rest = AppendOption(list, o), next
		}
		if !bytes.Equal(list, p.Data) {
			t.Fatalf("options %x became %x", p.Data, list)
		}
	})
}

func FuzzReceive(f *testing.F) {
	f.Add(uint8(ReqSent), packet(ConfigureRequest, 1, 1, 3, 5))
	f.Add(uint8(AckSent), packet(ConfigureAck, 4, 1, 3, 9))
	f.Add(uint8(Opened), packet(CodeReject, 4, 1))
	f.Add(uint8(Opened), packet(ConfigureReject, 4, 1, 3, 9))
	f.Fuzz(func(t *testing.T, s uint8, b []byte) {
		m := in(State(s%uint8(states)), &choosy{Value: 9})
		m.Receive(epoch, b)
		m.Receive(epoch, b)
		for _, a := range m.Actions() {
			if s, ok := a.(Send); ok {
				if _, err := ParsePacket(s.Packet); err != nil {
					t.Fatalf("sent %x: %v", s.Packet, err)
				}
			}
		}
		if m.State() >= states {
			t.Fatal(m.State())
		}
	})
}
