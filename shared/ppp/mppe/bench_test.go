package mppe

import (
	"crypto/rc4"
	"crypto/sha1"
	"fmt"
	"testing"

	"trunkline.example/shared/ppp/internal/legacy"
)

var benchmarkSizes = []int{64, 576, 1400}

// BenchmarkPacket is all that a packet costs, change of keys included: in the standard library's terms, without the allocations that can be
// avoided, and in ours, both directions.
func BenchmarkPacket(b *testing.B) {
	for _, size := range benchmarkSizes {
		plain, dst := make([]byte, size), make([]byte, 0, size+HeaderLength)
		b.Run(fmt.Sprintf("std/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var text [112]byte
			var key [16]byte
			for b.Loop() {
				copy(text[56:], key[:])
				sum := sha1.Sum(text[:])
				c := must(rc4.NewCipher(sum[:16]))
				c.XORKeyStream(key[:], sum[:16])
				c = must(rc4.NewCipher(key[:]))
				c.XORKeyStream(plain, plain)
			}
		})
		b.Run(fmt.Sprintf("seal/%d", size), func(b *testing.B) {
			e, _ := pair(b, Bits128)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				e.Seal(work, dst, plain)
			}
		})
		b.Run(fmt.Sprintf("open/%d", size), func(b *testing.B) {
			_, d := pair(b, Bits128)
			packet := make([]byte, size+HeaderLength)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			n := uint16(0)
			for b.Loop() {
				packet[0], packet[1] = 0x90|byte(n>>8), byte(n)
				n = (n + 1) & CountMask
				if _, err := d.Open(work, dst, packet, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func must(c *rc4.Cipher, err error) *rc4.Cipher {
	if err != nil {
		panic(err)
	}
	return c
}

// BenchmarkSkip is what a packet costs that never came.
func BenchmarkSkip(b *testing.B) {
	var c chain
	c.init(Bits128, Key{1, 2, 3}, nil)
	for b.Loop() {
		c.skip(work)
	}
}

// BenchmarkKeySetup is RC4's key schedule; "own two" makes two of them.
func BenchmarkKeySetup(b *testing.B) {
	var p, q [16]byte
	b.Run("std", func(b *testing.B) {
		for b.Loop() {
			p[3]++
			must(rc4.NewCipher(p[:]))
		}
	})
	var s, s2 state
	b.Run("own", func(b *testing.B) {
		for b.Loop() {
			p[3]++
			s.setup(&p)
		}
	})
	b.Run("own two", func(b *testing.B) {
		for b.Loop() {
			p[3]++
			q[4]++
			setup2(&s, &s2, &p, &q)
		}
	})
}

// BenchmarkStream is RC4 over one packet, without the key schedule.
func BenchmarkStream(b *testing.B) {
	for _, size := range benchmarkSizes {
		data := make([]byte, size)
		b.Run(fmt.Sprintf("std/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			c := must(rc4.NewCipher([]byte("0123456789abcdef")))
			for b.Loop() {
				c.XORKeyStream(data, data)
			}
		})
		b.Run(fmt.Sprintf("own/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			var s state
			s.setup((*[16]byte)([]byte("0123456789abcdef")))
			for b.Loop() {
				s.xor(data, data)
			}
		})
	}
}

// BenchmarkSHA1 is the digest of one change of keys: of a slice, as the standard library has it, and of blocks padded once for all.
func BenchmarkSHA1(b *testing.B) {
	var text [128]byte
	b.Run("std", func(b *testing.B) {
		for b.Loop() {
			sum := sha1.Sum(text[:112])
			copy(text[56:72], sum[:])
		}
	})
	b.Run("own", func(b *testing.B) {
		s := legacy.NewSHA1Blocks()
		for b.Loop() {
			copy(text[56:72], s.Sum(text[:])[:])
		}
	})
}
