package control

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// fuzzBench returns an established connection with a call in every state that
// a call can have, our Call IDs from 100 up, theirs 1 to 14.
func fuzzBench(t testing.TB) *bench {
	b := establishedBench(t, Config{Limits: Limits{Burst: 1 << 20}})
	theirs := uint16(1)
	for _, m := range fsm.CallMachines() {
		for _, s := range fsm.StatesOf(m) {
			if s == fsm.StateIdle {
				continue
			}
			// reach uses theirID; the call gets one of its own in the state.
			b.reach(m, s)
			b.c.calls.list[len(b.c.calls.list)-1].Call.setKnown(theirs)
			theirs++
		}
	}
	return b
}

// setKnown replaces the other end's Call ID if it is known.
func (c *Call) setKnown(id uint16) {
	if c.Identified {
		c.setTheirs(id)
	}
}

// fuzzSeeds are streams about the calls of fuzzBench.
func fuzzSeeds() (seeds [][]byte) {
	var all []byte
	for own := uint16(100); own < 114; own++ {
		for _, m := range callMessages(own) {
			all = m.Append(all)
		}
		for theirs := uint16(1); theirs < 15; theirs++ {
			all = (&pptp.CallClearRequest{PNSCallID: theirs}).Append(all)
			all = (&pptp.CallDisconnectNotify{PACCallID: theirs}).Append(all)
		}
	}
	for _, m := range []pptp.Message{
		theirRequest, theirReply, stopRequest(pptp.StopNone), stopReply, &pptp.EchoRequest{}, echoReply(1),
		&pptp.OutgoingCallRequest{PNSCallID: 20}, &pptp.IncomingCallRequest{PACCallID: 20}, &pptp.OutgoingCallRequest{PNSCallID: 1},
		&pptp.WANErrorNotify{PNSCallID: 110}, &pptp.SetLinkInfo{PACCallID: 102},
	} {
		seeds = append(seeds, m.Append(nil))
	}
	return append(seeds, all, all[:1000], slices.Concat(seeds...))
}

// FuzzReceive: whatever arrives, in one piece or octet by octet, does the same,
// panics nowhere, and leaves nothing waiting without a deadline.
func FuzzReceive(f *testing.F) {
	for _, s := range fuzzSeeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		whole, split := fuzzBench(t), fuzzBench(t)
		whole.c.Receive(whole.now, s)
		whole.drain()
		for i := range s {
			split.c.Receive(split.now, s[i:i+1])
		}
		split.drain()
		if a, b := summaries(whole.sent), summaries(split.sent); a != b {
			t.Errorf("whole: sent %s\nsplit: %s", a, b)
		}
		if a, b := listing(whole.news), listing(split.news); a != b {
			t.Errorf("whole:\n%s\nsplit:\n%s", a, b)
		}
		if a, b := fmt.Sprint(whole.c.State()), fmt.Sprint(split.c.State()); a != b {
			t.Errorf("whole:\n%s\nsplit:\n%s", a, b)
		}
		if n := len(whole.c.framer.Buffered()); n >= pptp.MaximumLength {
			t.Errorf("%d octets are held", n)
		}
		whole.advance(time.Hour)
		if whole.closed == nil {
			t.Fatal("a silent connection lives on")
		}
		whole.wantClosed(whole.closed.Flush, whole.closed.Err)
	})
}
