package blank

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A secret stands between < and >; everything else must stay as it is.
func TestFrame(t *testing.T) {
	for name, text := range map[string]string{
		"PAP request":                      "ff03 c023 01 01 000c 03 626f62 03 <707764> ",
		"PAP without address":              "c023 01 01 000c 03 626f62 03 <707764>",
		"PAP with padding":                 "c023 01 01 000c 03 626f62 03 <707764 00 70>",
		"PAP, odd password length":         "c023 01 01 000c 03 626f62 09 <707764>",
		"PAP, odd identity length":         "c023 01 01 000c 30 <626f62 03 707764>",
		"PAP, identity up to the end":      "c023 01 01 000c 07 <626f62 03 707764>",
		"PAP, length too long":             "c023 01 01 0010 <03 626f62 03 707764>",
		"PAP, length too short":            "c023 01 01 0003 <03 626f62 03 707764>",
		"PAP, cut off":                     "c023 <01 01 00>",
		"PAP without a password":           "c023 01 01 0009 03 626f62 00",
		"PAP without anything":             "c023 01 01 0004",
		"PAP Ack and Nak":                  "c023 02 01 0008 03 6f6b21",
		"PAP, unknown code":                "c023 07 01 0008 <03 6f6b21>",
		"CHAP challenge":                   "ff03 c223 01 01 000c 04 01020304 706e73",
		"CHAP response":                    "ff03 c223 02 01 000c 04 <01020304> 626f62",
		"CHAP response, odd size":          "c223 02 01 000c 09 <01020304 626f62>",
		"CHAP response, no size":           "c223 02 01 0004",
		"CHAP success":                     "c223 03 01 000b 57656c636f6d65",
		"MS-CHAPv2 success":                "c223 03 01 0034 533d <" + strings.Repeat("41", 40) + "> 204d3d6f6b21",
		"MS-CHAPv2 success, no message":    "c223 03 01 000b 533d <4142434445>",
		"MS-CHAPv2 success, odd":           "c223 03 01 0010 533d <41204d3d533d42434445>",
		"MS-CHAPv2 failure":                "c223 04 01 0009 453d363931",
		"MS-CHAP change of a password":     "c223 07 01 0008 <01020304>",
		"EAP identity":                     "c227 02 01 0008 01 626f62",
		"EAP nak":                          "c227 02 01 0006 03 1a",
		"EAP MD5 challenge":                "c227 01 01 000c 04 04 01020304 7077",
		"EAP MD5 response":                 "c227 02 01 000c 04 04 <01020304> 7077",
		"EAP MS-CHAPv2":                    "c227 02 01 0008 1a <020100>",
		"EAP MS-CHAPv2 request":            "c227 01 01 0008 1a <030100>",
		"EAP success":                      "c227 03 01 0004",
		"EAP success with data":            "c227 03 01 0006 <0102>",
		"EAP without a type":               "c227 02 01 0004",
		"EAP, type 0":                      "c227 02 01 0006 00 <01>",
		"SPAP":                             "c027 <01 01 0008 03 6f6b21>",
		"unknown authentication":           "ff03 c281 <01 01 0008 03 6f6b21>",
		"not a protocol":                   "c022 <01 01 0008 03 6f6b21>",
		"not a protocol either":            "ff03 ff <03 c023 01 01 000c 03>",
		"LCP request":                      "ff03 c021 01 01 000a 0506 01020304",
		"LCP echo":                         "c021 09 01 000a 01020304 0506",
		"LCP rejects PAP":                  "ff03 c021 08 05 0012 c023 01 01 000c 03 626f62 03 <707764>",
		"LCP rejects SPAP":                 "c021 08 05 0008 c027 <0101>",
		"LCP rejects CCP":                  "c021 08 05 0008 80fd 0101",
		"LCP rejects half a protocol":      "c021 08 05 0005 c0",
		"LCP rejects a code, a protocol":   "c021 07 05 0012 08 06 000e c023 07 01 0008 <026f6b21>",
		"LCP, cut off":                     "c021 01 01 00",
		"LQR":                              "c025 0102030405",
		"callback":                         "c029 01 01 0008 02 05 01 35",
		"IPv4 with PFC":                    "21 4500 0014 7077",
		"IPv4":                             "ff03 0021 4500 0014 7077",
		"MPPE":                             "00fd 9001 7077 c023 01 01",
		"IPCP":                             "8021 01 01 000a 0306 0a000001",
		"nothing but address and control":  "ff03",
		"half a protocol":                  "c0",
		"nothing":                          "",
		"LCP rejected over and over again": strings.Repeat("c021 08 01 0020 ", 5) + "<c023 02 01 0004>",
	} {
		frame := unhex(t, strings.NewReplacer("<", "", ">", "").Replace(text))
		var want []byte
		for i, part := range strings.FieldsFunc(text, func(r rune) bool { return r == '<' || r == '>' }) {
			b := unhex(t, part)
			if i%2 == 1 {
				b = bytes.Repeat([]byte{Filler}, len(b))
			}
			want = append(want, b...)
		}
		got := bytes.Clone(frame)
		if changed := Frame(got); !bytes.Equal(got, want) || changed == bytes.Equal(frame, want) {
			t.Errorf("%s: %v,\n% x becomes\n% x, want\n% x", name, changed, frame, got, want)
		}
		if Frame(got) {
			t.Errorf("%s: what is blanked has changed again", name)
		}
	}
}

func TestPacket(t *testing.T) {
	for text, want := range map[string]string{
		"3081 880b 0010 0007 00000001 00000009 ff03 c023 01 01 000c 03 626f62 03 707764": "3081 880b 0010 0007 00000001 00000009 ff03 c023 01 01 000c 03 626f62 03 2a2a2a",
		"3001 880b 0004 0007 00000001 0021 4500 7077":                                    "3001 880b 0004 0007 00000001 0021 4500 2a2a", // padding
		"2081 880b 0000 0007 00000009":                                                   "2081 880b 0000 0007 00000009",
		"3001 880b 0400 0007 00000001 c023 01":                                           "3001 880b 0400 0007 2a2a2a2a 2a2a 2a", // longer than it is
		"0000 0800 4500 0014 0000":                                                       "0000 0800 4500 0014 2a2a",
		"3001 88":                                                                        "3001 88",
	} {
		packet := unhex(t, text)
		before := bytes.Clone(packet)
		if changed := Packet(packet); !bytes.Equal(packet, unhex(t, want)) || changed == bytes.Equal(packet, before) {
			t.Errorf("%s: %v, % x", text, changed, packet)
		}
	}
}
