package pptp

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// controlStreams returns the octets of both directions of the PPTP control
// connections in a classic pcap file of Ethernet frames, by source port.
func controlStreams(t *testing.T, path string) (fromClient, fromServer []byte) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(file) < 24 || binary.LittleEndian.Uint32(file) != 0xa1b2c3d4 {
		t.Fatalf("%s is no little-endian pcap", path)
	}
	type segment struct {
		sequence uint32
		data     []byte
	}
	var segments [2][]segment
	var first [2]uint32
	for rest := file[24:]; len(rest) >= 16; {
		n := int(binary.LittleEndian.Uint32(rest[8:]))
		frame := rest[16 : 16+n]
		rest = rest[16+n:]
		if n < 54 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 || frame[23] != 6 {
			continue
		}
		ip := frame[14:]
		tcp := ip[int(ip[0]&15)*4 : binary.BigEndian.Uint16(ip[2:])]
		direction := -1
		if binary.BigEndian.Uint16(tcp[2:]) == Port {
			direction = 0
		} else if binary.BigEndian.Uint16(tcp) == Port {
			direction = 1
		}
		if direction < 0 {
			continue
		}
		sequence := binary.BigEndian.Uint32(tcp[4:])
		if syn := tcp[13]&2 != 0; syn {
			first[direction] = sequence + 1
		} else if data := tcp[int(tcp[12]>>4)*4:]; len(data) > 0 {
			segments[direction] = append(segments[direction], segment{sequence - first[direction], data})
		}
	}
	var streams [2][]byte
	for d := range segments {
		slices.SortStableFunc(segments[d], func(a, b segment) int { return int(int64(a.sequence) - int64(b.sequence)) })
		for _, s := range segments[d] {
			if skip := len(streams[d]) - int(s.sequence); skip >= 0 && skip < len(s.data) {
				streams[d] = append(streams[d], s.data[skip:]...)
			} else if skip < 0 {
				t.Fatalf("%s: octets are missing", path)
			}
		}
	}
	return streams[0], streams[1]
}

// TestCaptures decodes every control message in the recorded calls of
// pptp-linux and pptpd and encodes it again.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob("../../test/captures/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[MessageType]int)
	calls := 0
	for _, path := range files {
		if bytes.HasPrefix([]byte(filepath.Base(path)), []byte("serial-")) {
			continue // a serial line, no control connection
		}
		calls++
		client, server := controlStreams(t, path)
		for _, s := range [][]byte{client, server} {
			got := frame(octets(s)...)
			if got.err != nil || got.left != 0 || len(got.messages) == 0 {
				t.Errorf("%s: %d messages, %d octets left, %v", path, len(got.messages), got.left, got.err)
			}
			for _, msg := range got.messages {
				m, err := Decode(msg)
				if err != nil {
					t.Errorf("%s: %v", path, err)
					continue
				}
				seen[m.Type()]++
				if wire := m.Append(nil); !bytes.Equal(wire, msg) {
					t.Errorf("%s: %v encodes to\n%x, recorded\n%x", path, m.Type(), wire, msg)
				}
			}
		}
	}
	if calls < 20 {
		t.Errorf("only %d recorded calls", calls)
	}
	for _, mt := range []MessageType{
		TypeStartControlConnectionRequest, TypeStartControlConnectionReply,
		TypeOutgoingCallRequest, TypeOutgoingCallReply, TypeCallClearRequest,
	} {
		if seen[mt] < calls {
			t.Errorf("%d of %v in %d calls", seen[mt], mt, calls)
		}
	}
	t.Logf("%d calls: %v", calls, seen)
}
