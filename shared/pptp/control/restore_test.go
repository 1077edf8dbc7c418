package control

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// codecs write a State out and read it back, as a daemon does that hands its
// connections to its successor.
var codecs = map[string]func(State) (State, error){
	"gob": func(s State) (back State, err error) {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(s); err != nil {
			return back, err
		}
		return back, gob.NewDecoder(&b).Decode(&back)
	},
	"json": func(s State) (back State, err error) {
		b, err := json.Marshal(s)
		if err != nil {
			return back, err
		}
		return back, json.Unmarshal(b, &back)
	},
}

// scenario is a connection's life with calls in every state, half a message,
// an Echo-Request without answer and error counters held back.
var scenario = []func(b *bench){
	func(b *bench) { b.c.Receive(b.now, theirRequest.Append(nil)[:100]) },
	func(b *bench) { b.c.Receive(b.now, theirRequest.Append(nil)[100:]) },
	func(b *bench) { b.try(b.c.ApproveStart(b.now)) },
	func(b *bench) {
		b.receive(&pptp.OutgoingCallRequest{PNSCallID: 1}, &pptp.IncomingCallRequest{PACCallID: 2})
	},
	func(b *bench) {
		for range 2 {
			_, err := b.c.OfferIncoming(b.now, IncomingOffer{DialedNumber: "1", DialingNumber: "2"})
			b.try(err)
			_, err = b.c.RequestOutgoing(b.now, OutgoingRequest{PhoneNumber: "3", MaximumBPS: 64000})
			b.try(err)
		}
	},
	func(b *bench) { b.advance(7 * time.Second) },
	func(b *bench) { b.try(b.c.AnswerIncoming(b.now, 101, IncomingAnswer{Window: 3})) },
	func(b *bench) {
		b.receive(&pptp.IncomingCallReply{PNSCallID: 0, PACCallID: 102, ResultCode: pptp.IncomingAccept})
	},
	func(b *bench) { b.try(b.c.ConfirmIncoming(b.now, 102, LineConnected{ConnectSpeed: 9600})) },
	func(b *bench) { b.try(b.c.NotifyWANErrors(b.now, 102, pptp.WANErrors{CRCErrors: 1})) },
	func(b *bench) { b.try(b.c.NotifyWANErrors(b.now, 102, pptp.WANErrors{CRCErrors: 2})) },
	func(b *bench) {
		b.receive(&pptp.OutgoingCallReply{PACCallID: 7, PNSCallID: 103, ResultCode: pptp.OutgoingConnected, ConnectSpeed: 5})
	},
	func(b *bench) { b.try(b.c.ClearCall(b.now, 103)) },
	func(b *bench) { b.c.Receive(b.now, (&pptp.SetLinkInfo{PACCallID: 102, SendACCM: 5}).Append(nil)[:13]) },
	func(b *bench) { b.advance(20 * time.Second) },
	func(b *bench) { b.c.Receive(b.now, (&pptp.SetLinkInfo{PACCallID: 102, SendACCM: 5}).Append(nil)[13:]) },
	func(b *bench) {
		b.receive(&pptp.CallDisconnectNotify{PACCallID: 7, ResultCode: pptp.DisconnectRequest})
	},
	func(b *bench) { b.receive(&pptp.IncomingCallConnected{PNSCallID: 101, ConnectSpeed: 14400}) },
	func(b *bench) { b.advance(50 * time.Second) }, // the second offer is not answered
	func(b *bench) { b.receive(&pptp.CallClearRequest{PNSCallID: 0}) },
	func(b *bench) { b.advance(35 * time.Second) }, // nor the second request, nor is the first dialled
	func(b *bench) { b.advance(70 * time.Second) }, // an Echo-Request goes out
	func(b *bench) { b.receive(&pptp.EchoReply{Identifier: 1, ResultCode: pptp.EchoOK}) },
	func(b *bench) { b.try(b.c.SetLinkInfo(b.now, 101, 0, 0)) },
	func(b *bench) { b.c.Stop(b.now, pptp.StopShutdown) },
	func(b *bench) { b.receive(stopReply) },
}

// play runs the scenario and returns what happened. swap, if any, is done after
// every step.
func play(t *testing.T, swap func(b *bench)) (log []string) {
	b := newBench(t, Config{Approve: true})
	for i, step := range scenario {
		step(b)
		b.drain()
		log = append(log, fmt.Sprintf("step %d: sent %s\n%s", i, summaries(b.sent), listing(b.news)))
		b.sent, b.news = nil, nil
		if swap != nil {
			swap(b)
		}
	}
	b.wantClosed(false, nil)
	return log
}

// TestRestore: a connection that is written out and read back after every step
// does the same as one that lives on.
func TestRestore(t *testing.T) {
	want := play(t, nil)
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			got := play(t, func(b *bench) {
				before := b.c.State()
				s, err := codec(before)
				if err != nil {
					t.Fatal(err)
				}
				due := b.c.Deadline()
				if b.c, err = b.c.cfg.Restore(s, b.c.ids); err != nil {
					t.Fatal(err)
				}
				if !b.c.Deadline().Equal(due) {
					t.Errorf("the deadline moves from %v to %v", due, b.c.Deadline())
				}
				if after := fmt.Sprintf("%+v", b.c.State()); after != fmt.Sprintf("%+v", before) {
					t.Errorf("restored\n%s\nfrom\n%+v", after, before)
				}
			})
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("restored:\n%s\nlived on:\n%s", got[i], want[i])
				}
			}
		})
	}
}

// TestStateIsACopy: what State returned does not change any more, and changing
// it changes nothing.
func TestStateIsACopy(t *testing.T) {
	b := establishedBench(t, Config{})
	own := b.reach(fsm.PACOutgoing, fsm.StateWaitCSAns)
	b.c.Receive(b.now, []byte{0, 16})
	s := b.c.State()
	text := fmt.Sprintf("%+v", s)
	b.c.Receive(b.now, []byte{0, 1, 0x1a})
	b.try(b.c.AnswerOutgoing(b.now, own, OutgoingAnswer{ConnectSpeed: 1}))
	if fmt.Sprintf("%+v", s) != text {
		t.Error("the state changed with the connection")
	}
	s.Calls[0].Call.State = fsm.StateWaitHangUp
	s.Partial[0] = 0xff
	b.call(own, fsm.StateEstablished)
	b.c.Receive(b.now, (&pptp.EchoRequest{}).Append(nil)[5:])
	if b.c.Status() != fsm.StateEstablished {
		t.Error("the connection changed with the state")
	}
}

func TestRestoreRefuses(t *testing.T) {
	good := func() State {
		b := establishedBench(t, Config{})
		b.reach(fsm.PACOutgoing, fsm.StateWaitCSAns)
		b.reach(fsm.PNSIncoming, fsm.StateEstablished)
		return b.c.State()
	}
	if _, err := Restore(Config{}, good()); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(s *State){
		"control state of a call":    func(s *State) { s.Control = fsm.StateWaitReply },
		"no such state":              func(s *State) { s.Control = 99 },
		"waiting without end":        func(s *State) { s.Control, s.Calls = fsm.StateWaitStopReply, nil },
		"calls without a connection": func(s *State) { s.Control, s.Due = fsm.StateIdle, epoch },
		"no role":                    func(s *State) { s.Calls[0].Call.Role = 0 },
		"no direction":               func(s *State) { s.Calls[0].Call.Direction = 3 },
		"call in idle":               func(s *State) { s.Calls[0].Call.State = fsm.StateIdle },
		"state of another machine":   func(s *State) { s.Calls[0].Call.State = fsm.StateWaitConnect },
		"call waiting without end":   func(s *State) { s.Calls[0].Due = time.Time{} },
		"two calls with one Call ID": func(s *State) { s.Calls[1].Call.PNSCallID = s.Calls[0].Call.PACCallID },
	} {
		s := good()
		spoil(&s)
		if _, err := Restore(Config{}, s); !errors.Is(err, ErrBadState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
