package auth

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The worked example of RFC 2759 section 9.2.
const (
	exampleUser      = "User"
	examplePassword  = "clientPass"
	exampleChallenge = "5B 5D 7C 7D 7B 3F 2F 3E 3C 2C 60 21 32 26 26 28"
	examplePeer      = "21 40 23 24 25 5E 26 2A 28 29 5F 2B 3A 33 7C 7E"
	exampleShort     = "D0 2E 43 86 BC E9 12 26"
	exampleHash      = "44 EB BA 8D 53 12 B8 D6 11 47 44 11 F5 69 89 AE"
	exampleResponse  = "82 30 9E CD 8D 70 8B 5E A0 8F AA 39 81 CD 83 54 42 33 11 4A 3D 85 D6 DF"
	exampleSuccess   = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
)

func TestRFC2759Example(t *testing.T) {
	hash, err := NTHash(examplePassword)
	if err != nil || !bytes.Equal(hash[:], unhex(t, exampleHash)) {
		t.Errorf("NT hash % X, %v", hash, err)
	}
	short, err := challengeHash([16]byte(unhex(t, examplePeer)), [16]byte(unhex(t, exampleChallenge)), exampleUser)
	if err != nil || !bytes.Equal(short[:], unhex(t, exampleShort)) {
		t.Errorf("challenge hash % X, %v", short, err)
	}
	response, err := challengeResponse(short, hash)
	if err != nil || !bytes.Equal(response[:], unhex(t, exampleResponse)) {
		t.Errorf("NT-Response % X, %v", response, err)
	}
	proof, err := authenticatorResponse(hash, response, short)
	if err != nil || proof != exampleSuccess {
		t.Errorf("authenticator response %s, %v", proof, err)
	}
}

// TestRFC2433Example takes the vectors of MS-CHAPv1 that test the parts shared
// with version 2 (RFC 2433 appendix B.2).
func TestRFC2433Example(t *testing.T) {
	hash, err := NTHash("MyPw")
	if err != nil || !bytes.Equal(hash[:], unhex(t, "FC156AF7EDCD6C0EDDE3337D427F4EAC")) {
		t.Errorf("NT hash % X, %v", hash, err)
	}
	response, err := challengeResponse([8]byte(unhex(t, "102DB5DF085D3041")), hash)
	if err != nil || !bytes.Equal(response[:], unhex(t, "4E9D3C8F9CFD385D5BF4D3246791956CA4C351AB409A3D61")) {
		t.Errorf("NT-Response % X, %v", response, err)
	}
}

func TestNTHashOfOtherScripts(t *testing.T) {
	// MD4 of the UTF-16LE octets, one of them a surrogate pair; from openssl.
	for password, want := range map[string]string{
		"":       "31d6cfe0d16ae931b73c59d7e0c089c0",
		"Grüße€": "6ac94d23b1479d8ee3a0c8d2bdaf1c34",
		"🔑":      "5f7b3ff474e4237afd6a078f3c4d8632",
	} {
		h, err := NTHash(password)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(h[:]) != want {
			t.Errorf("%q: %x, want %s", password, h, want)
		}
	}
}

func TestUserWithoutDomain(t *testing.T) {
	for user, want := range map[string]string{
		"alice": "alice", `EXAMPLE\alice`: "alice", "EXAMPLE/alice": "alice", `A\B\alice`: "alice",
		`EXAMPLE\a/b`: "a/b", "": "", `EXAMPLE\`: "", "alice@example.com": "alice@example.com",
	} {
		if got := UserWithoutDomain(user); got != want {
			t.Errorf("%q: %q, want %q", user, got, want)
		}
	}
}

func TestFailureText(t *testing.T) {
	challenge := unhex(t, exampleChallenge)
	f := Failure{Code: 691, Retry: true, Challenge: challenge, Version: 3, Message: "Access denied, sorry"}
	const text = "E=691 R=1 C=5B5D7C7D7B3F2F3E3C2C602132262628 V=3 M=Access denied, sorry"
	if f.String() != text {
		t.Errorf("%s, want %s", f, text)
	}
	for _, v := range []struct {
		text string
		want Failure
	}{
		{text, f},
		{"E=648 R=0 C=5B5D7C7D7B3F2F3E3C2C602132262628 V=3", Failure{Code: 648, Challenge: challenge, Version: 3}},
		{"E=691 R=0 V=3 M=a M=b", Failure{Code: 691, Version: 3, Message: "a M=b"}},
		{"E=691", Failure{Code: 691}},
		{"M=only text", Failure{Message: "only text"}},
		{"go away", Failure{Message: "go away"}},
		{"", Failure{}},
		{"E=99999 R=x C=zz V=-1", Failure{Message: "E=99999 R=x C=zz V=-1"}},
		{"E=691 C=123", Failure{Code: 691}},
		{"E=691 C=" + strings.Repeat("00", 17), Failure{Code: 691}},
		{"E=709 X=1 R=1 M=", Failure{Code: 709, Retry: true}},
	} {
		got := ParseFailure(v.text)
		if got.Code != v.want.Code || got.Retry != v.want.Retry || got.Version != v.want.Version ||
			got.Message != v.want.Message || !bytes.Equal(got.Challenge, v.want.Challenge) {
			t.Errorf("%q: %+v, want %+v", v.text, got, v.want)
		}
	}
}

func TestResponseFields(t *testing.T) {
	var value []byte
	for i := range responseLength {
		value = append(value, byte(i))
	}
	r, err := ParseMSCHAPv2Response(value)
	if err != nil || r.PeerChallenge[0] != 0 || r.PeerChallenge[15] != 15 || r.Reserved[0] != 16 || r.Reserved[7] != 23 ||
		r.NTResponse[0] != 24 || r.NTResponse[23] != 47 || r.Flags != 48 {
		t.Errorf("%+v, %v", r, err)
	}
	if !bytes.Equal(r.Append(nil), value) {
		t.Errorf("% x", r.Append(nil))
	}
	for _, n := range []int{0, 48, 50} {
		if _, err := ParseMSCHAPv2Response(make([]byte, n)); err == nil {
			t.Errorf("%d octets accepted", n)
		}
	}
}
