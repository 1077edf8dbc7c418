package mppe

import (
	"bytes"
	"crypto/rc4"
	"testing"
)

// FuzzRC4 holds our RC4 equal to crypto/rc4, alone and two at a time.
func FuzzRC4(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("fedcba9876543210"), []byte("test message"))
	f.Add([]byte{0}, []byte{0}, []byte{})
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, []byte("Key"), bytes.Repeat([]byte{0x55}, 1500))
	f.Fuzz(func(t *testing.T, keyA, keyB, data []byte) {
		a, wantA := standard(t, keyA, data)
		b, wantB := standard(t, keyB, data)
		var s, s1, s2 state
		s.setup(&a)
		setup2(&s1, &s2, &a, &b)
		if s != s1 {
			t.Errorf("key %x: two at a time are set up in another way than one", a)
		}
		check := func(s *state, want []byte, key [16]byte) {
			got := bytes.Clone(data)
			if s.xor(got, got); !bytes.Equal(got, want) {
				t.Errorf("key %x, %d octets: differs", key, len(data))
			}
		}
		check(&s, wantA, a)
		check(&s1, wantA, a)
		check(&s2, wantB, b)
	})
}

// standard makes 16 octets of key of any, and what crypto/rc4 makes of data with it. One of 8 octets is taken as such.
func standard(t *testing.T, any, data []byte) (key [16]byte, out []byte) {
	short := key[:]
	if copy(key[:], any); len(any) == 8 {
		copy(key[8:], any)
		short = any
	}
	c, err := rc4.NewCipher(short)
	if err != nil {
		t.Fatal(err)
	}
	out = make([]byte, len(data))
	c.XORKeyStream(out, data)
	return key, out
}

// FuzzKeys holds the chain of keys and the packets equal to what the standard library makes of RFC 3079, by the letter.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), uint8(2), uint16(3), []byte("test message"))
	f.Add([]byte{}, uint8(0), uint16(4095), []byte{1})
	f.Add([]byte{0xff}, uint8(1), uint16(0), bytes.Repeat([]byte{0x55}, 70))
	f.Fuzz(func(t *testing.T, seed []byte, length uint8, packets uint16, data []byte) {
		bits := []KeyLength{Bits40, Bits56, Bits128}[length%3]
		var start Key
		copy(start[:], seed)
		e, err := NewEncryptor(Params{KeyLength: bits, Stateless: true, SendKey: start})
		if err != nil {
			t.Fatal(err)
		}
		plain := newPlainChain(bits, start)
		for range packets % 300 {
			e.Seal(work, nil, nil)
			plain.change()
		}
		if got, want := e.Seal(work, nil, data)[HeaderLength:], plain.packet(data); !bytes.Equal(got, want) {
			t.Errorf("%d bits from %x, packet %d: %x, want %x", bits, start[:], packets%300, got, want)
		}
	})
}

// FuzzOpen feeds a Decryptor anything: it keeps its bounds, and a good packet from
// the peer's present position still decrypts when the loss is known.
func FuzzOpen(f *testing.F) {
	f.Add([]byte{0x90, 0x00, 1, 2, 3}, uint32(0), uint8(1))
	f.Add([]byte{0x97, 0xFF, 1}, uint32(4096), uint8(3))
	f.Add([]byte{0x9F, 0xFF, 1}, uint32(1<<20), uint8(200))
	f.Add([]byte{0x00}, uint32(1), uint8(2))
	f.Fuzz(func(t *testing.T, packet []byte, lost uint32, times uint8) {
		_, d := pair(t, Bits128)
		for range times {
			before := d.State()
			out, err := d.Open(work, nil, packet, lost)
			after := d.State()
			switch {
			case err == nil && len(out) != len(packet)-HeaderLength:
				t.Fatalf("%d octets from %d", len(out), len(packet))
			case err != nil && out != nil:
				t.Fatalf("%v with data", err)
			case after.Keyed > after.Seen || after.Seen < before.Seen:
				t.Fatalf("keyed %d, seen %d after %d", after.Keyed, after.Seen, before.Seen)
			case after.Keyed-before.Keyed > uint64(before.Credit)+creditPerPacket:
				t.Fatalf("%d key changes on credit %d", after.Keyed-before.Keyed, before.Credit)
			case err == nil && after.Keyed != after.Seen:
				t.Fatal("decrypted with an old key")
			}
			if r, err := RestoreDecryptor(after); err != nil || r.State() != after {
				t.Fatalf("state does not survive: %v", err)
			}
		}
	})
}
