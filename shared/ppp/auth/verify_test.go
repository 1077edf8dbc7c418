package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"trunkline.example/shared/ppp/mppe"
)

func mustHash(t testing.TB, password string) Secret {
	t.Helper()
	h, err := NTHash(password)
	if err != nil {
		t.Fatal(err)
	}
	return HashSecret(h)
}

// exampleAttempt is the exchange of RFC 2759 section 9.2.
func exampleAttempt(t testing.TB) Attempt {
	r := MSCHAPv2Response{PeerChallenge: [16]byte(unhex(t, examplePeer)), NTResponse: [24]byte(unhex(t, exampleResponse))}
	return Attempt{Generation: 7, Protocol: MSCHAPv2, User: exampleUser, Identifier: 1, Challenge: unhex(t, exampleChallenge), Response: r.Append(nil)}
}

// md5Attempt is the vector of user "carl" with secret "secret", identifier 1 and
// challenge 00 to 0F.
func md5Attempt(t testing.TB) Attempt {
	return Attempt{Generation: 8, Protocol: CHAPMD5, User: "carl", Identifier: 1,
		Challenge: unhex(t, "000102030405060708090A0B0C0D0E0F"), Response: unhex(t, "740E86463BDA3A4D7017D6E0FBA0699D")}
}

func TestVerify(t *testing.T) {
	pap := Attempt{Generation: 9, Protocol: PAP, User: "paula", Password: PlainSecret("pw")}
	change := func(a Attempt, f func(*Attempt)) Attempt {
		a.Challenge, a.Response = bytes.Clone(a.Challenge), bytes.Clone(a.Response)
		f(&a)
		return a
	}
	ms, md5 := exampleAttempt(t), md5Attempt(t)
	for _, v := range []struct {
		name    string
		attempt Attempt
		secret  Secret
		reason  string // part of it; "" = accepted
	}{
		{"PAP", pap, PlainSecret("pw"), ""},
		{"PAP against a hash", pap, mustHash(t, "pw"), ""},
		{"PAP wrong", pap, PlainSecret("pW"), "wrong password"},
		{"PAP longer", pap, PlainSecret("pw1"), "wrong password"},
		{"PAP wrong against a hash", pap, mustHash(t, "pW"), "wrong password"},
		{"PAP no such user", pap, Secret{}, "no such user"},
		{"PAP empty against no such user", change(pap, func(a *Attempt) { a.Password = PlainSecret("") }), Secret{}, "no such user"},
		{"PAP without password", change(pap, func(a *Attempt) { a.Password = Secret{} }), PlainSecret(""), "holds no password"},
		{"MD5", md5, PlainSecret("secret"), ""},
		{"MD5 wrong", md5, PlainSecret("Secret"), "wrong password"},
		{"MD5 other identifier", change(md5, func(a *Attempt) { a.Identifier = 2 }), PlainSecret("secret"), "wrong password"},
		{"MD5 other challenge", change(md5, func(a *Attempt) { a.Challenge[3]++ }), PlainSecret("secret"), "wrong password"},
		{"MD5 short response", change(md5, func(a *Attempt) { a.Response = a.Response[:15] }), PlainSecret("secret"), "wrong password"},
		{"MD5 against a hash", md5, mustHash(t, "secret"), "NT hash"},
		{"MD5 no such user", md5, Secret{}, "no such user"},
		{"MS-CHAPv2", ms, PlainSecret(examplePassword), ""},
		{"MS-CHAPv2 against a hash", ms, mustHash(t, examplePassword), ""},
		{"MS-CHAPv2 with domain", change(ms, func(a *Attempt) { a.User = `BIGCO\User` }), PlainSecret(examplePassword), ""},
		{"MS-CHAPv2 with the other slash", change(ms, func(a *Attempt) { a.User = `BIGCO/User` }), PlainSecret(examplePassword), ""},
		{"MS-CHAPv2 wrong", ms, PlainSecret("ClientPass"), "wrong password"},
		{"MS-CHAPv2 other name", change(ms, func(a *Attempt) { a.User = "user" }), PlainSecret(examplePassword), "wrong password"},
		{"MS-CHAPv2 other response", change(ms, func(a *Attempt) { a.Response[30]++ }), PlainSecret(examplePassword), "wrong password"},
		{"MS-CHAPv2 other challenge", change(ms, func(a *Attempt) { a.Challenge[0]++ }), PlainSecret(examplePassword), "wrong password"},
		{"MS-CHAPv2 short challenge", change(ms, func(a *Attempt) { a.Challenge = a.Challenge[:8] }), PlainSecret(examplePassword), "challenge of 8"},
		{"MS-CHAPv2 short response", change(ms, func(a *Attempt) { a.Response = a.Response[:48] }), PlainSecret(examplePassword), "48 octets"},
		{"MS-CHAPv2 no such user", ms, Secret{}, "no such user"},
		{"MS-CHAPv1", change(ms, func(a *Attempt) { a.Protocol = MSCHAPv1 }), PlainSecret(examplePassword), "not supported"},
	} {
		t.Run(v.name, func(t *testing.T) {
			got := Verify(v.attempt, v.secret)
			if got.Generation != v.attempt.Generation {
				t.Errorf("generation %d", got.Generation)
			}
			if got.OK != (v.reason == "") || !strings.Contains(got.Reason, v.reason) {
				t.Fatalf("%v, want reason %q", got, v.reason)
			}
			if !got.OK && got != (Verdict{Generation: got.Generation, Code: FailureAuthentication, Reason: got.Reason}) {
				t.Errorf("a refusal tells more than it should: %+v", got)
			}
			if got.OK && (got.HasKeys != (v.attempt.Protocol == MSCHAPv2) || (got.AuthenticatorResponse == exampleSuccess) != got.HasKeys) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestVerdictKeys(t *testing.T) {
	v := Verify(exampleAttempt(t), PlainSecret(examplePassword))
	if v.SendKey != mppe.Key(unhex(t, "8B7CDC149B993A1BA118CB153F56DCCB")) || v.ReceiveKey != mppe.Key(unhex(t, "D5F0E9521E3EA9589645E86051C82226")) {
		t.Errorf("send %x, receive %x", v.SendKey[:], v.ReceiveKey[:])
	}
}

// TestDomainInTheHash: some clients hash the name with its domain, or a name that has
// a slash of its own.
func TestDomainInTheHash(t *testing.T) {
	hash, err := NTHash("pw")
	if err != nil {
		t.Fatal(err)
	}
	var challenge, peer [16]byte
	for _, v := range []struct {
		sent, hashed string
		ok           bool
	}{
		{`DOM\bob`, "bob", true},
		{`DOM\bob`, `DOM\bob`, true},
		{`DOM/bob`, "bob", true},
		{`DOM/bob`, "DOM/bob", true},
		{`DOM\a/b`, "a/b", true},
		{`DOM\a/b`, "b", true},
		{`DOM\bob`, "DOM", false},
		{"bob", "", false},
	} {
		short, err := challengeHash(peer, challenge, v.hashed)
		if err != nil {
			t.Fatal(err)
		}
		nt, err := challengeResponse(short, hash)
		if err != nil {
			t.Fatal(err)
		}
		r := MSCHAPv2Response{PeerChallenge: peer, NTResponse: nt}
		got := Verify(Attempt{Protocol: MSCHAPv2, User: v.sent, Challenge: challenge[:], Response: r.Append(nil)}, PlainSecret("pw"))
		proof, err := authenticatorResponse(hash, nt, short)
		if err != nil {
			t.Fatal(err)
		}
		if got.OK != v.ok || v.ok && got.AuthenticatorResponse != proof {
			t.Errorf("sent %q, hashed %q: %v", v.sent, v.hashed, got)
		}
	}
}

func TestSecretsHideThemselves(t *testing.T) {
	hash := mustHash(t, "hunter2")
	h, err := hash.NTHash()
	if err != nil {
		t.Fatal(err)
	}
	forbidden := []string{"hunter2", fmt.Sprintf("%x", h[:4]), fmt.Sprintf("%d %d", h[0], h[1]), "68756e74"}
	key := mppe.Key(h)
	for _, v := range []any{
		PlainSecret("hunter2"), hash, &hash, Attempt{Password: PlainSecret("hunter2")}, &Attempt{Password: hash},
		PeerConfig{Secret: PlainSecret("hunter2")}, Verdict{SendKey: key, ReceiveKey: key, HasKeys: true, OK: true},
		Authenticate{Attempt{Password: PlainSecret("hunter2")}}, Succeeded{SendKey: key, ReceiveKey: key, Verdict: Verdict{SendKey: key}},
	} {
		var all []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			all = append(all, fmt.Sprintf(verb, v))
		}
		switch v.(type) {
		case Secret, *Secret, Attempt, *Attempt, PeerConfig, Authenticate:
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(b))
		}
		for _, s := range all {
			for _, f := range forbidden {
				if strings.Contains(strings.ToLower(s), f) {
					t.Errorf("%T shows %q in %s", v, f, s)
				}
			}
		}
	}
}

func TestNames(t *testing.T) {
	for p := None; p <= EAP; p++ {
		option := p.AppendOption(nil)
		got, ok := ParseOption(option)
		if ok != (p != None) || got != p {
			t.Errorf("%v: option % x read as %v, %v", p, option, got, ok)
		}
		if p != None && (len(option) < 2 || uint16(option[0])<<8|uint16(option[1]) != p.Number()) {
			t.Errorf("%v: option % x, number %04X", p, option, p.Number())
		}
		if _, ok := ParseOption(append(option, 0)); ok {
			t.Errorf("%v: option with an octet more accepted", p)
		}
		if strings.Contains(p.String(), "(") {
			t.Errorf("%d has no name", p)
		}
		err := p.Supported()
		if want := p == PAP || p == CHAPMD5 || p == MSCHAPv2; want != (err == nil) || !want && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: %v", p, err)
		}
	}
	for _, b := range []string{"", "C0", "C223", "C22306", "C027", "C02300"} {
		if p, ok := ParseOption(unhex(t, b)); ok {
			t.Errorf("%s read as %v", b, p)
		}
	}
	for r := FailRefused; r <= FailImpossible; r++ {
		if strings.Contains(r.String(), "(") {
			t.Errorf("reason %d has no text", r)
		}
	}
	for _, c := range []FailureCode{646, 647, 648, 649, 691, 709} {
		if strings.HasPrefix(c.String(), "error 6") {
			t.Errorf("code %d has no text", c)
		}
	}
	for e := EncryptionDefault; e <= EncryptionRequired; e++ {
		if strings.Contains(e.String(), "(") {
			t.Errorf("override %d has no name", e)
		}
	}
}

// TestFIPS runs in a process of its own that forbids the algorithms.
func TestFIPS(t *testing.T) {
	if os.Getenv("AUTH_TEST_FIPS") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "AUTH_TEST_FIPS=1", "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFIPS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	for _, p := range []Protocol{CHAPMD5, MSCHAPv2} {
		_, errA := NewAuthenticator(AuthenticatorConfig{Protocol: p})
		_, errP := NewPeer(PeerConfig{Protocol: p, Secret: PlainSecret("x")})
		for _, err := range []error{p.Supported(), errA, errP} {
			if !errors.Is(err, ErrFIPS) {
				t.Errorf("%v: %v", p, err)
			}
		}
	}
	if _, err := NTHash("x"); !errors.Is(err, ErrFIPS) {
		t.Error(err)
	}
	if _, err := HashSecret([16]byte{}).NTHash(); !errors.Is(err, ErrFIPS) {
		t.Error(err)
	}
	for _, a := range []Attempt{exampleAttempt(t), md5Attempt(t)} {
		if v := Verify(a, PlainSecret("x")); v.OK || !strings.Contains(v.Reason, "FIPS") {
			t.Errorf("%v", v)
		}
	}
	if _, err := NewAuthenticator(AuthenticatorConfig{Protocol: PAP}); err != nil {
		t.Errorf("PAP: %v", err)
	}
	a := Attempt{Protocol: PAP, Password: PlainSecret("pw")}
	if v := Verify(a, PlainSecret("pw")); !v.OK {
		t.Errorf("PAP: %v", v)
	}
	if v := Verify(a, HashSecret([16]byte{})); v.OK || !strings.Contains(v.Reason, "FIPS") {
		t.Errorf("PAP against a hash: %v", v)
	}
}
