package auth

import (
	"bytes"
	"testing"
)

// TestBrokenPAPSenders: lengths that do not add up are read as far as they make sense.
func TestBrokenPAPSenders(t *testing.T) {
	for _, v := range []struct {
		name, hex      string
		user, password string
		ok             bool
	}{
		{"good", "01 01 000A 02 6162 02 6364", "ab", "cd", true},
		{"padding after the length", "01 01 000A 02 6162 02 6364 00 00", "ab", "cd", true},
		{"header length too long", "01 01 00FF 02 6162 02 6364", "ab", "cd", true},
		{"header length too short", "01 01 0002 02 6162 02 6364", "ab", "cd", true},
		{"password longer than the packet", "01 01 000A 02 6162 09 6364", "ab", "cd", true},
		{"no password", "01 01 0007 02 6162", "ab", "", true},
		{"empty password", "01 01 0008 02 6162 00", "ab", "", true},
		{"octets after the password", "01 01 000B 02 6162 01 6364 65", "ab", "c", true},
		{"name longer than the packet", "01 01 000A 09 6162 02 6364", "", "", false},
		{"no name", "01 01 0004", "", "", false},
		{"cut header", "01 01 00", "", "", false},
	} {
		a, err := NewAuthenticator(AuthenticatorConfig{Protocol: PAP})
		if err != nil {
			t.Fatal(err)
		}
		a.Start(epoch)
		a.Receive(epoch, unhex(t, v.hex))
		actions := a.Actions()
		if !v.ok {
			if len(actions) != 0 || a.Counters().Malformed != 1 {
				t.Errorf("%s: %v, %+v", v.name, actions, a.Counters())
			}
			continue
		}
		if len(actions) != 1 {
			t.Errorf("%s: %v", v.name, actions)
			continue
		}
		at := actions[0].(Authenticate).Attempt
		if p, _ := at.Password.Reveal(); at.User != v.user || p != v.password {
			t.Errorf("%s: %q, %q", v.name, at.User, p)
		}
	}
}

func TestLongestFields(t *testing.T) {
	long := bytes.Repeat([]byte("x"), 255)
	user, password, err := parsePAPRequest(papRequestBody(string(long), string(long)))
	if err != nil || user != string(long) || password != string(long) {
		t.Errorf("PAP request: %d, %d, %v", len(user), len(password), err)
	}
	if m := parsePAPReply(papReplyBody(string(long) + "y")); m != string(long) {
		t.Errorf("PAP reply: %d", len(m))
	}
	value, name, err := parseValue(valueBody(long, string(long)))
	if err != nil || !bytes.Equal(value, long) || name != string(long) {
		t.Errorf("value: %d, %d, %v", len(value), len(name), err)
	}
	if _, _, err := parseValue(valueBody(long, string(long)+"y")); err == nil {
		t.Error("name of 256 octets accepted")
	}
	if _, name, err := parseValue(valueBody([]byte{1}, "abc\x00\x00")); err != nil || name != "abc" {
		t.Errorf("%q, %v", name, err)
	}
}

// FuzzReceive feeds both machines of all protocols anything, in every phase.
func FuzzReceive(f *testing.F) {
	f.Add(challengeA, []byte{3, 5, 0, 4})
	f.Add(append([]byte{1, 1, 0, 19, 5}, "paula\x08pw-pap-1"...), []byte{2, 1, 0, 5, 0})
	f.Add([]byte{2, 0, 0, 21, 16}, []byte{4, 5, 0, 10, 'E', '=', '6', '9', '1', ' '})
	f.Add([]byte{1, 1, 0, 4}, []byte{})
	f.Add([]byte{1, 1, 1, 4, 255}, []byte{2, 1, 0, 6, 255, 1})
	f.Fuzz(func(t *testing.T, one, two []byte) {
		kept := bytes.Clone(one)
		for _, protocol := range []Protocol{PAP, CHAPMD5, MSCHAPv2} {
			for phase := range authenticatorPhases {
				if protocol == CHAPMD5 && phase == AuthenticatorRetrying {
					continue
				}
				cfg := AuthenticatorConfig{Protocol: protocol, Seed: seed(1)}
				if phase == AuthenticatorRetrying {
					cfg.Retries = 1
				}
				b := bring(t, cfg, phase)
				for _, in := range [][]byte{one, two} {
					b.a.Receive(b.now, in)
					checkPackets(t, b.a.Actions())
					checkDeadline(t, b.a)
				}
			}
			for phase := range peerPhases {
				if protocol == PAP && phase == PeerAnswered {
					continue
				}
				b := bringPeer(t, PeerConfig{Protocol: protocol, Secret: PlainSecret("secret")}, phase)
				for _, in := range [][]byte{one, two} {
					b.p.Receive(b.now, in)
					checkPackets(t, b.p.Actions())
				}
			}
		}
		if !bytes.Equal(one, kept) {
			t.Error("input was written to")
		}
	})
}

// checkPackets: what is sent has a good length field, and one that was asked for.
func checkPackets(t *testing.T, actions []Action) {
	t.Helper()
	for _, a := range actions {
		switch a := a.(type) {
		case Send:
			if p, err := parsePacket(a.Packet, false); err != nil || len(p.body)+headerLength != len(a.Packet) {
				t.Fatalf("sent % x: %v", a.Packet, err)
			}
		case Authenticate:
			Verify(a.Attempt, PlainSecret("secret"))
		}
	}
}

// FuzzParseFailure: what is read can be written and read again.
func FuzzParseFailure(f *testing.F) {
	f.Add("E=691 R=1 C=5B5D7C7D7B3F2F3E3C2C602132262628 V=3 M=Access denied")
	f.Add("E=648")
	f.Add("M=")
	f.Add("nonsense E=")
	f.Fuzz(func(t *testing.T, s string) {
		one := ParseFailure(s)
		two := ParseFailure(one.String())
		if one.Code != two.Code || one.Retry != two.Retry || one.Version != two.Version || one.Message != two.Message ||
			!bytes.Equal(one.Challenge, two.Challenge) {
			t.Errorf("%q: %+v, then %+v", s, one, two)
		}
	})
}
