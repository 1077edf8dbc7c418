package mppe

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Encryptor is the sending direction of a call. Not safe for concurrent use.
type Encryptor struct {
	chain   chain
	count   uint16
	packets uint64
}

// EncryptorState is an Encryptor as plain data. It holds keys.
type EncryptorState struct {
	KeyLength  KeyLength
	StartKey   Key
	SessionKey Key    // of the last packet sealed, or the initial one
	Count      uint16 // coherency count of the next packet, 0..4095
	Packets    uint64 // sealed so far
}

// NewEncryptor makes the sending direction from p.SendKey. Errors: ErrParams,
// ErrFIPS.
func NewEncryptor(p Params) (*Encryptor, error) {
	if err := usable(p); err != nil {
		return nil, err
	}
	e := &Encryptor{}
	e.chain.init(p.KeyLength, p.SendKey, nil)
	return e, nil
}

// RestoreEncryptor goes on where State left off. Errors: ErrParams for a state that
// cannot be, ErrFIPS.
func RestoreEncryptor(s EncryptorState) (*Encryptor, error) {
	if err := usable(Params{KeyLength: s.KeyLength, Stateless: true}); err != nil {
		return nil, err
	}
	if s.Count > CountMask {
		return nil, fmt.Errorf("%w: encryptor state with count %d", ErrParams, s.Count)
	}
	e := &Encryptor{count: s.Count, packets: s.Packets}
	e.chain.init(s.KeyLength, s.StartKey, &s.SessionKey)
	return e, nil
}

func usable(p Params) error {
	if err := p.Validate(); err != nil {
		return err
	}
	return Available()
}

// State returns a copy of everything the Encryptor knows.
func (e *Encryptor) State() EncryptorState {
	start, session := e.chain.keys()
	return EncryptorState{e.chain.bits, start, session, e.count, e.packets}
}

// Rest tells that nothing has been sealed for a while: memory that saves time is given back until the Encryptor is in use again.
func (e *Encryptor) Rest() { e.chain.rest() }

// Packets is how many packets have been sealed.
func (e *Encryptor) Packets() uint64 { return e.packets }

// Seal appends the MPPE header and the encrypted packet to dst. packet is the
// original PPP protocol field and information; the caller has put the protocol
// 00FD in front. dst[len(dst)+HeaderLength:] may be the very memory of packet,
// which is then encrypted in place; any other overlap is wrong. With room in dst
// nothing is allocated. Packets must be sent in the order in which they are sealed.
func (e *Encryptor) Seal(w *Worker, dst, packet []byte) []byte {
	// The key changes before every packet, the first included (RFC 3078 section 7.1).
	e.chain.step(w)
	n := len(dst)
	dst = slices.Grow(dst, HeaderLength+len(packet))[:n+HeaderLength+len(packet)]
	binary.BigEndian.PutUint16(dst[n:], FlagFlushed|FlagEncrypted|e.count)
	e.count = (e.count + 1) & CountMask
	e.packets++
	w.packet.xor(dst[n+HeaderLength:], packet)
	return dst
}
