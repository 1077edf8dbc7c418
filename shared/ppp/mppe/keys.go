package mppe

import (
	"fmt"

	"trunkline.example/shared/ppp/internal/legacy"
)

// The constants of RFC 3079 section 3.4.
const (
	magicMaster        = "This is the MPPE Master Key"
	magicClientSends   = "On the client side, this is the send key; on the server side, it is the receive key."
	magicClientReceive = "On the client side, this is the receive key; on the server side, it is the send key."
	padLength          = 40
)

// pad1 and pad2 are SHSpad1 and SHSpad2 of RFC 3079 section 3.4.
var pad1, pad2 = func() (a, b [padLength]byte) {
	for i := range b {
		b[i] = 0xF2
	}
	return a, b
}()

// MasterKey derives the MS-CHAPv2 master key from the NT password hash and the
// NT-Response (RFC 3079 section 3.4, GetMasterKey). The error is ErrFIPS.
func MasterKey(ntHash [16]byte, ntResponse [24]byte) (Key, error) {
	hashHash, err := legacy.MD4(ntHash[:])
	if err != nil {
		return Key{}, fmt.Errorf("mppe: master key: %w", err)
	}
	sum, err := legacy.SHA1(hashHash[:], ntResponse[:], []byte(magicMaster))
	if err != nil {
		return Key{}, fmt.Errorf("mppe: master key: %w", err)
	}
	return Key(sum[:16]), nil
}

// ServerKeys returns the start keys of the authenticator: what it sends with
// and what it receives with (RFC 3079 section 3.4, GetAsymmetricStartKey). The
// peer uses them the other way round. The error is ErrFIPS.
func ServerKeys(master Key) (send, receive Key, err error) {
	if send, err = asymmetricStartKey(master, magicClientReceive); err != nil {
		return Key{}, Key{}, err
	}
	if receive, err = asymmetricStartKey(master, magicClientSends); err != nil {
		return Key{}, Key{}, err
	}
	return send, receive, nil
}

func asymmetricStartKey(master Key, magic string) (Key, error) {
	sum, err := legacy.SHA1(master[:], pad1[:], []byte(magic), pad2[:])
	if err != nil {
		return Key{}, fmt.Errorf("mppe: start key: %w", err)
	}
	return Key(sum[:16]), nil
}

// chain is the sequence of session keys of one direction (RFC 3079 section 3.1,
// GetNewKeyFromSHA, and RFC 3078 section 7). It keeps the text to be hashed ready:
// StartKey, SHSpad1, SessionKey, SHSpad2.
type chain struct {
	bits    KeyLength
	text    [2*16 + 2*padLength]byte
	textLen int
	key     [16]byte // the session key, as cipher.reset wants it
	rc4     cipher
}

// init makes the chain of a start key. With zero session key it begins before the
// first change; otherwise it goes on from that key.
func (c *chain) init(bits KeyLength, start Key, session *Key) {
	l := bits.octets()
	c.bits = bits
	c.textLen = 2*l + 2*padLength
	copy(c.text[:], start[:l])
	copy(c.text[2*l+padLength:], pad2[:])
	if session != nil {
		c.set(session[:l])
		return
	}
	c.set(start[:l])
	c.set(c.interim(l))
	c.weaken()
}

// set takes l octets as the session key.
func (c *chain) set(key []byte) {
	n := copy(c.key[:], key)
	copy(c.key[n:], key)
}

// interim is the key before the RC4 pass.
func (c *chain) interim(l int) []byte {
	copy(c.text[l+padLength:], c.key[:l])
	sum := legacy.SHA1Of(c.text[:c.textLen])
	return append(c.key[:0], sum[:l]...)
}

// step changes to the next session key.
func (c *chain) step() {
	l := c.bits.octets()
	c.set(c.interim(l))
	c.rc4.reset(&c.key)
	c.rc4.xor(c.key[:l], c.key[:l])
	c.set(c.key[:l])
	c.weaken()
}

// weaken reduces the key to 40 or 56 bits (RFC 3079 section 3.1).
func (c *chain) weaken() {
	switch c.bits {
	case Bits40:
		c.key[0], c.key[1], c.key[2] = 0xD1, 0x26, 0x9E
	case Bits56:
		c.key[0] = 0xD1
	default:
		return
	}
	c.set(c.key[:8])
}

// session is the current key as plain data.
func (c *chain) session() (k Key) {
	copy(k[:], c.key[:c.bits.octets()])
	return k
}

// PacketKey is what one packet is encrypted or decrypted with. It is independent
// of the direction it came from, so the packets of a batch can be worked on at the
// same time once their keys have been drawn in order.
type PacketKey struct {
	Header uint16 // flags and coherency count of the MPPE header
	key    [16]byte
}

// Apply encrypts or decrypts src into dst, which is at least as long. The two are
// the same memory or do not overlap.
func (k *PacketKey) Apply(dst, src []byte) {
	var c cipher
	c.reset(&k.key)
	c.xor(dst, src)
}
