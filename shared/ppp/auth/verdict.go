package auth

import (
	"fmt"
	"net/netip"

	"trunkline.example/shared/ppp/mppe"
)

// Attempt is what a peer offered to prove who it is: the question to a password
// store or RADIUS server. It owns its slices.
type Attempt struct {
	Generation uint64 // names this attempt; its Verdict must carry the same
	Protocol   Protocol
	User       string // as the peer sent it, possibly DOMAIN\user
	Password   Secret // PAP only
	Identifier byte   // of the Response
	Challenge  []byte // CHAP-MD5: any length; MS-CHAPv2: 16 octets
	Response   []byte // CHAP-MD5: 16 octets; MS-CHAPv2: the 49 octets of RFC 2759 section 4
}

// String names the attempt without what proves it.
func (a Attempt) String() string {
	return fmt.Sprintf("%v attempt %d of %q", a.Protocol, a.Generation, a.User)
}

// FailureCode is the E= value of an MS-CHAP Failure packet (RFC 2759 section 6).
type FailureCode uint16

// The failure codes.
const (
	FailureRestrictedHours  FailureCode = 646
	FailureAccountDisabled  FailureCode = 647
	FailurePasswordExpired  FailureCode = 648
	FailureNoDialIn         FailureCode = 649
	FailureAuthentication   FailureCode = 691
	FailureChangingPassword FailureCode = 709
)

// String is the meaning of the code for people.
func (c FailureCode) String() string {
	switch c {
	case FailureRestrictedHours:
		return "restricted logon hours"
	case FailureAccountDisabled:
		return "account disabled"
	case FailurePasswordExpired:
		return "password expired"
	case FailureNoDialIn:
		return "no dial-in permission"
	case FailureAuthentication:
		return "authentication failure"
	case FailureChangingPassword:
		return "error changing the password"
	}
	return fmt.Sprintf("error %d", uint16(c))
}

// EncryptionOverride is what a password store says about a user's encryption,
// over the listener's policy.
type EncryptionOverride uint8

// The overrides.
const (
	EncryptionDefault   EncryptionOverride = iota // the listener's policy holds
	EncryptionForbidden                           // no MPPE for this user
	EncryptionAllowed                             // MPPE if the peer can
	EncryptionRequired                            // no session without MPPE
)

// String is the name for logs.
func (e EncryptionOverride) String() string {
	switch e {
	case EncryptionDefault:
		return "default"
	case EncryptionForbidden:
		return "forbidden"
	case EncryptionAllowed:
		return "allowed"
	case EncryptionRequired:
		return "required"
	}
	return fmt.Sprintf("EncryptionOverride(%d)", uint8(e))
}

// Verdict is the answer to an Attempt. On success it carries what the session is
// to be given.
type Verdict struct {
	Generation uint64 // of the Attempt
	OK         bool
	User       string // the account's name, "" = as in the Attempt

	// Refusals only.
	Code    FailureCode // sent to MS-CHAPv2 peers; 0 = 691
	Message string      // shown to the peer, also on success; "" = a default text
	Reason  string      // for the operator, never sent: why the store refused

	// MS-CHAPv2 successes only.
	AuthenticatorResponse string   // "S=" and 40 upper-case hex digits (RFC 2759 section 5)
	HasKeys               bool     // the two keys are set
	SendKey               mppe.Key // start key of what the authenticator sends (MS-MPPE-Send-Key)
	ReceiveKey            mppe.Key // start key of what the authenticator receives (MS-MPPE-Recv-Key)

	LocalAddress netip.Addr    // the authenticator's; invalid = as configured
	PeerAddress  netip.Addr    // invalid = from the pool
	DNS          [2]netip.Addr // invalid = as configured
	WINS         [2]netip.Addr
	Encryption   EncryptionOverride
}

// String is the outcome without keys.
func (v Verdict) String() string {
	if v.OK {
		return fmt.Sprintf("attempt %d accepted", v.Generation)
	}
	return fmt.Sprintf("attempt %d refused: %v: %s", v.Generation, v.Code, v.Reason)
}
