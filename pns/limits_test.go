package pns

import (
	"net"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

func TestConnectionLimits(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
		pacAt(cfg, "127.77.0.0/16")
		cfg.Limits.Connections, cfg.Limits.ConnectionsPerSource = 4, 2
	})
	open := func(from string) *client {
		c := w.dial(dialer{from: from, noCall: true})
		await[control.Established](c)
		return c
	}
	refused := func(from, why string) {
		t.Helper()
		c := w.dial(dialer{from: from, noCall: true})
		await[tcpEnded](c)
		if w.server.Status().Refused[why] == 0 {
			t.Fatalf("refused %v, want %s", w.server.Status().Refused, why)
		}
	}
	open("127.66.1.1")
	last := open("127.66.1.1")
	refused("127.66.1.1", "source-connections")
	open("127.77.1.1")
	open("127.77.1.1")
	refused("127.66.1.2", "connections")
	last.kill()
	for w.server.admission.occupancy().connections == 4 {
		w.sessions()
	}
	open("127.66.1.2")
}

func TestHalfOpenLimits(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Limits.HalfOpen, cfg.Limits.HalfOpenPerSource = 2, 1 })
	silent := w.dial(dialer{})
	await[control.OutgoingConnected](silent)
	silent.drop.Store(true)
	_ = silent
	second := w.dial(dialer{user: "nobody", password: "x"})
	await[control.OutgoingConnected](second)
	third := w.dial(dialer{})
	if e := await[control.CallEnded](third); e.Why.Outgoing != pptp.OutgoingGeneralError || e.Why.Error != pptp.ErrorNoResource {
		t.Fatalf("ended %v", e.Why)
	}
	if w.server.Status().Refused["half-open"] != 1 {
		t.Fatalf("refused %v", w.server.Status().Refused)
	}
}

// A new connection of an address that has one makes the server ask the old one for a sign of life.
func TestProbe(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Timers.Probe = 200 * time.Millisecond })
	// The old connection's client is gone without a word: it does not answer.
	old, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 66, 2, 1)}}).Dial("tcp4", w.server.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	start := (&pptp.StartControlConnectionRequest{ProtocolVersion: 0x0100}).Append(nil)
	if _, err := old.Write(start); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 156)
	if _, err := old.Read(reply); err != nil {
		t.Fatal(err)
	}
	alive := w.dial(dialer{from: "127.66.2.1", noCall: true})
	await[control.Established](alive)
	old.SetDeadline(time.Now().Add(patience))
	for {
		if _, err := old.Read(reply); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatal("the silent connection stays")
			}
			break
		}
	}
	for w.server.admission.occupancy().connections != 1 {
		w.sessions()
	}
	if alive.control.Status() == 0 {
		t.Fatal("the living connection is gone")
	}
}

func TestUselessConnection(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Timers.Establish = 300 * time.Millisecond })
	c := w.dial(dialer{noCall: true})
	if e := await[control.ConnectionEnded](c); e.Why != control.EndStoppedByPeer {
		t.Fatalf("ended %v", e.Why)
	}
	// Nothing said at all.
	nc, err := net.Dial("tcp4", w.server.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Read(make([]byte, 1)); err == nil {
		t.Fatal("the server spoke first")
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatal("a silent connection stays open")
	}
}

// Drained, a server refuses new calls, keeps those it has and lets control connections in.
func TestDrain(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	first := w.dial(dialer{})
	await[control.OutgoingConnected](first)
	w.server.Drain(true)
	second := w.dial(dialer{})
	if e := await[control.CallEnded](second); e.Why.Outgoing != pptp.OutgoingGeneralError || e.Why.Error != pptp.ErrorNoResource {
		t.Fatalf("ended %v", e.Why)
	}
	if s := w.server.Status(); !s.Draining || s.Refused["draining"] != 1 || s.Calls != 1 || s.Runtime.Goroutines == 0 {
		t.Fatalf("draining %v, refused %v, %d calls", s.Draining, s.Refused, s.Calls)
	}
	w.server.Drain(false)
	await[control.OutgoingConnected](w.dial(dialer{}))
}

// When the power is back, all lines of a PAC ring at once: a PAC that is configured may send more than a stranger.
func TestMessagesOfAPAC(t *testing.T) {
	const messages = 500
	for _, known := range []bool{false, true} {
		w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
			pacAt(cfg, "127.77.0.0/16")
			cfg.Limits.MessagesPerSecond, cfg.Limits.MessagesBurst = 1, 50
		})
		from := "127.78.0.1"
		if known {
			from = "127.77.0.1"
		}
		c := w.dial(dialer{from: from, pac: true, noCall: true})
		await[control.Established](c)
		var all []byte
		for i := range messages {
			all = (&pptp.EchoRequest{Identifier: uint32(i)}).Append(all)
		}
		c.do(func(time.Time) { _, _ = c.nc.Write(all) })
		if known {
			c.do(func(now time.Time) { c.control.Stop(now, pptp.StopNone) }) // behind all the others
			await[control.ConnectionEnded](c)
		} else {
			await[tcpEnded](c)
		}
		if cut := w.server.Status().Faults["message-rate"] > 0; cut == known {
			t.Errorf("configured %v, cut off %v", known, cut)
		}
		w.stop()
	}
}
