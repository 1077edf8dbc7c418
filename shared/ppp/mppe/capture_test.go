package mppe

import (
	"encoding/binary"
	"strings"
	"testing"

	"trunkline.example/shared/ppp"
	"trunkline.example/test/capture"
)

// TestRecordedCalls decrypts every MPPE packet of the recorded stateless calls, in both
// directions and of both key lengths, with the keys that follow from the password.
func TestRecordedCalls(t *testing.T) {
	all, err := capture.Index("../../../test/captures")
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, r := range all {
		bits := Bits128
		switch {
		case r.Auth != "MS-CHAPv2" || !strings.Contains(r.Compression, "stateless"):
			continue
		case strings.HasPrefix(r.Compression, "MPPE-40"):
			bits = Bits40
		}
		names++
		t.Run(r.Name, func(t *testing.T) {
			x := &recorded{t: t, bits: bits, hash: ntHash(t, r.Password)}
			frames, err := r.Frames()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range frames {
				x.frame(f)
			}
			for fromClient, n := range x.opened {
				if n < 10 {
					t.Errorf("fromClient %v: only %d packets", fromClient, n)
				}
			}
			t.Logf("%d packets from the client, %d from the server, skipped %d and %d", x.opened[true], x.opened[false],
				x.direction[true].Counters().Skipped, x.direction[false].Counters().Skipped)
		})
	}
	if names < 6 {
		t.Errorf("only %d recordings", names)
	}
}

type recorded struct {
	t         *testing.T
	bits      KeyLength
	hash      [16]byte
	direction map[bool]*Decryptor // by fromClient
	opened    map[bool]int
}

func (x *recorded) frame(f capture.Frame) {
	x.t.Helper()
	proto, info, err := ppp.Split(f.Data)
	if err != nil {
		x.t.Fatal(err)
	}
	switch {
	case proto == ppp.CHAP && info[0] == 2: // Response: the client's
		x.keys([24]byte(info[5+24:]))
	case proto == ppp.Compressed:
		if x.direction == nil {
			x.t.Fatal("MPPE before authentication")
		}
		plain, err := x.direction[f.FromClient].Open(work, nil, info, f.Lost)
		if err != nil {
			x.t.Fatalf("packet % x: %v", info[:2], err)
		}
		x.plausible(plain)
		x.opened[f.FromClient]++
	case Encrypts(uint16(proto)):
		x.t.Errorf("%v in clear", proto)
	}
}

func (x *recorded) keys(ntResponse [24]byte) {
	master, err := MasterKey(x.hash, ntResponse)
	if err != nil {
		x.t.Fatal(err)
	}
	send, receive, err := ServerKeys(master)
	if err != nil {
		x.t.Fatal(err)
	}
	x.direction, x.opened = map[bool]*Decryptor{}, map[bool]int{}
	for fromClient, k := range map[bool]Key{true: receive, false: send} {
		d, err := NewDecryptor(Params{KeyLength: x.bits, Stateless: true, ReceiveKey: k})
		if err != nil {
			x.t.Fatal(err)
		}
		x.direction[fromClient] = d
	}
}

// plausible takes IPv4 with a good header checksum and length, IPv6 with a good
// length, and VJ packets.
func (x *recorded) plausible(plain []byte) {
	x.t.Helper()
	proto, ip, err := ppp.Split(plain)
	if err != nil {
		x.t.Fatalf("% x: %v", plain[:min(8, len(plain))], err)
	}
	ok := false
	switch proto {
	case ppp.IPv4:
		ok = len(ip) >= 20 && ip[0] == 0x45 && int(binary.BigEndian.Uint16(ip[2:])) == len(ip) && checksum(ip[:20]) == 0
	case ppp.IPv6:
		ok = len(ip) >= 40 && ip[0]>>4 == 6 && int(binary.BigEndian.Uint16(ip[4:])) == len(ip)-40
	case ppp.VJFull:
		ok = len(ip) >= 40 && ip[0] == 0x45 && int(binary.BigEndian.Uint16(ip[2:])) == len(ip)
	case ppp.VJCompressed:
		ok = len(ip) >= 3 && ip[0]&0x80 == 0
	}
	if !ok {
		x.t.Fatalf("%v: % x", proto, ip[:min(24, len(ip))])
	}
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xFFFF + sum>>16
	}
	return ^uint16(sum)
}
