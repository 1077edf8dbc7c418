package auth

import (
	"fmt"

	"trunkline.example/shared/ppp/mppe"
)

// Action is an effect that the owner of an Authenticator or a Peer performs.
type Action interface{ action() }

// Send asks for a packet to be sent under the protocol's number (Protocol.Number).
// The slice belongs to the receiver of the action.
type Send struct{ Packet []byte }

// Authenticate asks for a Verdict on an Attempt (Authenticator only). Exactly
// one Verdict with the Attempt's Generation must come back through Answer.
type Authenticate struct{ Attempt Attempt }

// Succeeded: authentication is done. It comes again after each successful
// re-challenge, with Again set; the keys of a call are those of the first one.
type Succeeded struct {
	Again   bool
	User    string
	Message string  // Peer: what the authenticator had to say
	Verdict Verdict // Authenticator: what the owner answered

	// Start keys from the view of the machine that reports them: SendKey is of
	// what this side sends.
	HasKeys    bool
	SendKey    mppe.Key
	ReceiveKey mppe.Key
}

// String leaves out the keys and the verdict.
func (s Succeeded) String() string { return fmt.Sprintf("authenticated %q", s.User) }

// Failed: authentication has failed and the machine is at its end; the link must
// be closed.
type Failed struct {
	Reason  FailReason
	User    string
	Code    FailureCode // MS-CHAPv2 only, else 0
	Message string      // what was sent to or received from the other side
	Text    string      // for the operator
}

func (Send) action()         {}
func (Authenticate) action() {}
func (Succeeded) action()    {}
func (Failed) action()       {}

// FailReason says who or what ended an authentication.
type FailReason uint8

// The reasons.
const (
	FailRefused    FailReason = iota + 1 // the name or secret was refused
	FailTimeout                          // no answer from the other side
	FailUnproven                         // Peer: the authenticator could not prove that it knows the password
	FailProtocol                         // an answer that cannot be understood
	FailImpossible                       // this side cannot do it: ErrFIPS, ErrUnsupported, a hash where a password is needed
)

// String is the reason for people.
func (r FailReason) String() string {
	switch r {
	case FailRefused:
		return "refused"
	case FailTimeout:
		return "no answer"
	case FailUnproven:
		return "the authenticator did not prove that it knows the password"
	case FailProtocol:
		return "malformed answer"
	case FailImpossible:
		return "not possible here"
	}
	return fmt.Sprintf("FailReason(%d)", uint8(r))
}
