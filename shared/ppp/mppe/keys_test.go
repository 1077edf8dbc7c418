package mppe

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unsafe"

	"trunkline.example/shared/ppp/internal/legacy"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func key(t testing.TB, s string) Key { t.Helper(); return Key(unhex(t, s)) }

func ntHash(t testing.TB, password string) [16]byte {
	t.Helper()
	var b []byte
	for _, u := range utf16.Encode([]rune(password)) {
		b = append(b, byte(u), byte(u>>8))
	}
	h, err := legacy.MD4(b)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The user of RFC 2759 section 9.2 and RFC 3079 section 3.5.
const (
	ntResponseHex   = "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF"
	masterHex       = "FDECE3717A8C838CB388E527AE3CDD31"
	serverSendHex   = "8B7CDC149B993A1BA118CB153F56DCCB"
	serverReceiveHx = "D5F0E9521E3EA958964 5E86051C82226"
)

func TestStartKeys(t *testing.T) {
	master, err := MasterKey(ntHash(t, "clientPass"), [24]byte(unhex(t, ntResponseHex)))
	if err != nil || master != key(t, masterHex) {
		t.Errorf("master key %x, %v", master[:], err)
	}
	send, receive, err := ServerKeys(master)
	if err != nil || send != key(t, serverSendHex) || receive != key(t, serverReceiveHx) {
		t.Errorf("send %x, receive %x, %v", send[:], receive[:], err)
	}
}

// TestSessionKeys takes the initial session key and the first after a change
// from RFC 3079 section 3.5, and those it does not print from a computation apart
// from this code.
func TestSessionKeys(t *testing.T) {
	for _, v := range []struct {
		name    string
		bits    KeyLength
		start   string
		initial string
		changed string
		message string // RC4 of "test message" under the initial key
	}{
		{"server sends 40", Bits40, serverSendHex, "D1269EC49FA62E3E", "D1269ECE4D98D181", "92913791 7E5803D668D75898"},
		// RFC 3079 section 3.5.2 prints 58 for the last octet; computed anew it is B8.
		{"server sends 56", Bits56, serverSendHex, "D15C00C49FA62E3E", "D16182A2AB481407", "3F106833FA448DA842BC57B8"},
		{"server sends 128", Bits128, serverSendHex, "405CB2247A7956E6E211007AE27B22D4", "726F10500E2B54135B1B74D7682F0471", "81848317DF68846272FB5ABE"},
		{"server receives 40", Bits40, serverReceiveHx, "D1269ED2AE999038", "", ""},
		{"server receives 56", Bits56, serverReceiveHx, "D16A9BD2AE999038", "", ""},
		{"server receives 128", Bits128, serverReceiveHx, "49D11D0F0CC6BEFBA2A9B4B688F91EEE", "0E09C108101DFDDEF6C0E2F2D95D0BAD", ""},
	} {
		t.Run(v.name, func(t *testing.T) {
			var c chain
			c.init(v.bits, key(t, v.start), nil)
			check := func(what, want string) {
				t.Helper()
				_, got := c.keys()
				if want = strings.ToLower(want); want != "" && hex.EncodeToString(got[:v.bits.octets()]) != want {
					t.Errorf("%s: %x, want %s", what, got[:v.bits.octets()], want)
				}
			}
			check("initial", v.initial)
			if v.message != "" {
				out := make([]byte, 12)
				var s state
				s.setup(&c.key)
				s.xor(out, []byte("test message"))
				if hex.EncodeToString(out) != hex.EncodeToString(unhex(t, v.message)) {
					t.Errorf("message: %x", out)
				}
			}
			var keyed state
			skipped := c
			skipped.skip(work)
			c.step(work)
			check("after one change", v.changed)
			if keyed.setup(&c.key); work.packet != keyed {
				t.Error("the packet is not keyed with the session key")
			}
			if skipped.key != c.key || skipped.interim != c.interim {
				t.Error("skipping a key comes to another one")
			}
		})
	}
}

// What a chain keeps ahead while it is in use, and lets go of when it rests, changes no key.
func TestRest(t *testing.T) {
	e, d := pair(t, Bits128)
	plain := newPlainChain(Bits128, e.State().StartKey)
	for n := range 5 * coldChanges {
		want := plain.packet(plainAt(n))
		sealed := e.Seal(work, nil, plainAt(n))
		if !bytes.Equal(sealed[HeaderLength:], want) {
			t.Fatalf("packet %d is %x, want %x", n, sealed, want)
		}
		open(t, d, sealed, 0, plainAt(n))
		if warm := n%(2*coldChanges) >= coldChanges; (e.chain.next != nil) != warm || (d.chain.next != nil) != warm {
			t.Fatalf("packet %d: in use %v, something kept ahead %v, %v", n, warm, e.chain.next != nil, d.chain.next != nil)
		}
		if n%(2*coldChanges) == 2*coldChanges-1 {
			e.Rest()
			d.Rest()
		}
	}
	if n := unsafe.Sizeof(*e) + unsafe.Sizeof(*d); n > 256 {
		t.Errorf("both directions at rest take %d octets", n)
	}
}

func TestKeyHidesItself(t *testing.T) {
	k := key(t, masterHex)
	p := Params{KeyLength: Bits128, Stateless: true, SendKey: k, ReceiveKey: k}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{k, &k, p, &p} {
			if s := strings.ToLower(fmt.Sprintf(verb, v)); strings.Contains(s, "fdec") || strings.Contains(s, "253") || strings.Contains(s, "0xfd") {
				t.Errorf("%s of %T: %s", verb, v, s)
			}
		}
	}
}

func TestEncrypts(t *testing.T) {
	for protocol, want := range map[uint16]bool{0x0020: false, 0x0021: true, 0x002D: true, 0x0057: true, 0x00FA: true, 0x00FB: false, 0x00FD: false, 0x8021: false, 0xC021: false} {
		if Encrypts(protocol) != want {
			t.Errorf("%04X: %v", protocol, !want)
		}
	}
}
