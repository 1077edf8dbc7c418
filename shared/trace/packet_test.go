package trace

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// The headers that are made up, octet by octet; the checksums have been reckoned by hand.
func TestHeaders(t *testing.T) {
	four, six := netip.MustParseAddrPort("192.0.2.1:1723"), netip.MustParseAddrPort("[2001:db8::1]:1723")
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"IPv4":           {appendIP(nil, four.Addr(), netip.MustParseAddr("198.51.100.7"), 47, 3, 0x1234), "45000017 12340000 402f7c48 c0000201 c6336407"},
		"IPv6":           {appendIP(nil, six.Addr(), netip.MustParseAddr("2001:db8::2"), 47, 3, 0x1234), "60000000 0003 2f40 20010db8000000000000000000000001 20010db8000000000000000000000002"},
		"text":           {appendText(nil, "hi"), "000c 0008 7379736c6f670000 0000 0000 6869"},
		"after the rest": {appendText([]byte{1}, ""), "01 000c 0008 7379736c6f670000 0000 0000"},
	} {
		want, err := hex.DecodeString(strings.Join(strings.Fields(c.want), ""))
		if err != nil {
			t.Fatal(err)
		}
		if string(c.got) != string(want) {
			t.Errorf("%s: % x, want % x", name, c.got, want)
		}
	}
	// A sum over all of it, the checksum with it, comes to nothing (RFC 1071).
	b := appendTCP([]byte("before"), six, netip.MustParseAddrPort("[2001:db8::2]:40000"), 5, 6, []byte("odd"), 1)[6:]
	pseudo := binary.BigEndian.AppendUint32(append([]byte(nil), b[8:40]...), uint32(len(b)-ipv6Header))
	pseudo = append(pseudo, 0, 0, 0, b[6])
	if len(b) != ipv6Header+tcpHeader+3 || checksum(sum(0, pseudo), b[ipv6Header:]) != 0 || string(b[60:]) != "odd" {
		t.Errorf("TCP in IPv6: % x", b)
	}
}
