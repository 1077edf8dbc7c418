package pns

import (
	"bytes"
	"context"
	"encoding/gob"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp/control"
)

// handOver makes a server give everything away, and returns what its successor reads of what it has written.
func (w *world) handOver() (decoded Snapshot, descriptors map[uint64]int) {
	w.t.Helper()
	if err := w.plane.Close(); err != nil {
		w.t.Fatal(err)
	}
	snapshot, descriptors, err := w.server.Handover(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	if o := w.server.admission.occupancy(); o != (occupancy{}) {
		w.t.Fatalf("the old server still has %+v", o)
	}
	var encoded bytes.Buffer
	if err := gob.NewEncoder(&encoded).Encode(snapshot); err != nil {
		w.t.Fatal(err)
	}
	if err := gob.NewDecoder(&encoded).Decode(&decoded); err != nil {
		w.t.Fatal(err)
	}
	return decoded, descriptors
}

// Live calls are written out by one server, read by another one, and go on as if nothing had happened: control connection, PPP,
// sequence numbers, keys, addresses. A call whose login is still being decided and a connection without call go along.
func TestHandover(t *testing.T) {
	change := func(cfg *config.Config) {
		pacAt(cfg, "127.77.0.0/16")
		cfg.Timers.LCPEcho = 200 * time.Millisecond
	}
	old := newWorld(t, gretest.Config{}, change)
	old.startEcho()
	direct := old.dial(dialer{host: "laptop"})
	dialIn := old.dial(dialer{from: "127.77.3.1", pac: true, user: "bob", password: "hunter2"})
	idle := old.dial(dialer{noCall: true})
	await[control.Established](idle)
	for _, c := range []*client{direct, dialIn} {
		await[link.NetworkUp](c)
		c.ping(farAway, 300, 5)
	}
	before := old.sessions()

	snapshot, descriptors := old.handOver()
	if len(snapshot.Connections) != 3 {
		t.Fatalf("%d connections", len(snapshot.Connections))
	}

	w := buildWorld(t, old.net, change)
	if err := w.server.Restore(time.Now(), snapshot, descriptors); err != nil {
		t.Fatal(err)
	}
	w.start()
	w.startEcho()
	direct.w, dialIn.w, idle.w = w, w, w
	for i, s := range w.sessions() {
		b := before[i]
		if s.ID != b.ID || s.User != b.User || s.Address != b.Address || s.Phase != "up" || s.Encryption != b.Encryption || s.PAC != b.PAC ||
			s.Data.PacketsIn != b.Data.PacketsIn || !s.Connected.Equal(b.Connected) {
			t.Errorf("session %+v\nwas %+v", s, b)
		}
	}
	for _, c := range []*client{direct, dialIn} {
		c.ping(farAway, 300, 5)
	}
	fresh := w.dial(dialer{})
	if up := await[link.NetworkUp](fresh); up.LocalAddress.String() == before[0].Address || up.LocalAddress.String() == before[1].Address {
		t.Fatalf("a new client got an address in use: %v", up.LocalAddress)
	}
	direct.clear()
	if r := w.records.next(t); r.PacketsIn != 10 || r.User != "alice" || r.PeerName != "laptop" {
		t.Fatalf("record %+v", r)
	}
	dialIn.do(func(now time.Time) { _ = dialIn.control.DisconnectCall(now, dialIn.call.Own(), control.Disconnect{}) })
	if r := w.records.next(t); r.PacketsIn != 10 || r.PAC != "modems" {
		t.Fatalf("record %+v", r)
	}
	idle.do(func(now time.Time) { idle.control.Probe(now) })
	w.stop()
}
