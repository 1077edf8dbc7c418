package pptp

import (
	"bytes"
	"testing"

	"trunkline.example/test/capture"
)

// TestCaptures decodes every control message in the recorded calls of
// pptp-linux and pptpd and encodes it again.
func TestCaptures(t *testing.T) {
	recordings, err := capture.Index("../../test/captures")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[MessageType]int)
	calls := 0
	for _, r := range recordings {
		if r.Serial() {
			continue
		}
		calls++
		call, err := capture.ReadPPTP(r.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, fromClient := range []bool{true, false} {
			checkStream(t, r.Name, call.Stream(fromClient), seen)
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
}

// checkStream counts the messages of one direction by type.
func checkStream(t *testing.T, name string, s []byte, seen map[MessageType]int) {
	t.Helper()
	got := frame(octets(s)...)
	if got.err != nil || got.left != 0 || len(got.messages) == 0 {
		t.Errorf("%s: %d messages, %d octets left, %v", name, len(got.messages), got.left, got.err)
	}
	for _, msg := range got.messages {
		m, err := Decode(msg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		seen[m.Type()]++
		if wire := m.Append(nil); !bytes.Equal(wire, msg) {
			t.Errorf("%s: %v encodes to\n%x, recorded\n%x", name, m.Type(), wire, msg)
		}
	}
}
