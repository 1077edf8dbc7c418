package mppe

import (
	"crypto/rc4"
	"strconv"
	"testing"
)

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{64, 576, 1400} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			e, _ := pair(b, Bits128)
			plain, dst := make([]byte, size), make([]byte, 0, size+HeaderLength)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				e.Seal(dst, plain)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{64, 576, 1400} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			_, d := pair(b, Bits128)
			packet, dst := make([]byte, size+HeaderLength), make([]byte, 0, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			n := uint16(0)
			for b.Loop() {
				packet[0], packet[1] = 0x90|byte(n>>8), byte(n)
				n = (n + 1) & CountMask
				if _, err := d.Open(dst, packet, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKeyChange(b *testing.B) {
	var c chain
	c.init(Bits128, Key{1, 2, 3}, nil)
	for b.Loop() {
		c.step()
	}
}

// BenchmarkRC4 compares ours with crypto/rc4 over one packet, key included.
func BenchmarkRC4(b *testing.B) {
	var k [16]byte
	buf := make([]byte, 1400)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		var c cipher
		for b.Loop() {
			c.reset(&k)
			c.xor(buf, buf)
		}
	})
	b.Run("crypto", func(b *testing.B) {
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			c, err := rc4.NewCipher(k[:])
			if err != nil {
				b.Fatal(err)
			}
			c.XORKeyStream(buf, buf)
		}
	})
}
