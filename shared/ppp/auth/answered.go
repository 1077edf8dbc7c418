package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"slices"
)

// Answered is what is left of an Authenticator that has let its peer in and will not challenge it again: enough to give the same answer
// to the same Response, whose answer may have been lost, or to any PAP request (RFC 1334 section 2.2.1). It is plain data and is not
// changed.
type Answered struct {
	Protocol Protocol
	Proof    [16]byte // hash of what the peer has proved itself by; not of a PAP request
	Reply    []byte   // the packet that answered it
}

// Answered returns what is to be kept of the machine; ok is false while it is needed itself. Actions must have been drained.
func (a *Authenticator) Answered() (kept Answered, ok bool) {
	if a.s.Phase != AuthenticatorDone || !a.s.Due.IsZero() || len(a.actions) > 0 {
		return Answered{}, false
	}
	last := &a.s.Last
	return Answered{a.cfg.Protocol, proofOf(a.cfg.Protocol, last.Identifier, last.User, last.Response), slices.Clone(last.Reply)}, true
}

func proofOf(p Protocol, identifier byte, user string, response []byte) (sum [16]byte) {
	if p == PAP {
		return sum
	}
	text := append(binary.BigEndian.AppendUint16([]byte{identifier}, uint16(len(response))), response...)
	whole := sha256.Sum256(append(text, user...))
	copy(sum[:], whole[:])
	return sum
}

// Again returns the packet that answers the information field of a packet of the protocol's number, if it is what was answered before.
func (r *Answered) Again(info []byte) (reply []byte, ok bool) {
	p, err := parsePacket(info, r.Protocol == PAP)
	if err != nil {
		return nil, false
	}
	if r.Protocol == PAP {
		if _, _, err := parsePAPRequest(p.body); p.code != papRequest || err != nil {
			return nil, false
		}
	} else {
		response, user, err := parseValue(p.body)
		proof := proofOf(r.Protocol, p.identifier, user, response)
		if p.code != chapResponse || err != nil || subtle.ConstantTimeCompare(proof[:], r.Proof[:]) != 1 {
			return nil, false
		}
	}
	reply = slices.Clone(r.Reply)
	reply[1] = p.identifier
	return reply, true
}
