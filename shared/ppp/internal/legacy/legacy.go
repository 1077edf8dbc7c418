// Package legacy is the one place where the project touches the broken
// algorithms that PPP authentication and MPPE are made of: MD4, MD5, SHA-1 and
// single DES. They are kept for interoperability only; nothing else may import
// them, so that a reader (and a linter) finds every use here.
//
// RC4, the fifth of them, lives in package mppe, its only user.
//
// Under GODEBUG=fips140=only some of these panic in the standard library and
// some return errors. Here all of them return ErrFIPS instead.
//
//lint:file-ignore SA1019 MD4 and DES are what RFC 2433, 2759 and 3079 prescribe
package legacy

import (
	"crypto/des" //nolint:gosec // RFC 2759 section 8.6
	"crypto/fips140"
	"crypto/md5"  //nolint:gosec // RFC 1994 section 4.1
	"crypto/sha1" //nolint:gosec // RFC 2759 section 8.7, RFC 3079 section 3
	"encoding"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/md4" //nolint:gosec,staticcheck // RFC 2759 section 8.3
)

// ErrFIPS is what every function of this package, and everything built on it,
// returns when the process runs with GODEBUG=fips140=only.
var ErrFIPS = errors.New("MD4, MD5, SHA-1, DES and RC4 are not allowed in FIPS 140-only mode (GODEBUG=fips140=only)")

// Check returns ErrFIPS when the algorithms may not be used in this process,
// else nil. It is cheap.
func Check() error {
	if fips140.Enforced() {
		return ErrFIPS
	}
	return nil
}

// MD5 returns the MD5 digest of the parts written one after the other.
func MD5(parts ...[]byte) ([16]byte, error) {
	var sum [16]byte
	if err := Check(); err != nil {
		return sum, err
	}
	h := md5.New() //nolint:gosec // see the package comment
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// MD4 returns the MD4 digest of data.
func MD4(data []byte) ([16]byte, error) {
	var sum [16]byte
	if err := Check(); err != nil {
		return sum, err
	}
	h := md4.New() //nolint:gosec // see the package comment
	if _, err := h.Write(data); err != nil {
		return sum, fmt.Errorf("MD4: %w", err)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// SHA1 returns the SHA-1 digest of the parts written one after the other.
func SHA1(parts ...[]byte) ([20]byte, error) {
	var sum [20]byte
	if err := Check(); err != nil {
		return sum, err
	}
	h := sha1.New() //nolint:gosec // see the package comment
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// SHA1Blocks is SHA-1 of messages that the caller has padded to whole blocks of 64 octets: a third less work than SHA1 for the two of them
// that MPPE hashes for every packet. It neither allocates nor asks Check: the caller has done so once before.
type SHA1Blocks struct {
	hash  hash.Hash
	state encoding.BinaryAppender
	buf   [96]byte
}

// sha1Magic is how crypto/sha1 begins its state as plain data; the chaining value follows.
const sha1Magic = "sha\x01"

// begun is a block that is begun and never hashed. Of the block under way crypto/sha1 pads its state by a slice for the rest, and in a race build
// that is on the heap if it is longer than 32 octets.
var begun [32]byte

// NewSHA1Blocks makes one.
func NewSHA1Blocks() SHA1Blocks {
	h := sha1.New() //nolint:gosec // see the package comment
	return SHA1Blocks{hash: h, state: h.(encoding.BinaryAppender)}
}

// Sum returns the digest of a padded message, valid until the next call.
func (s *SHA1Blocks) Sum(padded []byte) *[20]byte {
	s.hash.Reset()
	s.hash.Write(padded)
	s.hash.Write(begun[:])
	out, _ := s.state.AppendBinary(s.buf[:0])
	return (*[20]byte)(out[len(sha1Magic):])
}

// DES encrypts one 8-octet block under a 56-bit key given as 7 octets, as the
// DesEncrypt of RFC 2759 section 8.6 does.
func DES(block [8]byte, key [7]byte) ([8]byte, error) {
	var out [8]byte
	if err := Check(); err != nil {
		return out, err
	}
	expanded := ExpandDESKey(key)
	c, err := des.NewCipher(expanded[:]) //nolint:gosec // see the package comment
	if err != nil {
		return out, fmt.Errorf("DES: %w", err)
	}
	c.Encrypt(out[:], block[:])
	return out, nil
}

// ExpandDESKey spreads 56 key bits over 8 octets, seven to an octet, with odd
// parity in the lowest bit (DES itself ignores the parity).
func ExpandDESKey(key [7]byte) [8]byte {
	var bits uint64
	for _, b := range key {
		bits = bits<<8 | uint64(b)
	}
	var out [8]byte
	for i := range out {
		seven := byte(bits>>(49-7*i)) & 0x7f
		parity := byte(1)
		for b := seven; b != 0; b &= b - 1 {
			parity ^= 1
		}
		out[i] = seven<<1 | parity
	}
	return out
}
