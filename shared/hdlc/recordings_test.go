package hdlc

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recording is what one side of a recorded call between two pppd sent.
type recording struct {
	name string
	// maps are the ACCMs its frames were sent with, by test/captures/index.csv.
	maps []uint32
	// extra are octets that it escapes though nobody asked for it.
	extra string
	// noise is how many octets came before PPP.
	noise bool
}

var recordings = []recording{
	{name: "serial-pap-vj.caller", maps: []uint32{0}},
	{name: "serial-pap-vj.answer", maps: []uint32{0}},
	{name: "serial-dial-chap-md5-accm-default.caller", maps: []uint32{DefaultACCM}, noise: true},
	{name: "serial-dial-chap-md5-accm-default.answer", maps: []uint32{DefaultACCM}, noise: true},
	{name: "serial-mschapv2-mppe128-accm-xonxoff.caller", maps: []uint32{0x000A0000}},
	{name: "serial-mschapv2-mppe128-accm-xonxoff.answer", maps: []uint32{0x000A0000}},
	{name: "serial-chap-md5-accm-differs.caller", maps: []uint32{0x80000001, 0x80000201}, extra: "Aa"},
	{name: "serial-chap-md5-accm-differs.answer", maps: []uint32{0x00000200, 0x80000201}},
	{name: "serial-chap-md5-deflate.caller", maps: []uint32{0}},
	{name: "serial-chap-md5-deflate.answer", maps: []uint32{0}},
	{name: "serial-chap-md5-bsd-ipv6.caller", maps: []uint32{0}},
	{name: "serial-chap-md5-bsd-ipv6.answer", maps: []uint32{0}},
	{name: "serial-fail-pap.caller", maps: []uint32{0}},
	{name: "serial-fail-pap.answer", maps: []uint32{0}},
	{name: "serial-chap-md5-cut.caller", maps: []uint32{0}},
	{name: "serial-chap-md5-cut.answer", maps: []uint32{0}},
}

func capture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "test", "captures", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// framesOf returns the frames that one side sent, from the pcap file of the call: link type 204, each with an octet in
// front that is 1 for the caller.
func framesOf(t *testing.T, name string) [][]byte {
	t.Helper()
	call, side, _ := strings.Cut(name, ".")
	b := capture(t, call+".pcap")
	order := binary.ByteOrder(binary.LittleEndian)
	if binary.LittleEndian.Uint32(b) != 0xA1B2C3D4 {
		order = binary.BigEndian
	}
	if order.Uint32(b) != 0xA1B2C3D4 || order.Uint32(b[20:]) != 204 {
		t.Fatalf("%s.pcap: not what is expected", call)
	}
	var frames [][]byte
	for b = b[24:]; len(b) > 0; {
		n := order.Uint32(b[8:])
		packet := b[16 : 16+n]
		if (packet[0] == 1) == (side == "caller") {
			frames = append(frames, packet[1:])
		}
		b = b[16+n:]
	}
	return frames
}

// uncompressed puts address and control back, as the pcap files have them everywhere.
func uncompressed(frame []byte) []byte {
	if bytes.HasPrefix(frame, []byte{address, control}) {
		return frame
	}
	return append([]byte{address, control}, frame...)
}

// Every frame of every recorded call comes out, whole and in order, and nothing else.
func TestRecordedCallsDeframe(t *testing.T) {
	files, err := filepath.Glob("../../test/captures/serial-*.bin")
	if err != nil || len(files) != len(recordings) {
		t.Fatalf("%d recordings, %v; this test knows %d", len(files), err, len(recordings))
	}
	for _, r := range recordings {
		t.Run(r.name, func(t *testing.T) {
			line, want := capture(t, r.name+".bin"), framesOf(t, r.name)
			// The map of the whole call is not known beforehand: once with none removed, once with a PAC's default.
			for _, accm := range []uint32{0, DefaultACCM} {
				for _, n := range []int{1, 7, len(line)} {
					d := NewDeframer(0)
					d.SetReceiveACCM(accm)
					got := feed(d, line, n)
					if len(got) != len(want) {
						t.Fatalf("map %08X, pieces of %d: %d frames, want %d", accm, n, len(got), len(want))
					}
					for i := range want {
						if !bytes.Equal(uncompressed(got[i]), want[i]) {
							t.Fatalf("map %08X, pieces of %d: frame %d is\n% X, want\n% X", accm, n, i, got[i], want[i])
						}
					}
					if c := d.Counters(); c.FCSErrors+c.Aborts+c.Runts+c.Oversize > 0 || r.noise != (c.Noise > 0) {
						t.Errorf("map %08X: %+v", accm, c)
					}
				}
			}
		})
	}
}

// escapeAlso escapes more octets of a line.
func escapeAlso(line []byte, extra string) []byte {
	var b []byte
	for _, c := range line {
		if strings.IndexByte(extra, c) >= 0 {
			b = append(b, escape)
			c ^= flipBit
		}
		b = append(b, c)
	}
	return b
}

// Framed anew, each frame is what pppd put on the line.
func TestRecordedCallsFrame(t *testing.T) {
	for _, r := range recordings {
		t.Run(r.name, func(t *testing.T) {
			line := capture(t, r.name+".bin")
			frames, compared := feed(NewDeframer(0), line, len(line)), 0
			for _, sent := range bytes.Split(line[bytes.IndexByte(line, flag):], flagOctet) {
				if len(sent) == 0 || compared == len(frames) {
					continue
				}
				frame := frames[compared]
				compared++
				match := false
				for _, accm := range append(r.maps, DefaultACCM) {
					ours := AppendFrame(nil, frame, accm)
					match = match || bytes.Equal(escapeAlso(ours[1:len(ours)-1], r.extra), sent)
				}
				if !match {
					t.Errorf("frame %d, map %08X: % X\nbecomes % X, was % X", compared-1, r.maps[0], frame, AppendFrame(nil, frame, r.maps[0]), sent)
				}
			}
			if compared != len(frames) {
				t.Errorf("%d frames on the line, want %d", compared, len(frames))
			}
		})
	}
}

func TestRecordedCallsAreDetected(t *testing.T) {
	for _, r := range recordings {
		d := NewDetector()
		line := capture(t, r.name+".bin")
		if got := d.Feed(line); got != PPP {
			t.Errorf("%s: %v", r.name, got)
		}
		if at := bytes.IndexByte(line, flag); d.State().Octets > uint64(at+8) {
			t.Errorf("%s: decided after %d octets, the first flag is octet %d", r.name, d.State().Octets, at)
		}
	}
}
