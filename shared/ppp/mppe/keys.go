package mppe

import (
	"encoding/binary"
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

// chain is the sequence of session keys of one direction (RFC 3079 section 3.1, GetNewKeyFromSHA, and RFC 3078 section 7).
//
// A change of keys is SHA-1 over the key, then RC4 under the digest. The chain is always half a change ahead: RC4's key schedule over the digest is
// done, so that for a packet it can be done together with the one of the packet itself (setup2).
type chain struct {
	bits    KeyLength
	sha     legacy.SHA1Blocks
	text    [128]byte // what is hashed, padded to two blocks: StartKey, SHSpad1, SessionKey, SHSpad2
	key     [16]byte  // the session key; one of 8 octets stands twice
	interim [16]byte  // the digest of it, likewise
	next    state     // keyed with interim
}

// init makes the chain of a start key. With zero session key it begins before the first change; otherwise it goes on from that key.
func (c *chain) init(bits KeyLength, start Key, session *Key) {
	l := bits.octets()
	c.bits = bits
	c.sha = legacy.NewSHA1Blocks()
	n := copy(c.text[:], start[:l]) + padLength + l
	n += copy(c.text[n:], pad2[:])
	c.text[n] = 0x80
	binary.BigEndian.PutUint64(c.text[len(c.text)-8:], uint64(n)*8)
	if session != nil {
		c.set(&c.key, session[:l])
	} else {
		c.set(&c.key, start[:l])
		c.digest()
		c.key = c.interim
		c.weaken()
	}
	c.digest()
	c.next.setup(&c.interim)
}

// set fills one of the keys.
func (c *chain) set(key *[16]byte, octets []byte) {
	n := copy(key[:], octets)
	copy(key[n:], octets)
}

// digest makes interim of the session key.
func (c *chain) digest() {
	l := c.bits.octets()
	copy(c.text[l+padLength:], c.key[:l])
	c.set(&c.interim, c.sha.Sum(c.text[:])[:l])
}

// change makes the next session key, and the digest after it; next is to be keyed with that.
func (c *chain) change() {
	c.next.xor(c.key[:], c.interim[:c.bits.octets()])
	if c.bits != Bits128 {
		c.weaken()
	}
	c.digest()
}

// skip changes to the next session key, without a use for it.
func (c *chain) skip() {
	c.change()
	c.next.setup(&c.interim)
}

// step changes to the next session key and keys a packet with it.
func (c *chain) step(packet *state) {
	c.change()
	setup2(packet, &c.next, &c.key, &c.interim)
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
	copy(c.key[8:], c.key[:8])
}

// session is the current key as plain data.
func (c *chain) session() (k Key) {
	copy(k[:], c.key[:c.bits.octets()])
	return k
}

// PacketKey is what one packet is encrypted or decrypted with. It is independent of the direction it came from, so the packets of a batch
// can be worked on at the same time once their keys have been drawn in order.
type PacketKey struct {
	Header uint16 // flags and coherency count of the MPPE header
	state  state
}

// Apply encrypts or decrypts src into dst, which is at least as long. The two are the same memory or do not overlap. A PacketKey is good for
// one packet.
func (k *PacketKey) Apply(dst, src []byte) { k.state.xor(dst, src) }
