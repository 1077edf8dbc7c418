package pns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/test/rude"
)

// counts are the server's counters of what peers do wrong, by the names of package rude.
func (w *world) counts() map[string]uint64 {
	s := w.server.Status()
	return rude.Counts(s.Faults, s.Refused, map[string]uint64{
		"unknown_call": s.Plane.UnknownCall, "foreign_address": s.Plane.ForeignAddress, "malformed": s.Plane.MalformedGRE,
	})
}

// usage is what must not grow.
type usage struct {
	occupancy
	planeCalls, goroutines, descriptors int
}

func (w *world) usage() usage {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		w.t.Fatal(err)
	}
	return usage{w.server.admission.occupancy(), w.plane.Counters().Calls, runtime.NumGoroutine(), len(open)}
}

// within says whether nothing is more than in another usage.
func (u usage) within(o usage) bool {
	return u.occupancy == o.occupancy && u.planeCalls == o.planeCalls && u.goroutines <= o.goroutines && u.descriptors <= o.descriptors
}

// undisturbed is a client whose call nobody may disturb, with the server that it has called.
type undisturbed struct {
	*world
	good *client
}

func newUndisturbed(t *testing.T, change func(*config.Config)) *undisturbed {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) {
		cfg.Timers.Establish, cfg.Timers.Message = 2*time.Second, time.Second
		cfg.Limits.ConnectionsPerSource, cfg.Limits.HalfOpenPerSource, cfg.Limits.MessagesPerSecondPerSource = 16, 4, 300
		change(cfg)
	})
	w.startEcho()
	u := &undisturbed{w, w.dial(dialer{user: "bob", password: "hunter2"})}
	await[link.NetworkUp](u.good)
	u.ping(64)
	return u
}

func (u *undisturbed) ping(size int) { u.good.ping(netip.MustParseAddr("203.0.113.1"), size, 5) }

// suffers has a deed done while the call goes on: it is counted by its name, and nothing of it stays.
func (u *undisturbed) suffers(t *testing.T, d rude.Deed, p rude.Peer) {
	before, counted := u.usage(), u.counts()
	done := make(chan error, 1)
	go func() { done <- d.Do(p) }()
	for doing := true; doing; {
		u.ping(64)
		select {
		case err := <-done:
			doing = false
			if err != nil {
				t.Error(err)
			}
		default:
		}
	}
	until(t, "it is counted as something else", func() error { return rude.Counted(d, counted, u.counts()) })
	until(t, "something is left of it", func() error {
		if now := u.usage(); !now.within(before) {
			return fmt.Errorf("%+v, before it was %+v", now, before)
		}
		return nil
	})
	u.ping(1300)
}

// end checks that the call has missed nothing.
func (u *undisturbed) end() {
	if s := u.sessions(); len(s) != 1 || s[0].User != "bob" || s[0].Data.Lost > 0 || s[0].Data.Late > 0 || s[0].Data.Malformed > 0 {
		u.t.Errorf("the sessions at the end: %+v", s)
	}
}

// Whatever a stranger does, it is counted by its name, nothing of it stays, and the call of somebody else does not notice.
func TestRudePeers(t *testing.T) {
	u := newUndisturbed(t, func(*config.Config) {})
	for i, d := range rude.Deeds(rude.PNS) {
		t.Run(d.Name, func(t *testing.T) { u.suffers(t, d, u.stranger(fmt.Sprintf("127.99.1.%d", i+1))) })
	}
	u.end()
}

// The same of a server that we call ourselves.
func TestRudeServersOfSites(t *testing.T) {
	l, err := net.Listen("tcp4", "127.98.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	site := siteTo(t, nil, func(s *config.Site) { s.Server = l.Addr().String() })
	u := newUndisturbed(t, func(cfg *config.Config) { cfg.Sites = []config.Site{site} })
	far := u.stranger("127.98.0.1")
	far.Called = true
	far.Open = func() (net.Conn, error) {
		go func() {
			if r, err := u.server.Call(context.Background(), CallRequest{Site: site.Name}); err != nil || r.Up {
				t.Errorf("the call of the site: %+v, %v", r, err)
			}
		}()
		return l.Accept()
	}
	for _, d := range rude.Deeds(rude.Caller) {
		t.Run(d.Name, func(t *testing.T) { u.suffers(t, d, far) })
	}
	u.end()
}

// The document names every counter.
func TestFaultsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	names := refusalNames[1:]
	for f := control.Fault(1); !strings.HasPrefix(f.String(), "fault "); f++ {
		names = append(names, f.String())
	}
	for _, name := range names {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not in docs/faults.md", name)
		}
	}
}

// stranger is a rude peer at an address of its own.
func (u *undisturbed) stranger(from string) rude.Peer {
	u.t.Helper()
	address, server := netip.MustParseAddr(from), u.server.Addresses()[0]
	conn, err := u.net.Listen(address)
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { _ = conn.Close() })
	return rude.Peer{
		Open: func() (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: address.AsSlice()}, Timeout: patience}).Dial("tcp4", server.String())
		},
		GRE: func(packet []byte) error {
			_, err := conn.WriteBatch([]tunnel.Packet{{Remote: server.Addr(), Data: packet}})
			return err
		},
		Call: u.good.call.PACCallID, Patience: patience, Pause: 50 * time.Millisecond,
	}
}

// until waits for something to come true.
func until(t testing.TB, problem string, check func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", problem, err)
		}
	}
}
