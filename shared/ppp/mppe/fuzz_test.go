package mppe

import (
	"bytes"
	"crypto/rc4"
	"testing"
)

// FuzzRC4 holds our RC4 equal to crypto/rc4, in one piece and in two.
func FuzzRC4(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("test message"), 3)
	f.Add([]byte{0}, []byte{}, 0)
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8}, bytes.Repeat([]byte{0x55}, 1500), 257)
	f.Fuzz(func(t *testing.T, seed, data []byte, split int) {
		var k [16]byte
		copy(k[:], seed)
		if len(seed) == 8 {
			copy(k[8:], seed)
		}
		short := k[:]
		if len(seed) == 8 {
			short = seed
		}
		ref, err := rc4.NewCipher(short)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, len(data))
		ref.XORKeyStream(want, data)

		if split < 0 || split > len(data) {
			split = len(data) / 2
		}
		got := bytes.Clone(data)
		var c cipher
		c.reset(&k)
		c.xor(got[:split], got[:split])
		c.xor(got[split:], got[split:])
		if !bytes.Equal(got, want) {
			t.Errorf("key %x, %d octets split at %d: differs", short, len(data), split)
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
			out, err := d.Open(nil, packet, lost)
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
