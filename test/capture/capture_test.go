package capture

import (
	"encoding/binary"
	"testing"
)

const dir = "../captures"

func TestEveryRecordingReads(t *testing.T) {
	all, err := Index(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Fatalf("only %d recordings", len(all))
	}
	for _, r := range all {
		t.Run(r.Name, func(t *testing.T) {
			frames, err := r.Frames()
			if err != nil || len(frames) < 4 {
				t.Fatalf("%d frames, %v", len(frames), err)
			}
			if r.Serial() {
				return
			}
			c, err := ReadPPTP(r.Path)
			if err != nil {
				t.Fatal(err)
			}
			for _, fromClient := range []bool{true, false} {
				checkControl(t, c.Stream(fromClient))
			}
		})
	}
}

// checkControl walks the message lengths of a control stream to its very end.
func checkControl(t *testing.T, b []byte) {
	t.Helper()
	if len(b) == 0 {
		t.Error("no control messages")
	}
	for at := 0; at < len(b); {
		if len(b)-at < 12 || binary.BigEndian.Uint32(b[at+4:]) != 0x1A2B3C4D {
			t.Fatalf("no message at %d of %d", at, len(b))
		}
		at += int(binary.BigEndian.Uint16(b[at:]))
		if at > len(b) {
			t.Fatalf("message runs %d octets past the end", at-len(b))
		}
	}
}

func TestFragmentsAreJoined(t *testing.T) {
	c, err := ReadPPTP(dir + "/pap.pcap")
	if err != nil {
		t.Fatal(err)
	}
	longest := 0
	for _, p := range c.GRE {
		longest = max(longest, len(p.Data))
	}
	if longest <= 1480 {
		t.Errorf("longest GRE packet has %d octets: fragments were not joined", longest)
	}
}
