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

// Worker is the memory that encrypting and decrypting need for a moment. One does for any number of calls; it is owned by one goroutine.
// The zero value is ready for use.
type Worker struct {
	hasher
	packet state
	spare  state // of a chain that has none of its own
}

// hasher is what a change of keys needs for SHA-1.
type hasher struct {
	ready bool
	sha   legacy.SHA1Blocks
	texts [2][128]byte // what is hashed for session keys of 8 and 16 octets, padded to two blocks: StartKey, SHSpad1, SessionKey, SHSpad2
}

func (h *hasher) prepare() {
	h.ready, h.sha = true, legacy.NewSHA1Blocks()
	for i := range h.texts {
		text, l := &h.texts[i], 8<<i
		n := 2*l + padLength
		n += copy(text[n:], pad2[:])
		text[n] = 0x80
		binary.BigEndian.PutUint64(text[len(text)-8:], uint64(n)*8)
	}
}

// chain is the sequence of session keys of one direction (RFC 3079 section 3.1, GetNewKeyFromSHA, and RFC 3078 section 7).
//
// A change of keys is SHA-1 over the key, then RC4 under the digest. A chain in use is always half a change ahead: RC4's key schedule over the digest is
// done, so that for a packet it can be done together with the one of the packet itself (setup2). One that is not much used goes without,
// since most sessions carry little most of the time, and what is kept ahead is most of a chain.
type chain struct {
	bits    KeyLength
	start   [16]byte
	key     [16]byte // the session key; one of 8 octets stands twice
	interim [16]byte // the digest of it, likewise
	cold    uint8    // changes since the chain began or rested, up to coldChanges
	next    *state   // keyed with interim; nil: the worker's is
}

// coldChanges is how many changes of keys make a chain one that is in use.
const coldChanges = 32

// init makes the chain of a start key. With zero session key it begins before the first change; otherwise it goes on from that key.
func (c *chain) init(bits KeyLength, start Key, session *Key) {
	var h hasher
	l := bits.octets()
	c.bits, c.start = bits, start
	if session != nil {
		set(&c.key, session[:l])
	} else {
		set(&c.key, start[:l])
		c.digest(&h)
		c.key = c.interim
		c.weaken()
	}
	c.digest(&h)
}

// set fills a key of 16 octets.
func set(key *[16]byte, octets []byte) {
	n := copy(key[:], octets)
	copy(key[n:], octets)
}

// digest makes interim of the session key.
func (c *chain) digest(h *hasher) {
	if !h.ready {
		h.prepare()
	}
	l := c.bits.octets()
	text := &h.texts[l/16]
	copy(text[:], c.start[:l])
	copy(text[l+padLength:], c.key[:l])
	set(&c.interim, h.sha.Sum(text[:])[:l])
}

// change makes the next session key, and the digest after it; next is to be keyed with that.
func (c *chain) change(w *Worker) {
	next := c.next
	if next == nil {
		next = &w.spare
		next.setup(&c.interim)
	}
	next.xor(c.key[:], c.interim[:c.bits.octets()])
	if c.bits != Bits128 {
		c.weaken()
	}
	c.digest(&w.hasher)
}

// skip changes to the next session key, without a use for it.
func (c *chain) skip(w *Worker) {
	c.change(w)
	if c.next != nil {
		c.next.setup(&c.interim)
	}
}

// step changes to the next session key and keys the worker's packet with it.
func (c *chain) step(w *Worker) {
	c.change(w)
	if c.next == nil && c.cold < coldChanges {
		c.cold++
		w.packet.setup(&c.key)
		return
	}
	if c.next == nil {
		c.next = new(state)
	}
	setup2(&w.packet, c.next, &c.key, &c.interim)
}

// rest lets go of what is kept ahead.
func (c *chain) rest() { c.next, c.cold = nil, 0 }

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

// keys are the start key and the current one as plain data.
func (c *chain) keys() (start, session Key) {
	n := c.bits.octets()
	copy(start[:], c.start[:])
	copy(session[:], c.key[:n])
	return start, session
}
