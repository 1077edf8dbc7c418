package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"trunkline.example/shared/ppp/internal/legacy"
)

// Verify compares an Attempt with the secret of the account it names, in constant
// time. The Verdict has the Attempt's Generation; on an MS-CHAPv2 success it has
// the authenticator response and the MPPE start keys; on a refusal its Reason says
// why for the operator, while Code and Message are the same for every cause. A store
// that does not know the user calls it with the zero Secret, which takes as long as
// a wrong password.
func Verify(a Attempt, secret Secret) Verdict {
	v := Verdict{Generation: a.Generation}
	var reason string
	switch a.Protocol {
	case PAP:
		reason = verifyPAP(a, secret)
	case CHAPMD5:
		reason = verifyCHAPMD5(a, secret)
	case MSCHAPv2:
		reason = v.mschapv2(a, secret)
	default:
		reason = fmt.Sprintf("%v: %v", ErrUnsupported, a.Protocol)
	}
	if secret.IsZero() {
		reason = "no such user"
	}
	if reason != "" {
		return Verdict{Generation: a.Generation, Code: FailureAuthentication, Reason: reason}
	}
	v.OK = true
	return v
}

const wrongPassword = "wrong password"

func verifyPAP(a Attempt, secret Secret) (reason string) {
	given, ok := a.Password.Reveal()
	if !ok {
		return "the attempt holds no password"
	}
	if secret.kind == secretHash {
		hash, err := NTHash(given)
		if err != nil {
			return err.Error()
		}
		if subtle.ConstantTimeCompare(hash[:], secret.hash[:]) != 1 {
			return wrongPassword
		}
		return ""
	}
	// Digests, so that not even the length shows.
	want, got := sha256.Sum256([]byte(secret.text)), sha256.Sum256([]byte(given))
	if subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return wrongPassword
	}
	return ""
}

func verifyCHAPMD5(a Attempt, secret Secret) (reason string) {
	if secret.kind == secretHash {
		return "CHAP-MD5 needs the password in clear, and only its NT hash is stored"
	}
	want, err := md5Response(a.Identifier, secret.text, a.Challenge)
	if err != nil {
		return err.Error()
	}
	if len(a.Challenge) == 0 || subtle.ConstantTimeCompare(want[:], a.Response) != 1 {
		return wrongPassword
	}
	return ""
}

// md5Response is the value of a Response packet (RFC 1994 section 4.1).
func md5Response(identifier byte, password string, challenge []byte) ([16]byte, error) {
	sum, err := legacy.MD5([]byte{identifier}, []byte(password), challenge)
	if err != nil {
		return sum, fmt.Errorf("auth: %v: %w", CHAPMD5, err)
	}
	return sum, nil
}

// mschapv2 verifies and, on success, fills in the response and the keys.
func (v *Verdict) mschapv2(a Attempt, secret Secret) (reason string) {
	if len(a.Challenge) != challengeLength {
		return fmt.Sprintf("challenge of %d octets, want %d", len(a.Challenge), challengeLength)
	}
	r, err := ParseMSCHAPv2Response(a.Response)
	if err != nil {
		return err.Error()
	}
	hash, err := secret.NTHash()
	if err != nil {
		return err.Error()
	}
	res, ok, err := verifyMSCHAPv2(a.User, [16]byte(a.Challenge), r, hash)
	if err != nil {
		return err.Error()
	}
	if !ok {
		return wrongPassword
	}
	v.AuthenticatorResponse = res.authenticatorResponse
	v.HasKeys, v.SendKey, v.ReceiveKey = true, res.serverSends, res.serverReceive
	return ""
}
