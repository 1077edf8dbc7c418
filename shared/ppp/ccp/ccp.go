// Package ccp negotiates MPPE by the Compression Control Protocol (RFC 1962, RFC 3078
// section 2): 128-bit keys in stateless mode and nothing else. Other compressors are
// rejected, other key lengths, stateful mode and MPPC are Naked away.
package ccp

import "fmt"

// Policy says whether the network may come up without encryption.
type Policy uint8

// The policies.
const (
	Required  Policy = iota // no network without MPPE-128 in both directions
	Preferred               // MPPE-128 if the peer can and authentication gave keys, else none
	None                    // no MPPE: CCP is rejected
)

// String is the policy's name in configuration and logs.
func (p Policy) String() string {
	switch p {
	case Required:
		return "required"
	case Preferred:
		return "preferred"
	case None:
		return "none"
	}
	return fmt.Sprintf("policy %d", uint8(p))
}
