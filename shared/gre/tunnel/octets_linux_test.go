package tunnel

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStripIPv4(t *testing.T) {
	header := func(f func(b []byte)) []byte {
		b := []byte{0x45, 0, 0, 24, 0, 0, 0, 0, 64, 47, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1, 1, 2, 3, 4}
		f(b)
		return b
	}
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"whole", header(func([]byte) {}), "192.0.2.9 01020304"},
		{"padded", append(header(func([]byte) {}), 9, 9), "192.0.2.9 01020304"},
		{"options", header(func(b []byte) { b[0] = 0x46 }), "192.0.2.9 "},
		{"no payload", header(func(b []byte) { b[3] = 20 }), "192.0.2.9 "},
		{"empty", nil, "refused"},
		{"cut", header(func([]byte) {})[:19], "refused"},
		{"version 6", header(func(b []byte) { b[0] = 0x65 }), "refused"},
		{"header too small", header(func(b []byte) { b[0] = 0x44 }), "refused"},
		{"header too large", header(func(b []byte) { b[0] = 0x4F }), "refused"},
		{"total too small", header(func(b []byte) { b[3] = 19 }), "refused"},
		{"total too large", header(func(b []byte) { b[3] = 25 }), "refused"},
		{"another protocol", header(func(b []byte) { b[9] = 6 }), "refused"},
	} {
		got := "refused"
		if source, payload, ok := stripIPv4(c.in); ok {
			got = fmt.Sprintf("%s %x", source, payload)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzStripIPv4(f *testing.F) {
	f.Add([]byte{0x45, 0, 0, 24, 0, 0, 0, 0, 64, 47, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1, 1, 2, 3, 4})
	f.Add([]byte{0x4F, 0, 0xFF, 0xFF, 0, 0, 0, 0, 64, 47, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if source, payload, ok := stripIPv4(b); ok && (!source.Is4() || len(payload) > len(b)-20) {
			t.Fatalf("%x: %s %x", b, source, payload)
		}
	})
}

func TestBoundSockets(t *testing.T) {
	row := func(protocol int, a string) string {
		text := ""
		for b := netip.MustParseAddr(a).AsSlice(); len(b) > 0; b = b[4:] {
			text += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(b))
		}
		any := strings.Repeat("0", len(text))
		return fmt.Sprintf("%5d: %s:%04X %s:0000 07 00000000:00000000 00:00000000 00000000     0        0 21 2 0 0\n", protocol, text, protocol, any)
	}
	table := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
		row(47, "127.0.0.1") + row(47, "127.0.0.1") + row(1, "127.0.0.2") + row(47, "2001:db8::1:0") + row(58, "2001:db8::2") + "\n"
	for a, want := range map[string]int{
		"127.0.0.1": 2, "127.0.0.2": 0, "0.0.0.0": 0, "2001:db8::1:0": 1, "2001:db8::1": 0, "2001:db8::2": 0, "::": 0,
	} {
		if got := boundSockets([]byte(table), netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %d, want %d", a, got, want)
		}
	}
}

func TestPathErrno(t *testing.T) {
	for errno, want := range map[syscall.Errno]bool{unix.EHOSTUNREACH: true, unix.EMSGSIZE: true, unix.EBADF: false, unix.EINVAL: false} {
		if pathErrno(errno) != want {
			t.Errorf("%v", errno)
		}
	}
}
