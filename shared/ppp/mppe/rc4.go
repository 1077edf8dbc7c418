package mppe

import "encoding/binary"

// state is RC4's permutation, keyed anew for every packet. crypto/rc4 is not used because it allocates 1.1 KiB for every key and is slower
// (BenchmarkKeySetup, BenchmarkStream and BenchmarkPacket compare the two); fuzzers hold the two equal.
//
// What RC4 costs on a processor that executes out of order is not its instructions but that every step loads an octet, s[i], that one of
// the steps just before may have stored, as its s[j]: a load that has not waited for the store is done again with all that followed, and one that
// has learnt to wait always waits. So s[i] is loaded a step or two ahead of those stores, and put right in the rare case that
// one of them has hit it. Loops are unrolled, as the compiler does not do that; what is inlined keeps the state in registers.
type state [256]uint8

var identity = func() (s state) {
	for i := range s {
		s[i] = uint8(i)
	}
	return s
}()

// setup runs the key schedule. A key of 8 octets is given twice over, which to RC4 is the same key.
func (s *state) setup(key *[16]byte) {
	*s = identity
	var j uint8
	x, y := s[0], s[1]
	for i := 0; i < len(s); i += len(key) {
		at := uint8(i)
		j, x, y = s.mix(at, j, x, y, key[0])
		j, x, y = s.mix(at+1, j, x, y, key[1])
		j, x, y = s.mix(at+2, j, x, y, key[2])
		j, x, y = s.mix(at+3, j, x, y, key[3])
		j, x, y = s.mix(at+4, j, x, y, key[4])
		j, x, y = s.mix(at+5, j, x, y, key[5])
		j, x, y = s.mix(at+6, j, x, y, key[6])
		j, x, y = s.mix(at+7, j, x, y, key[7])
		j, x, y = s.mix(at+8, j, x, y, key[8])
		j, x, y = s.mix(at+9, j, x, y, key[9])
		j, x, y = s.mix(at+10, j, x, y, key[10])
		j, x, y = s.mix(at+11, j, x, y, key[11])
		j, x, y = s.mix(at+12, j, x, y, key[12])
		j, x, y = s.mix(at+13, j, x, y, key[13])
		j, x, y = s.mix(at+14, j, x, y, key[14])
		j, x, y = s.mix(at+15, j, x, y, key[15])
	}
}

// mix is a step of the key schedule; x and y are s[i] and s[i+1]. It returns the new j, and s[i+1] and s[i+2].
func (s *state) mix(i, j, x, y, key uint8) (uint8, uint8, uint8) {
	z := s[i+2]
	j += x + key
	s[i], s[j] = s[j], x
	if j == i+1 {
		y = x
	}
	if j == i+2 {
		z = x
	}
	return j, y, z
}

// setup2 is setup of two states at once. That takes half as long as one after the other: each waits for itself most of the time.
func setup2(a, b *state, p, q *[16]byte) {
	*a, *b = identity, identity
	var j, k uint8
	x, y := a[0], b[0]
	for i := 0; i < len(a); i += len(p) {
		at := uint8(i)
		j, x = a.mixNear(at, j, x, p[0])
		k, y = b.mixNear(at, k, y, q[0])
		j, x = a.mixNear(at+1, j, x, p[1])
		k, y = b.mixNear(at+1, k, y, q[1])
		j, x = a.mixNear(at+2, j, x, p[2])
		k, y = b.mixNear(at+2, k, y, q[2])
		j, x = a.mixNear(at+3, j, x, p[3])
		k, y = b.mixNear(at+3, k, y, q[3])
		j, x = a.mixNear(at+4, j, x, p[4])
		k, y = b.mixNear(at+4, k, y, q[4])
		j, x = a.mixNear(at+5, j, x, p[5])
		k, y = b.mixNear(at+5, k, y, q[5])
		j, x = a.mixNear(at+6, j, x, p[6])
		k, y = b.mixNear(at+6, k, y, q[6])
		j, x = a.mixNear(at+7, j, x, p[7])
		k, y = b.mixNear(at+7, k, y, q[7])
		j, x = a.mixNear(at+8, j, x, p[8])
		k, y = b.mixNear(at+8, k, y, q[8])
		j, x = a.mixNear(at+9, j, x, p[9])
		k, y = b.mixNear(at+9, k, y, q[9])
		j, x = a.mixNear(at+10, j, x, p[10])
		k, y = b.mixNear(at+10, k, y, q[10])
		j, x = a.mixNear(at+11, j, x, p[11])
		k, y = b.mixNear(at+11, k, y, q[11])
		j, x = a.mixNear(at+12, j, x, p[12])
		k, y = b.mixNear(at+12, k, y, q[12])
		j, x = a.mixNear(at+13, j, x, p[13])
		k, y = b.mixNear(at+13, k, y, q[13])
		j, x = a.mixNear(at+14, j, x, p[14])
		k, y = b.mixNear(at+14, k, y, q[14])
		j, x = a.mixNear(at+15, j, x, p[15])
		k, y = b.mixNear(at+15, k, y, q[15])
	}
}

// mixNear is mix with one step of foresight: with two states there are not registers enough for more.
func (s *state) mixNear(i, j, x, key uint8) (uint8, uint8) {
	y := s[i+1]
	j += x + key
	s[i], s[j] = s[j], x
	if j == i+1 {
		y = x
	}
	return j, y
}

// xor writes src combined with the key stream, from its beginning, to dst, which is at least as long. The two are the same memory or
// do not overlap. A state can be used once.
func (s *state) xor(dst, src []byte) {
	dst = dst[:len(src)]
	var i, j uint8
	x := s[1]
	n := 0
	for ; n+8 <= len(src); n += 8 {
		var w uint64
		j, x, w = s.draw(i+1, j, x, w, 0)
		j, x, w = s.draw(i+2, j, x, w, 8)
		j, x, w = s.draw(i+3, j, x, w, 16)
		j, x, w = s.draw(i+4, j, x, w, 24)
		j, x, w = s.draw(i+5, j, x, w, 32)
		j, x, w = s.draw(i+6, j, x, w, 40)
		j, x, w = s.draw(i+7, j, x, w, 48)
		j, x, w = s.draw(i+8, j, x, w, 56)
		i += 8
		binary.LittleEndian.PutUint64(dst[n:n+8], binary.LittleEndian.Uint64(src[n:n+8])^w)
	}
	for ; n < len(src); n++ {
		var w uint64
		i++
		j, x, w = s.draw(i, j, x, w, 0)
		dst[n] = src[n] ^ uint8(w)
	}
}

// draw is a step of the key stream, whose octet it puts into w at a number of bits; x is s[i]. It returns the new j, and s[i+1].
func (s *state) draw(i, j, x uint8, w uint64, shift uint) (uint8, uint8, uint64) {
	z := s[i+1]
	j += x
	y := s[j]
	s[i], s[j] = y, x
	w |= uint64(s[x+y]) << shift
	if j == i+1 {
		z = x
	}
	return j, z, w
}
