package trace

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
	"trunkline.example/test/capture"
)

var (
	local = netip.MustParseAddrPort("192.0.2.1:1723")
	peer  = netip.MustParseAddrPort("192.0.2.7:40000")
	other = netip.MustParseAddrPort("192.0.2.8:40000")
	first = Connection{ID: 1, Local: local, Remote: peer}
)

// leg is a call in which we are the PNS of a PAC's call.
func leg(c Connection, call string, own, theirs uint16) Leg {
	return Leg{About: About{Remote: c.Remote.Addr(), Call: call, Line: "line" + call}, Connection: c.ID, Role: fsm.RolePNS, Own: own, Theirs: theirs, Identified: theirs != 0}
}

// run is a trace whose file goes to memory; its Write can be held up.
type run struct {
	t       testing.TB
	hub     *Hub
	trace   *Trace
	cancel  func()
	gate    chan struct{} // empty: the reader of the file does not read
	file    bytes.Buffer
	summary Summary
	err     error
	done    chan struct{}
}

func (r *run) Write(p []byte) (int, error) {
	<-r.gate
	defer r.release()
	return r.file.Write(p)
}

func (r *run) hold()    { <-r.gate }
func (r *run) release() { r.gate <- struct{}{} }

// start starts a trace, of a Hub of its own.
func start(t testing.TB, s Scope, o Options) *run {
	t.Helper()
	r := &run{t: t, hub: new(Hub), done: make(chan struct{}), gate: make(chan struct{}, 1)}
	r.release()
	var err error
	if r.trace, err = r.hub.Start(time.Now(), "t", s, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		r.summary, r.err = r.trace.Run(ctx, r)
		close(r.done)
	}()
	synctest.Wait()
	return r
}

// end waits for the end of the trace and reads its file.
func (r *run) end() *capture.Trace {
	r.t.Helper()
	<-r.done
	r.cancel()
	if r.err != nil {
		r.t.Fatal(r.err)
	}
	if r.hub.On() {
		r.t.Error("the trace is still known")
	}
	if r.summary.Octets != int64(r.file.Len()) || r.summary.Reason == "" {
		r.t.Errorf("summary %+v of %d octets", r.summary, r.file.Len())
	}
	f, err := capture.ReadTrace(r.file.Bytes())
	if err != nil {
		r.t.Fatal(err)
	}
	if uint64(len(f.Packets)) != r.summary.Packets {
		r.t.Errorf("%d packets, summary %+v", len(f.Packets), r.summary)
	}
	var dropped uint64
	for _, i := range f.Interfaces {
		if !i.Counted {
			r.t.Errorf("no statistics of %q", i.Name)
		}
		dropped += i.Dropped
	}
	if dropped != r.summary.Dropped {
		r.t.Errorf("%d dropped by the file, summary %+v", dropped, r.summary)
	}
	return f
}

// stop ends the trace and reads its file.
func (r *run) stop() *capture.Trace {
	r.t.Helper()
	synctest.Wait()
	if !r.hub.Stop("t", "enough") {
		r.t.Error("there is no trace to stop")
	}
	return r.end()
}

// send and receive pass control messages.
func (r *run) send(c Connection, all ...pptp.Message)    { r.pass(c, true, all) }
func (r *run) receive(c Connection, all ...pptp.Message) { r.pass(c, false, all) }

func (r *run) pass(c Connection, sent bool, all []pptp.Message) {
	for _, m := range all {
		r.hub.Control(time.Now(), c, sent, m.Append(nil))
	}
}

// packet is a GRE packet.
func packet(callID uint16, sequence uint32, frame []byte) []byte {
	return append(gre.Header{PayloadLength: uint16(len(frame)), CallID: callID, HasSequence: true, Sequence: sequence}.Append(nil), frame...)
}

// segment is a TCP segment taken apart.
type segment struct {
	from, to      netip.AddrPort
	sequence, ack uint32
	data          []byte
}

// unIP takes an IPv4 packet apart and checks it.
func unIP(t testing.TB, b []byte) (from, to netip.Addr, protocol byte, data []byte) {
	t.Helper()
	if len(b) < 20 || b[0] != 0x45 || int(binary.BigEndian.Uint16(b[2:])) != len(b) || checksum(0, b[:20]) != 0 {
		t.Fatalf("no IPv4 packet: % x", b)
	}
	return netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), b[9], b[20:]
}

func unTCP(t testing.TB, b []byte) segment {
	t.Helper()
	from, to, protocol, data := unIP(t, b)
	pseudo := binary.BigEndian.AppendUint32(append(from.AsSlice(), to.AsSlice()...), uint32(len(data)))
	pseudo = append(pseudo, 0, 0, 0, protocol)
	if protocol != 6 || len(data) < 20 || data[12] != 0x50 || checksum(sum(0, pseudo), data) != 0 {
		t.Fatalf("no TCP segment: protocol %d, % x", protocol, data)
	}
	be := binary.BigEndian
	return segment{netip.AddrPortFrom(from, be.Uint16(data)), netip.AddrPortFrom(to, be.Uint16(data[2:])), be.Uint32(data[4:]), be.Uint32(data[8:]), data[20:]}
}

// messages are the control messages of a trace, in short.
func messages(t testing.TB, f *capture.Trace) []string {
	t.Helper()
	var all []string
	for _, p := range f.Packets {
		if f.Interfaces[p.Interface].Name != "pptp" || p.Data[9] != 6 {
			continue
		}
		m, err := pptp.Decode(unTCP(t, p.Data).data)
		if err != nil {
			t.Fatal(err)
		}
		arrow := "<"
		if p.Sent {
			arrow = ">"
		}
		all = append(all, arrow+m.Type().Abbreviation())
	}
	return all
}

// payloads are the GRE packets' payloads and the frames of a trace.
func payloads(t testing.TB, f *capture.Trace) []string {
	t.Helper()
	var all []string
	for _, p := range f.Packets {
		switch f.Interfaces[p.Interface].Link {
		case 204:
			all = append(all, string(p.Data[1:]))
		case 101:
			if _, _, protocol, data := unIP(t, p.Data); protocol == gre.IPProtocol {
				_, payload, err := gre.Parse(data)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, string(payload))
			}
		}
	}
	return all
}

// comments are those of a trace.
func comments(f *capture.Trace) []string {
	var all []string
	for _, p := range f.Packets {
		if p.Comment != "" {
			all = append(all, p.Comment)
		}
	}
	return all
}
