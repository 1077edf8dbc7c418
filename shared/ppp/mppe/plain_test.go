package mppe

import (
	"crypto/rc4"
	"crypto/sha1"
)

// plainChain is a chain of keys as RFC 3079 writes it down, made of the standard library alone: what ours must be equal to, and what it is
// measured against.
type plainChain struct {
	bits       KeyLength
	start, key []byte
}

func newPlainChain(bits KeyLength, start Key) *plainChain {
	c := &plainChain{bits: bits, start: start[:bits.octets()]}
	c.key = c.start
	c.key = c.weak(c.interim())
	return c
}

// interim is InterimKey of GetNewKeyFromSHA.
func (c *plainChain) interim() []byte {
	text := append([]byte(nil), c.start...)
	text = append(text, pad1[:]...)
	text = append(text, c.key...)
	text = append(text, pad2[:]...)
	sum := sha1.Sum(text)
	return sum[:len(c.start)]
}

func (c *plainChain) weak(key []byte) []byte {
	switch c.bits {
	case Bits40:
		copy(key, []byte{0xD1, 0x26, 0x9E})
	case Bits56:
		key[0] = 0xD1
	}
	return key
}

func plainRC4(key, data []byte) []byte {
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(data))
	c.XORKeyStream(out, data)
	return out
}

func (c *plainChain) change() {
	interim := c.interim()
	c.key = c.weak(plainRC4(interim, interim))
}

// packet changes the key and encrypts with it.
func (c *plainChain) packet(data []byte) []byte {
	c.change()
	return plainRC4(c.key, data)
}
