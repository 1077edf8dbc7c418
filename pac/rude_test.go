package pac

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/test/rude"
)

// Whatever a network server or a stranger does, it is counted by its name, nothing of it stays, and the call that another network server
// has does not notice.
func TestRudeServers(t *testing.T) {
	for _, d := range rude.Deeds(rude.PAC) {
		t.Run(d.Name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { rudeRun(t, d) }) })
	}
}

func rudeRun(t *testing.T, d rude.Deed) {
	visits := make(chan net.Conn, 64)
	x := startOn(t, accept, nil, func(c *config.Config) { c.Routes = []config.Route{{PNS: []string{"a"}}} }, func(x *bench) Driver {
		polite := x.server.dial
		x.server.dial = func(ctx context.Context, to config.PNS) (net.Conn, netip.Addr, error) {
			if to.Name == "a" {
				return polite(ctx, to)
			}
			ours, theirs := net.Pipe()
			visits <- theirs
			return ours, pacAddress, nil
		}
		return fakeDriver{x.fake}
	})
	stranger := x.pns["b"].gre
	delete(x.pns, "b") // so that end does not wait for a control connection of it
	far, call := x.up()
	good := &talk{bench: x, far: far, call: call, line: hdlc.NewDeframer(0)}
	good.both()
	counted, goroutines := x.counts("b"), runtime.NumGoroutine()

	done := make(chan error, 1)
	go func() {
		done <- d.Do(rude.Peer{
			Open: func() (net.Conn, error) { return <-visits, nil }, Called: true,
			GRE: func(packet []byte) error {
				_, err := stranger.WriteBatch([]tunnel.Packet{{Remote: pacAddress, Data: packet}})
				return err
			},
			Call: call.PACCallID, Patience: 5 * time.Minute, Pause: time.Second,
		})
	}()
	for doing := true; doing; {
		good.both()
		select {
		case err := <-done:
			doing = false
			if err != nil {
				t.Error(err)
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	<-time.After(2 * tunnel.DefaultEarlyTime) // GRE may be early until then
	if err := rude.Counted(d, counted, x.counts("b")); err != nil {
		t.Error(err)
	}
	for began := time.Now(); runtime.NumGoroutine() > goroutines; <-time.After(time.Second) { // those of earlier tests are counted as well
		if time.Since(began) > time.Hour {
			t.Fatalf("%d goroutines, before there were %d", runtime.NumGoroutine(), goroutines)
		}
	}
	if s := x.shownOf("b"); s.Calls != 0 {
		t.Errorf("left behind: %+v", s)
	}
	good.both()
	x.end()
	_ = stranger.Close()
	for len(visits) > 0 {
		_ = (<-visits).Close()
	}
}

// The document names every counter.
func TestRefusalsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	_, ours, _ := strings.Cut(string(text), "\n`pac`")
	for _, name := range refusalNames {
		if !strings.Contains(ours, "`"+name+"`") {
			t.Errorf("%s is not in docs/faults.md", name)
		}
	}
}

// counts are pac's counters of what a network server and strangers do wrong, by the names of package rude.
func (x *bench) counts(name string) map[string]uint64 {
	s, c := x.shownOf(name), x.server.GRE()[pacAddress.String()]
	return rude.Counts(s.Faults, s.Refused, map[string]uint64{"unknown_call": c.Nobodys(), "foreign_address": c.ForeignAddress, "malformed": c.Malformed})
}

// talk is the call that must not be disturbed.
type talk struct {
	*bench
	far  *linetest.FakeLine
	call control.Call
	line *hdlc.Deframer // what the caller hears
	sent uint32
}

// both sends a frame each way.
func (k *talk) both() {
	k.t.Helper()
	k.must(k.far.Send(k.t.Context(), hdlc.AppendFrame(nil, lcpRequest, hdlc.DefaultACCM)))
	if h, payload := k.pns["a"].receive(); !bytes.Equal(payload, lcpRequest) || h.CallID != k.call.PNSCallID || h.Sequence != k.sent {
		k.t.Fatalf("GRE %+v carries % x", h, payload)
	}
	frame := fmt.Appendf([]byte{0xff, 0x03, 0, 0x21}, "frame %d", k.sent)
	k.pns["a"].send(gre.Header{CallID: k.call.PACCallID, HasSequence: true, Sequence: k.sent, HasAck: true, Ack: k.sent}, frame)
	if got := k.hear(); !bytes.Equal(got, frame) {
		k.t.Fatalf("on the line: % x", got)
	}
	k.sent++
}

// hear is the next frame on the line.
func (k *talk) hear() []byte {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), time.Minute)
	defer cancel()
	for {
		octets, err := k.far.Receive(ctx, 1)
		if err != nil {
			k.t.Fatalf("nothing comes on the line: %v", err)
		}
		if frame, _ := k.line.Next(octets); frame != nil {
			return frame
		}
	}
}
