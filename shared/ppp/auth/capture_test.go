package auth

import (
	"slices"
	"testing"

	"trunkline.example/shared/ppp"
	"trunkline.example/test/capture"
)

// TestRecordedCalls runs every recorded authentication against the password it was
// made with: what the server accepted and refused is accepted and refused, and the
// proof it sent in MS-CHAPv2 is the one computed here.
func TestRecordedCalls(t *testing.T) {
	all, err := capture.Index("../../../test/captures")
	if err != nil {
		t.Fatal(err)
	}
	protocols := map[string]Protocol{"PAP": PAP, "CHAP-MD5": CHAPMD5, "MS-CHAPv2": MSCHAPv2}
	seen := map[Protocol]int{}
	for _, r := range all {
		protocol, ok := protocols[r.Auth]
		if !ok {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			v, message, attempts := replay(t, protocol, r)
			if attempts == 0 {
				t.Fatal("no answer found")
			}
			if v.OK != r.Accepted {
				t.Errorf("%v, recorded %v", v, r.Accepted)
			}
			f := ParseFailure(message)
			if protocol == MSCHAPv2 && !v.OK && (f.Code != 691 || !f.Retry || len(f.Challenge) != 16 || f.Message != "Access denied") {
				t.Errorf("failure %q read as %+v", message, f)
			}
			if proof, _, _ := cutMessage(message); protocol == MSCHAPv2 && v.OK && proof != v.AuthenticatorResponse {
				t.Errorf("proof %s, recorded %s", v.AuthenticatorResponse, proof)
			}
			seen[protocol]++
		})
	}
	for name, p := range protocols {
		if seen[p] < 3 {
			t.Errorf("only %d recordings with %s", seen[p], name)
		}
	}
}

// replay finds challenge, answer and reply in a recording and verifies the answer.
func replay(t *testing.T, protocol Protocol, r capture.Recording) (v Verdict, message string, attempts int) {
	t.Helper()
	a := Attempt{Protocol: protocol}
	frames, err := r.Frames()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		proto, info, err := ppp.Split(f.Data)
		if err != nil || uint16(proto) != protocol.Number() {
			continue
		}
		p, err := parsePacket(info, false)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case protocol == PAP && p.code == papRequest:
			user, password, err := parsePAPRequest(p.body)
			if err != nil {
				t.Fatal(err)
			}
			a.User, a.Password = user, PlainSecret(password)
		case protocol == PAP:
			message = parsePAPReply(p.body)
			continue
		case p.code == chapChallenge:
			value, _, err := parseValue(p.body)
			if err != nil {
				t.Fatal(err)
			}
			a.Challenge = slices.Clone(value)
			continue
		case p.code == chapResponse:
			if a.Response, a.User, err = parseValue(p.body); err != nil {
				t.Fatal(err)
			}
			a.Identifier = p.identifier
		default:
			message = string(p.body)
			continue
		}
		if a.User != r.User {
			t.Errorf("user %q, want %q", a.User, r.User)
		}
		v = Verify(a, PlainSecret(r.Password))
		attempts++
	}
	return v, message, attempts
}
