package mppe

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Bounds on the key changes that a peer can make us compute. One costs under a
// microsecond, but a packet may claim thousands.
const (
	creditPerPacket = 32 // earned by every packet that comes
	creditBurst     = 4 * counts
	maxLost         = 1 << 20 // hints above it are not believed
)

// Weights of the check that Linux ppp_mppe makes on a peer's sanity.
const (
	weightPerBadPacket = 100
	weightLimit        = 1600
)

// Decryptor is the receiving direction of a call. Not safe for concurrent use.
type Decryptor struct {
	chain chain
	s     decryption
}

// DecryptorState is a Decryptor as plain data. It holds keys.
type DecryptorState struct {
	KeyLength  KeyLength
	StartKey   Key
	SessionKey Key
	Seen       uint64 // packets the peer has sealed, as far as known; modulo 4096 it is the next count expected
	Keyed      uint64 // key changes made; equal to Seen unless catching up
	Credit     uint32 // key changes that may be made at once
	Weight     uint32 // of the peer's recent violations
	Counters   DecryptorCounters
}

// decryption is what of it is not the chain's.
type decryption struct {
	Seen, Keyed    uint64
	Credit, Weight uint32
	Counters       DecryptorCounters
}

// DecryptorCounters counts packets.
type DecryptorCounters struct {
	Opened       uint64 // decrypted
	Skipped      uint64 // never seen: gaps in the coherency count
	Late         uint64 // dropped: ErrLate
	Behind       uint64 // dropped: ErrBehind
	Short        uint64 // dropped: ErrShort
	NotEncrypted uint64 // dropped: ErrNotEncrypted
	Compressed   uint64 // dropped: ErrCompressed
	NotFlushed   uint64 // dropped: ErrNotFlushed
}

// NewDecryptor makes the receiving direction from p.ReceiveKey. Errors: ErrParams,
// ErrFIPS.
func NewDecryptor(p Params) (*Decryptor, error) {
	if err := usable(p); err != nil {
		return nil, err
	}
	d := &Decryptor{s: decryption{Credit: creditBurst}}
	d.chain.init(p.KeyLength, p.ReceiveKey, nil)
	return d, nil
}

// RestoreDecryptor goes on where State left off. Errors: ErrParams for a state that
// cannot be, ErrFIPS.
func RestoreDecryptor(s DecryptorState) (*Decryptor, error) {
	if err := usable(Params{KeyLength: s.KeyLength, Stateless: true}); err != nil {
		return nil, err
	}
	if s.Keyed > s.Seen || s.Credit > creditBurst {
		return nil, fmt.Errorf("%w: decryptor state with %d keys for %d packets, credit %d", ErrParams, s.Keyed, s.Seen, s.Credit)
	}
	d := &Decryptor{s: decryption{s.Seen, s.Keyed, s.Credit, s.Weight, s.Counters}}
	d.chain.init(s.KeyLength, s.StartKey, &s.SessionKey)
	return d, nil
}

// State returns a copy of everything the Decryptor knows.
func (d *Decryptor) State() DecryptorState {
	start, session := d.chain.keys()
	return DecryptorState{d.chain.bits, start, session, d.s.Seen, d.s.Keyed, d.s.Credit, d.s.Weight, d.s.Counters}
}

// Rest tells that nothing has been opened for a while: memory that saves time is given back until the Decryptor is in use again.
func (d *Decryptor) Rest() { d.chain.rest() }

// Counters returns the packet counts so far.
func (d *Decryptor) Counters() DecryptorCounters { return d.s.Counters }

// Broken tells whether the peer has violated the protocol so often of late that
// CCP should be closed: sixteen bad headers with no good packet between, or more
// with some, as in Linux ppp_mppe. Loss and late packets do not count.
func (d *Decryptor) Broken() bool { return d.s.Weight >= weightLimit }

// Open appends the decrypted protocol field and information to dst. packet is the
// information field of a PPP packet of protocol 00FD, so it starts with the MPPE
// header. dst may end where packet's data begins (packet[2:2]), which decrypts in
// place; any other overlap is wrong. With room in dst nothing is allocated. On an
// error dst is returned as it was, and the packet is to be dropped.
//
// lost is how many packets the layer below knows to be missing between the
// packet handed to Open before and this one (gaps in GRE sequence numbers, other
// protocols' packets included), 0 if none or not known. The coherency count has
// only 12 bits: without the hint a loss of 4096 goes unseen, and one of more than
// 2048 looks like a late packet.
func (d *Decryptor) Open(w *Worker, dst, packet []byte, lost uint32) ([]byte, error) {
	if err := d.accept(w, packet, lost); err != nil {
		return dst, err
	}
	data := packet[HeaderLength:]
	n := len(dst)
	out := slices.Grow(dst, len(data))[:n+len(data)]
	w.packet.xor(out[n:], data)
	return out, nil
}

// accept checks the header and keys the worker's packet.
func (d *Decryptor) accept(w *Worker, packet []byte, lost uint32) error {
	d.s.Credit = min(d.s.Credit+creditPerPacket, creditBurst)
	if err := d.check(packet); err != nil {
		d.s.Weight = min(d.s.Weight+weightPerBadPacket, weightLimit)
		return err
	}
	steps := advance(binary.BigEndian.Uint16(packet)&CountMask, d.s.Seen, lost)
	if steps <= 0 {
		d.s.Counters.Late++
		return ErrLate
	}
	d.s.Seen += uint64(steps)
	d.s.Counters.Skipped += uint64(steps - 1)
	for d.s.Keyed+1 < d.s.Seen && d.s.Credit > 0 {
		d.chain.skip(w)
		d.s.Keyed++
		d.s.Credit--
	}
	if d.s.Credit == 0 {
		d.s.Counters.Behind++
		return ErrBehind
	}
	d.chain.step(w)
	d.s.Keyed++
	d.s.Credit--
	d.s.Weight /= 2
	d.s.Counters.Opened++
	return nil
}

// check looks at everything but the count.
func (d *Decryptor) check(packet []byte) error {
	if len(packet) <= HeaderLength {
		d.s.Counters.Short++
		return ErrShort
	}
	switch flags := binary.BigEndian.Uint16(packet); {
	case flags&FlagEncrypted == 0:
		d.s.Counters.NotEncrypted++
		return ErrNotEncrypted
	case flags&FlagCompressed != 0:
		d.s.Counters.Compressed++
		return ErrCompressed
	case flags&FlagFlushed == 0:
		d.s.Counters.NotFlushed++
		return ErrNotFlushed
	}
	return nil
}

// advance returns by how many packets a count lies ahead of the last packet seen
// (1 = the next one), of which seen are known in all; 0 or less means a late one.
//
// The count gives the answer modulo 4096. Of those possible it is the one nearest
// to what the layer below knows, lost+1: a little less if some of the lost packets
// were not MPPE's, a little more if the peer dropped packets between encrypting and
// numbering them. Without loss that is the rule of Linux ppp_mppe: a distance of
// more than half the range is a late packet.
func advance(count uint16, seen uint64, lost uint32) int64 {
	if lost > maxLost {
		lost = 0
	}
	expected := int64(lost) + 1
	// Distance from what is expected, in -2048..2047.
	off := int64((uint64(count)+1-seen-uint64(expected))&CountMask+counts/2)&CountMask - counts/2
	return expected + off
}
