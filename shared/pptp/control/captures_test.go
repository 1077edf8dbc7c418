package control

import (
	"testing"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
	"trunkline.example/test/capture"
)

// TestRecordedClients plays the client of each recorded call (pptp-linux)
// against a receiver, at the recorded times: a PAC must take the call, keep it
// through the recording, and see it end as it did.
func TestRecordedClients(t *testing.T) {
	forEachRecording(t, func(t *testing.T, call *capture.Call) {
		b := newBench(t, Config{})
		connected, cleared := 0, 0
		for _, k := range call.Control {
			b.until(k.Time.Sub(call.Control[0].Time))
			if !k.FromClient {
				continue
			}
			b.c.Receive(b.now, k.Data)
			b.drain()
			for _, a := range b.takeNews() {
				switch a := a.(type) {
				case Established:
					if a.Peer.VendorName == "" || a.Version != pptp.Version10 {
						t.Errorf("%+v", a)
					}
				case OutgoingRequested:
					connected++
					b.try(b.c.AnswerOutgoing(b.now, a.Call.Own(), OutgoingAnswer{ConnectSpeed: a.Call.MaximumBPS, Window: a.Call.PNSWindow}))
				case ClearRequested:
					cleared++
					b.try(b.c.DisconnectCall(b.now, a.Call.Own(), Disconnect{}))
				case CallEnded:
					if a.Why.Cause != CauseClearedByPNS {
						t.Errorf("%+v", a)
					}
				default:
					t.Errorf("%T%+v", a, a)
				}
			}
		}
		if connected != 1 || cleared != 1 || len(b.ids.inUse) != 0 || b.c.Status() != fsm.StateEstablished {
			t.Errorf("%d calls, %d cleared, %d Call IDs in use, %v", connected, cleared, len(b.ids.inUse), b.c.Status())
		}
	})
}

// TestRecordedServers plays the server of each recorded call (pptpd) against an
// originator that does what the client did.
func TestRecordedServers(t *testing.T) {
	forEachRecording(t, func(t *testing.T, call *capture.Call) {
		request := recordedRequest(t, call)
		b := newBench(t, Config{Originator: true})
		b.ids.next = request.PNSCallID // pptpd answers the recorded Call ID
		connected := 0
		for _, k := range call.Control {
			b.until(k.Time.Sub(call.Control[0].Time))
			if k.FromClient {
				continue
			}
			b.c.Receive(b.now, k.Data)
			b.drain()
			for _, a := range b.takeNews() {
				switch a := a.(type) {
				case Established:
					own, err := b.c.RequestOutgoing(b.now, OutgoingRequest{MaximumBPS: request.MaximumBPS})
					if b.try(err); own != request.PNSCallID {
						t.Errorf("Call ID %d, want %d", own, request.PNSCallID)
					}
				case OutgoingConnected:
					connected++
					if theirs, known := a.Call.Theirs(); !known || theirs != 0 { // pptpd's first Call ID is 0
						t.Errorf("%+v", a)
					}
				case Misbehaved:
					if a.What != FaultEchoIdentifier { // the recorded client asked, we did not
						t.Errorf("%+v", a)
					}
				default:
					t.Errorf("%T%+v", a, a)
				}
			}
		}
		if connected != 1 {
			t.Errorf("%d calls connected", connected)
		}
		// pptpd closes TCP instead of sending a Call-Disconnect-Notify.
		b.try(b.c.ClearCall(b.now, request.PNSCallID))
		b.do(func(c *Connection) { c.TransportClosed(b.now, nil) })
		if news := b.takeNews(); len(news) != 2 || news[0].(CallEnded).Why.Cause != CauseClearedByPNS {
			t.Errorf("%s", listing(news))
		}
	})
}

func forEachRecording(t *testing.T, f func(t *testing.T, call *capture.Call)) {
	recordings, err := capture.Index("../../../test/captures")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recordings {
		if r.Serial() {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			call, err := capture.ReadPPTP(r.Path)
			if err != nil {
				t.Fatal(err)
			}
			f(t, call)
		})
	}
}

// recordedRequest returns the client's Outgoing-Call-Request.
func recordedRequest(t *testing.T, call *capture.Call) *pptp.OutgoingCallRequest {
	t.Helper()
	var f pptp.Framer
	f.Feed(call.Stream(true))
	for {
		msg, ok, err := f.Next()
		if err != nil || !ok {
			t.Fatal("no Outgoing-Call-Request", err)
		}
		if m, err := pptp.Decode(msg); err == nil {
			if m, ok := m.(*pptp.OutgoingCallRequest); ok {
				return m
			}
		}
	}
}
