package blank

import (
	"bytes"
	"encoding/binary"
	"testing"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/ppp"
	"trunkline.example/test/capture"
)

// recordings are those of test/captures.
func recordings(t testing.TB) []capture.Recording {
	t.Helper()
	all, err := capture.Index("../../test/captures")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// secret finds, by other means than the package, what a well-formed frame must not show.
func secret(frame []byte) []byte {
	protocol, info, err := ppp.Split(frame)
	if err != nil || len(info) < 5 {
		return nil
	}
	length := int(binary.BigEndian.Uint16(info[2:]))
	if length < 5 || length > len(info) {
		return nil
	}
	code, data := info[0], info[4:length]
	first := int(data[0]) + 1
	switch {
	case protocol == ppp.PAP && code == 1 && first < len(data) && first+1+int(data[first]) <= len(data):
		return data[first+1 : first+1+int(data[first])]
	case protocol == ppp.CHAP && code == 2 && first <= len(data):
		return data[1:first]
	case protocol == ppp.CHAP && code == 3 && bytes.HasPrefix(data, []byte("S=")):
		return data[2:min(42, len(data))]
	}
	return nil
}

// rejectsRubbish tells a Protocol-Reject of what is no protocol: one recorded call loses its keys, and decrypts rubbish.
func rejectsRubbish(frame []byte) bool {
	protocol, info, err := ppp.Split(frame)
	return err == nil && protocol == ppp.LCP && len(info) > 6 && info[0] == 8 && !ppp.Protocol(binary.BigEndian.Uint16(info[4:])).Valid()
}

// Of the recorded calls nothing is changed but what authenticates, and that is unreadable afterwards, in the frame as well as in its GRE
// packet.
func TestRecordings(t *testing.T) {
	blanked := map[string]int{}
	for _, r := range recordings(t) {
		frames, err := r.Frames()
		if err != nil {
			t.Fatal(err)
		}
		for n, f := range frames {
			hidden := bytes.Clone(secret(f.Data))
			after := bytes.Clone(f.Data)
			if rejectsRubbish(f.Data) {
				if !Frame(after) {
					t.Errorf("%s, frame %d: rubbish is taken for harmless: % x", r.Name, n, after)
				}
				continue
			}
			if changed := Frame(after); changed != (len(hidden) > 0) || changed == bytes.Equal(after, f.Data) {
				t.Errorf("%s, frame %d: changed %v, secret % x\n% x\n% x", r.Name, n, changed, hidden, f.Data, after)
			}
			if len(hidden) == 0 {
				continue
			}
			blanked[r.Auth]++
			if left := secret(after); !bytes.Equal(left, bytes.Repeat([]byte{Filler}, len(hidden))) {
				t.Errorf("%s, frame %d: % x is left of % x", r.Name, n, left, hidden)
			}
			packet := append(gre.Header{PayloadLength: uint16(len(f.Data)), HasSequence: true, HasAck: true}.Append(nil), f.Data...)
			if !Packet(packet) || !bytes.HasSuffix(packet, after) || bytes.Contains(packet, hidden) {
				t.Errorf("%s, frame %d in a GRE packet: % x", r.Name, n, packet)
			}
		}
	}
	for _, how := range []string{"PAP", "CHAP-MD5", "MS-CHAPv2", "MS-CHAPv1"} {
		if blanked[how] < 2 {
			t.Errorf("%d secrets of %s among %v", blanked[how], how, blanked)
		}
	}
}

// FuzzFrame: whatever comes, lengths stay, blanking twice is blanking once, and what can be read of a secret is filler.
func FuzzFrame(f *testing.F) {
	for _, r := range recordings(f) {
		frames, err := r.Frames()
		if err != nil {
			f.Fatal(err)
		}
		for _, one := range frames {
			if len(secret(one.Data)) > 0 {
				f.Add(one.Data)
			}
		}
		f.Add(frames[0].Data)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		after := bytes.Clone(frame)
		changed := Frame(after)
		if changed == bytes.Equal(after, frame) || len(after) != len(frame) {
			t.Fatalf("changed %v: % x becomes % x", changed, frame, after)
		}
		if Frame(after) {
			t.Fatalf("% x is not finished", after)
		}
		if left := secret(after); len(bytes.Trim(left, string(Filler))) > 0 {
			t.Fatalf("% x still shows % x", after, left)
		}
		quoted := append([]byte{0xC0, 0x21, 8, 0, 0, 0}, frame...)
		Frame(quoted)
		if left := secret(quoted[6:]); len(frame) > 2 && frame[0]&1 == 0 && len(bytes.Trim(left, string(Filler))) > 0 {
			t.Fatalf("rejected, % x still shows % x", quoted, left)
		}
	})
}

// FuzzPacket: the same of GRE packets.
func FuzzPacket(f *testing.F) {
	for _, r := range recordings(f) {
		if r.Serial() {
			continue
		}
		call, err := capture.ReadPPTP(r.Path)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range call.GRE[:min(len(call.GRE), 40)] {
			f.Add(p.Data)
		}
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		after := bytes.Clone(packet)
		changed := Packet(after)
		if changed == bytes.Equal(after, packet) || Packet(after) {
			t.Fatalf("changed %v: % x becomes % x", changed, packet, after)
		}
		_, payload, err := gre.Parse(after)
		if left := secret(payload); err == nil && len(bytes.Trim(left, string(Filler))) > 0 {
			t.Fatalf("% x still shows % x", after, left)
		}
	})
}
