package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/pptp"
)

func equal(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A trace of a peer has all that passes, cut into messages, in segments whose numbers go on; and nothing of others.
func TestPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Scope{Peer: peer.Addr()}, Options{By: "test"})
		began := time.Now()
		both := (&pptp.EchoRequest{Identifier: 7}).Append((&pptp.StartControlConnectionRequest{}).Append(nil))
		for _, piece := range [][]byte{both[:1], both[1:100], both[100:160], both[160:]} {
			r.hub.Control(time.Now(), first, false, piece)
		}
		r.hub.Control(time.Now(), Connection{ID: 2, Local: local, Remote: other}, false, both)
		time.Sleep(time.Second)
		r.send(first, &pptp.EchoReply{Identifier: 7})
		r.hub.GRE(time.Now(), local.Addr(), peer.Addr(), false, packet(5, 0, []byte("!in")))
		r.hub.GRE(time.Now(), local.Addr(), peer.Addr(), true, packet(6, 0, []byte("!out")))
		r.hub.GRE(time.Now(), local.Addr(), other.Addr(), true, packet(6, 0, []byte("!other")))
		r.hub.Frame(time.Now(), About{Remote: peer.Addr(), Line: "line1"}, true, []byte("!frame"))
		r.hub.Frame(time.Now(), About{Remote: other.Addr(), Line: "line2"}, true, []byte("!another"))
		r.hub.Event(time.Now(), About{Remote: peer.Addr(), Line: "line1"}, "RING\x1b")
		f := r.stop()
		equal(t, "messages", messages(t, f), "<SCCRQ", "<Echo-Request", ">Echo-Reply")
		equal(t, "payloads", payloads(t, f), "!in", "!out", "!frame")
		equal(t, "comments", comments(f), "line1: RING?")
		if f.Application != "test" || !strings.Contains(f.Comment, "blanked") {
			t.Errorf("by %q: %q", f.Application, f.Comment)
		}
		want := []segment{{peer, local, 1, 1, both[:156]}, {peer, local, 157, 1, both[156:]}, {local, peer, 1, 173, (&pptp.EchoReply{Identifier: 7}).Append(nil)}}
		for i, w := range want {
			if got := unTCP(t, f.Packets[i].Data); fmt.Sprint(got) != fmt.Sprint(w) {
				t.Errorf("segment %d: %v, want %v", i, got, w)
			}
		}
		if at := f.Packets[2].Time; !at.Equal(began.Add(time.Second)) {
			t.Errorf("the third packet is of %v, began %v", at, began)
		}
		if from, to, _, _ := unIP(t, f.Packets[4].Data); from != local.Addr() || to != peer.Addr() {
			t.Errorf("sent GRE from %v to %v", from, to)
		}
	})
}

// A trace of a call has its messages and those about the connection as such, learns the other end's Call ID, and has the packets of both
// directions; and nothing of the other calls on the connection.
func TestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Scope{Call: "17"}, Options{})
		r.hub.Begin(time.Now(), leg(first, "16", 4, 40))
		r.hub.Begin(time.Now(), leg(first, "17", 5, 0))
		r.send(first, &pptp.OutgoingCallRequest{PNSCallID: 5}, &pptp.OutgoingCallRequest{PNSCallID: 4})
		r.receive(first, &pptp.OutgoingCallReply{PACCallID: 40, PNSCallID: 4, ResultCode: pptp.OutgoingConnected})
		r.hub.GRE(time.Now(), local.Addr(), peer.Addr(), true, packet(50, 0, []byte("!too early")))
		r.receive(first, &pptp.OutgoingCallReply{PACCallID: 50, PNSCallID: 5, ResultCode: pptp.OutgoingConnected}, &pptp.EchoRequest{})
		r.send(first, &pptp.EchoReply{}, &pptp.SetLinkInfo{PACCallID: 50}, &pptp.SetLinkInfo{PACCallID: 40})
		for _, p := range []struct {
			remote netip.AddrPort
			sent   bool
			id     uint16
			text   string
		}{
			{peer, true, 50, "out"}, {peer, false, 5, "in"}, {peer, true, 5, "wrong way"}, {peer, false, 50, "wrong way"}, {peer, true, 40, "other call"},
			{other, false, 5, "other peer"},
		} {
			r.hub.GRE(time.Now(), local.Addr(), p.remote.Addr(), p.sent, packet(p.id, 1, []byte("!"+p.text)))
		}
		r.hub.GRE(time.Now(), local.Addr(), peer.Addr(), false, []byte("rubbish"))
		r.receive(Connection{ID: 9, Local: local, Remote: peer}, &pptp.EchoRequest{}) // another connection of the same peer
		r.receive(first, &pptp.WANErrorNotify{PNSCallID: 5}, &pptp.WANErrorNotify{PNSCallID: 4})
		// Some put the PNS's Call ID there.
		r.receive(first, &pptp.CallDisconnectNotify{PACCallID: 5}, &pptp.CallDisconnectNotify{PACCallID: 40})
		f := r.stop()
		equal(t, "messages", messages(t, f), ">OCRQ", "<OCRP", "<Echo-Request", ">Echo-Reply", ">SLI", "<WEN", "<CDN")
		equal(t, "payloads", payloads(t, f), "!out", "!in")
		next := map[bool]uint32{true: 1, false: 1}
		for _, p := range f.Packets {
			if p.Data[9] == protocolTCP {
				s := unTCP(t, p.Data)
				if s.sequence != next[p.Sent] || s.ack != next[!p.Sent] {
					t.Errorf("segment %+v, want the numbers %v", s, next)
				}
				next[p.Sent] += uint32(len(s.data))
			}
		}
	})
}

// The Call IDs of an incoming call, seen from the PAC, which the network server that refuses it does not get to name.
func TestLineOfAPAC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Scope{Line: "line1"}, Options{})
		second := Connection{ID: 2, Local: local, Remote: other}
		pacLeg := func(c Connection, own uint16) Leg {
			return Leg{About: About{Remote: c.Remote.Addr(), Line: "line1", Call: "a"}, Connection: c.ID, Role: 1, Own: own}
		}
		r.hub.Event(time.Now(), About{Line: "line1"}, "ringing")
		r.hub.Begin(time.Now(), pacLeg(first, 3))
		r.send(first, &pptp.IncomingCallRequest{PACCallID: 3})
		r.receive(first, &pptp.IncomingCallReply{PACCallID: 3, PNSCallID: 8, ResultCode: pptp.IncomingDoNotAccept})
		r.hub.End(time.Now(), first.ID, 3)
		r.hub.Begin(time.Now(), pacLeg(second, 3))
		r.send(second, &pptp.IncomingCallRequest{PACCallID: 3})
		r.receive(second, &pptp.IncomingCallReply{PACCallID: 3, PNSCallID: 8, ResultCode: pptp.IncomingAccept})
		r.send(second, &pptp.IncomingCallConnected{PNSCallID: 8})
		r.hub.GRE(time.Now(), local.Addr(), other.Addr(), true, packet(8, 1, []byte("!out")))
		r.hub.GRE(time.Now(), local.Addr(), other.Addr(), false, packet(3, 1, []byte("!in")))
		about := About{Remote: other.Addr(), Line: "line1", Call: "a"}
		r.hub.Frame(time.Now(), about, false, []byte("!from the line"))
		r.hub.Over(time.Now(), about, "carrier lost")
		r.hub.End(time.Now(), second.ID, 3)
		r.send(second, &pptp.CallDisconnectNotify{PACCallID: 3})
		// What is late is recognized, until a new call comes after a while.
		time.Sleep(legacy + time.Second)
		r.hub.Begin(time.Now(), pacLeg(second, 4))
		r.send(second, &pptp.IncomingCallRequest{PACCallID: 4}, &pptp.CallDisconnectNotify{PACCallID: 3})
		f := r.stop()
		equal(t, "messages", messages(t, f), ">ICRQ", "<ICRP", ">ICRQ", "<ICRP", ">ICCN", ">CDN", ">ICRQ")
		equal(t, "payloads", payloads(t, f), "!out", "!in", "!from the line")
		equal(t, "comments", comments(f), "line1: ringing", "line1: the call is over: carrier lost")
		if i := f.Interfaces[2]; i.Name != "line1" || i.Link != 204 || i.Received != 1 {
			t.Errorf("the line's interface: %+v", i)
		}
	})
}

// Octets that are no messages are shown all the same.
func TestRubbish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Scope{Peer: peer.Addr()}, Options{})
		r.receive(first, &pptp.EchoRequest{})
		r.hub.Control(time.Now(), first, false, []byte("GET / HTTP/1.1\r\n"))
		r.hub.Control(time.Now(), first, false, []byte{0, 16, 0, 1})
		r.hub.Closed(time.Now(), first)
		f := r.stop()
		if len(f.Packets) != 3 {
			t.Fatalf("%d packets", len(f.Packets))
		}
		for i, want := range []segment{1: {peer, local, 17, 1, []byte("GET / HTTP/1.1\r\n")}, 2: {peer, local, 33, 1, []byte{0, 16, 0, 1}}} {
			if got := unTCP(t, f.Packets[i].Data); i > 0 && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("segment %d: %v, want %v", i, got, want)
			}
		}
	})
}

var papRequest = []byte("\xc0\x23\x01\x01\x00\x0c\x03bob\x03pwd")

// Secrets are blanked before anything is cut off, and left if that is asked for.
func TestSecrets(t *testing.T) {
	for _, open := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Scope{Peer: peer.Addr()}, Options{Secrets: open, SnapLength: 44})
			original := bytes.Clone(papRequest)
			r.hub.GRE(time.Now(), local.Addr(), peer.Addr(), false, packet(5, 0, original))
			r.hub.Frame(time.Now(), About{Remote: peer.Addr(), Line: "line1"}, false, original)
			f := r.stop()
			if !bytes.Equal(original, papRequest) {
				t.Error("the octets of the call itself were blanked")
			}
			want, comment := "***", "secrets are blanked"
			if open {
				want, comment = "pwd", ""
			}
			for i, p := range f.Packets {
				if p.Comment != comment || bytes.Contains(p.Data, []byte("pwd")) && !open {
					t.Errorf("%+v", p)
				}
				if full := []int{46, 15}[i]; p.Length != full || len(p.Data) != min(full, 44) {
					t.Errorf("%d of %d octets, want %d of %d", len(p.Data), p.Length, min(full, 44), full)
				}
			}
			if !bytes.HasSuffix(f.Packets[0].Data, []byte(want[:1])) || !bytes.HasSuffix(f.Packets[1].Data, []byte(want)) {
				t.Errorf("%+v", f.Packets)
			}
		})
	}
}

// A reader that does not read costs packets, not memory, and the file says how many and where.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Scope{Peer: peer.Addr()}, Options{})
		r.hold()
		frame := make([]byte, 1400)
		const many = 5000
		for range many {
			r.hub.GRE(time.Now(), local.Addr(), peer.Addr(), true, packet(1, 0, frame))
			synctest.Wait()
		}
		if r.trace.waiting > queueOctets || len(r.trace.queue) > queueOctets/1400 {
			t.Errorf("%d octets in %d records wait", r.trace.waiting, len(r.trace.queue))
		}
		r.release()
		synctest.Wait()
		r.hub.GRE(time.Now(), local.Addr(), peer.Addr(), true, packet(1, 0, frame))
		f := r.stop()
		i := f.Interfaces[0]
		last := f.Packets[len(f.Packets)-1]
		if i.Dropped == 0 || i.Received != many+1 || uint64(len(f.Packets))+i.Dropped != many+1 || last.Dropped != i.Dropped {
			t.Errorf("%d packets, %+v; before the last one %d were lost", len(f.Packets), i, last.Dropped)
		}
	})
}

func TestEnds(t *testing.T) {
	call, alone := Scope{Call: "1"}, Scope{Peer: peer.Addr()}
	for name, c := range map[string]struct {
		scope  Scope
		o      Options
		do     func(r *run)
		after  time.Duration
		reason string
	}{
		"its time":           {alone, Options{Duration: time.Minute}, func(*run) {}, time.Minute, "its time is up"},
		"time, by default":   {alone, Options{}, func(*run) {}, DefaultDuration, "its time is up"},
		"time, at the most":  {alone, Options{Duration: 1e6 * time.Hour}, func(*run) {}, LongestDuration, "its time is up"},
		"the call":           {call, Options{}, func(r *run) { r.hub.Over(time.Now(), About{Call: "1"}, "bye") }, afterwards, "the call is over: bye"},
		"not another's call": {call, Options{}, func(r *run) { r.hub.Over(time.Now(), About{Call: "2"}, "bye") }, DefaultDuration, "its time is up"},
		"stopped":            {call, Options{}, func(r *run) { r.hub.Stop("t", "enough") }, 0, "enough"},
		"stopped after the call": {call, Options{}, func(r *run) {
			r.hub.Over(time.Now(), About{Call: "1"}, "bye")
			r.hub.Stop("t", "enough")
		}, 0, "enough"},
		"broken off": {call, Options{}, func(r *run) { r.cancel() }, 0, "it was broken off"},
		"as large as it may be": {alone, Options{Octets: 1900}, func(r *run) {
			for range 10 {
				r.hub.GRE(time.Now(), local.Addr(), peer.Addr(), true, packet(1, 0, make([]byte, 700)))
			}
		}, 0, "its file is as large as it may be"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				r := start(t, c.scope, c.o)
				c.do(r)
				f := r.end()
				if r.summary.Reason != c.reason || !strings.Contains(f.Interfaces[0].Comment, c.reason) || time.Since(began) != c.after {
					t.Errorf("after %v: %+v, %q", time.Since(began), r.summary, f.Interfaces[0].Comment)
				}
				if size := int64(r.file.Len()); c.o.Octets > 0 && (size < c.o.Octets || size > c.o.Octets+1500 || len(f.Packets) > 4) {
					t.Errorf("%d packets in %d octets", len(f.Packets), size)
				}
			})
		})
	}
}

// broken is a client that has gone.
type broken struct{ error }

func (b broken) Write([]byte) (int, error) { return 0, b.error }

func TestHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		h := new(Hub)
		var none *Hub
		if h.On() || none.On() {
			t.Error("a trace runs before any was started")
		}
		none.GRE(time.Now(), local.Addr(), peer.Addr(), true, nil)
		var all []*Trace
		for i := range Limit {
			one, err := h.Start(time.Now(), fmt.Sprint(i), Scope{Peer: peer.Addr()}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, one)
		}
		if _, err := h.Start(time.Now(), "more", Scope{Call: "1"}, Options{}); !errors.Is(err, ErrTooMany) {
			t.Errorf("one more: %v", err)
		}
		all[0].Cancel()
		if _, err := h.Start(time.Now(), "1", Scope{Call: "1"}, Options{}); !errors.Is(err, ErrInUse) {
			t.Errorf("twice the same: %v", err)
		}
		if h.Stop("0", "") || !h.Stop("1", "enough") {
			t.Error("what is stopped is not what runs")
		}
		if _, err := all[1].Run(context.Background(), broken{gone}); !errors.Is(err, gone) {
			t.Errorf("a client that has gone: %v", err)
		}
		all[2].Cancel()
		if !h.On() {
			t.Error("the last trace is not known any more")
		}
		all[3].Cancel()
		if h.On() {
			t.Error("a trace runs after the last has ended")
		}
	})
}

// FuzzControl: whatever passes, and however it is split, a peer's trace has all of it, and a call's trace no more than that.
func FuzzControl(f *testing.F) {
	f.Add((&pptp.StartControlConnectionRequest{}).Append((&pptp.SetLinkInfo{PACCallID: 40}).Append(nil)), uint8(7))
	f.Add((&pptp.OutgoingCallReply{PNSCallID: 4, PACCallID: 9, ResultCode: 1}).Append(nil), uint8(1))
	f.Add((&pptp.CallDisconnectNotify{PACCallID: 4}).Append([]byte("GET /")), uint8(200))
	f.Fuzz(func(t *testing.T, octets []byte, step uint8) {
		h := new(Hub)
		now := time.Now()
		whole, err := h.Start(now, "whole", Scope{Peer: peer.Addr()}, Options{Octets: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		one, err := h.Start(now, "one", Scope{Call: "1"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		h.Begin(now, leg(first, "1", 4, 0))
		for rest := octets; len(rest) > 0; {
			n := min(int(step)+1, len(rest))
			h.Control(now, first, false, rest[:n])
			rest = rest[n:]
		}
		h.Closed(now, first)
		var seen, some []byte
		for _, r := range whole.queue {
			if r.sequence != uint32(1+len(seen)) {
				t.Fatalf("sequence number %d after %d octets", r.sequence, len(seen))
			}
			seen = append(seen, r.data...)
		}
		for _, r := range one.queue {
			some = append(some, r.data...)
		}
		if whole.lost[network] != nil && whole.lost[network].all == 0 && !bytes.Equal(seen, octets) || len(some) > len(octets) {
			t.Fatalf("% x came as % x, and of the call % x", octets, seen, some)
		}
	})
}
