package auth

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"trunkline.example/shared/ppp/internal/legacy"
	"trunkline.example/shared/ppp/mppe"
)

// Sizes of MS-CHAPv2 fields in octets (RFC 2759 sections 3 and 4).
const (
	challengeLength = 16
	responseLength  = 49
)

// md5Length is the size of a CHAP-MD5 Response in octets.
const md5Length = 16

// The constants of RFC 2759 section 8.7.
const (
	magicServerSigning = "Magic server to client signing constant"
	magicPad           = "Pad to make it do more than one iteration"
)

// NTHash is NtPasswordHash of RFC 2759 section 8.3: MD4 of the password in
// UTF-16LE. The error is ErrFIPS.
func NTHash(password string) ([16]byte, error) {
	units := utf16.Encode([]rune(password))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	h, err := legacy.MD4(b)
	if err != nil {
		return h, fmt.Errorf("auth: NT hash: %w", err)
	}
	return h, nil
}

// MSCHAPv2Response is the value of a Response packet (RFC 2759 section 4).
type MSCHAPv2Response struct {
	PeerChallenge [16]byte
	Reserved      [8]byte // zero
	NTResponse    [24]byte
	Flags         byte // zero by the RFC; Windows 9x sets 04
}

// errResponse: not the 49 octets of an MS-CHAPv2 Response.
var errResponse = errors.New("auth: malformed MS-CHAPv2 response")

// ParseMSCHAPv2Response takes the value of a Response packet apart.
func ParseMSCHAPv2Response(value []byte) (r MSCHAPv2Response, err error) {
	if len(value) != responseLength {
		return r, fmt.Errorf("%w: %d octets, want %d", errResponse, len(value), responseLength)
	}
	copy(r.PeerChallenge[:], value)
	copy(r.Reserved[:], value[16:])
	copy(r.NTResponse[:], value[24:])
	r.Flags = value[48]
	return r, nil
}

// Append appends the 49 octets.
func (r MSCHAPv2Response) Append(dst []byte) []byte {
	dst = append(dst, r.PeerChallenge[:]...)
	dst = append(dst, r.Reserved[:]...)
	dst = append(dst, r.NTResponse[:]...)
	return append(dst, r.Flags)
}

// challengeHash is ChallengeHash of RFC 2759 section 8.2. user is what goes into it:
// normally without the domain.
func challengeHash(peerChallenge, challenge [16]byte, user string) (h [8]byte, err error) {
	sum, err := legacy.SHA1(peerChallenge[:], challenge[:], []byte(user))
	if err != nil {
		return h, err
	}
	return [8]byte(sum[:8]), nil
}

// challengeResponse is ChallengeResponse of RFC 2759 section 8.5: the challenge
// encrypted under each third of the hash, which is filled up with zeros to 21
// octets.
func challengeResponse(challenge [8]byte, hash [16]byte) (out [24]byte, err error) {
	var padded [21]byte
	copy(padded[:], hash[:])
	for i := range 3 {
		block, err := legacy.DES(challenge, [7]byte(padded[7*i:]))
		if err != nil {
			return out, err
		}
		copy(out[8*i:], block[:])
	}
	return out, nil
}

// authenticatorResponse is GenerateAuthenticatorResponse of RFC 2759 section 8.7:
// "S=" and 40 hex digits, by which the authenticator proves that it knows the
// password as well.
func authenticatorResponse(hash [16]byte, ntResponse [24]byte, challenge [8]byte) (string, error) {
	hashHash, err := legacy.MD4(hash[:])
	if err != nil {
		return "", err
	}
	digest, err := legacy.SHA1(hashHash[:], ntResponse[:], []byte(magicServerSigning))
	if err != nil {
		return "", err
	}
	digest, err = legacy.SHA1(digest[:], challenge[:], []byte(magicPad))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("S=%X", digest), nil
}

// UserWithoutDomain cuts a leading NT domain off a user name: DOMAIN\user and, as
// some clients write it, DOMAIN/user become user.
func UserWithoutDomain(user string) string {
	for _, slash := range []string{`\`, "/"} {
		if i := strings.LastIndex(user, slash); i >= 0 {
			return user[i+1:]
		}
	}
	return user
}

// hashedNames are the forms of a user name that peers put into the challenge hash,
// the most usual first: without the domain (RFC 2759 section 8.2), and, as some
// do, whole. A name that has a slash in its own right is the whole one, too.
func hashedNames(user string) []string {
	names := []string{user[strings.LastIndex(user, `\`)+1:]}
	for _, n := range []string{UserWithoutDomain(user), user[strings.LastIndex(user, "/")+1:], user} {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// mschapv2Result is what follows from a password and an exchange.
type mschapv2Result struct {
	authenticatorResponse      string
	serverSends, serverReceive mppe.Key
}

// verifyMSCHAPv2 checks a Response. ok is false when the hash does not fit under
// any form of the name.
func verifyMSCHAPv2(user string, challenge [16]byte, r MSCHAPv2Response, hash [16]byte) (res mschapv2Result, ok bool, err error) {
	for _, name := range hashedNames(user) {
		short, err := challengeHash(r.PeerChallenge, challenge, name)
		if err != nil {
			return res, false, err
		}
		want, err := challengeResponse(short, hash)
		if err != nil {
			return res, false, err
		}
		if subtle.ConstantTimeCompare(want[:], r.NTResponse[:]) == 1 {
			res, err = mschapv2Success(short, r.NTResponse, hash)
			return res, err == nil, err
		}
	}
	return res, false, nil
}

// mschapv2Success computes what both sides know after a good Response.
func mschapv2Success(short [8]byte, ntResponse [24]byte, hash [16]byte) (res mschapv2Result, err error) {
	if res.authenticatorResponse, err = authenticatorResponse(hash, ntResponse, short); err != nil {
		return res, err
	}
	master, err := mppe.MasterKey(hash, ntResponse)
	if err != nil {
		return res, err
	}
	res.serverSends, res.serverReceive, err = mppe.ServerKeys(master)
	return res, err
}

// Failure is the message of an MS-CHAP Failure packet (RFC 2759 section 6, RFC 2433
// section 6).
type Failure struct {
	Code      FailureCode
	Retry     bool   // the peer may answer again, against Challenge
	Challenge []byte // 16 octets
	Version   int    // of change-password; 3 for MS-CHAPv2
	Message   string // for people
}

// String is the message on the wire.
func (f Failure) String() string {
	retry := 0
	if f.Retry {
		retry = 1
	}
	return fmt.Sprintf("E=%d R=%d C=%X V=%d M=%s", uint16(f.Code), retry, f.Challenge, f.Version, f.Message)
}

// ParseFailure reads such a message. What it does not know or cannot read it
// leaves out: peers are to be told what is there, and some systems send free text
// only, which becomes the Message.
func ParseFailure(text string) Failure {
	var f Failure
	head, message, found := cutMessage(text)
	known := found
	for _, field := range strings.Fields(head) {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "E":
			if n, err := strconv.ParseUint(value, 10, 16); err == nil {
				f.Code, known = FailureCode(n), true
			}
		case "R":
			f.Retry = value == "1"
		case "V":
			if n, err := strconv.ParseUint(value, 10, 8); err == nil {
				f.Version = int(n)
			}
		case "C":
			f.Challenge = parseHex(value)
		}
	}
	if f.Message = message; !known {
		f.Message = text
	}
	return f
}

// cutMessage splits at "M=", which takes the rest of the text, spaces included.
func cutMessage(text string) (head, message string, found bool) {
	if strings.HasPrefix(text, "M=") {
		return "", text[2:], true
	}
	return strings.Cut(text, " M=")
}

// parseHex reads an even number of hex digits, else nothing.
func parseHex(s string) []byte {
	if len(s)%2 != 0 || len(s) > 2*challengeLength {
		return nil
	}
	out := make([]byte, 0, len(s)/2)
	for ; s != ""; s = s[2:] {
		n, err := strconv.ParseUint(s[:2], 16, 8)
		if err != nil {
			return nil
		}
		out = append(out, byte(n))
	}
	return out
}
