package pac

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/trace"
	"trunkline.example/test/capture"
)

// tracing is a trace under way.
type tracing struct {
	x       *bench
	id      string
	file    bytes.Buffer
	summary chan trace.Summary
}

// trace starts a trace.
func (x *bench) trace(r admin.TraceRequest) *tracing {
	x.t.Helper()
	one, err := x.server.startTrace(x.t.Context(), r)
	x.must(err)
	g := &tracing{x: x, id: r.ID, summary: make(chan trace.Summary, 1)}
	go func() {
		s, err := one.Run(context.Background(), &g.file)
		if err != nil {
			x.t.Error(err)
		}
		g.summary <- s
	}()
	return g
}

// read waits for the end of the trace, and returns why it ended and what is in it, in short: control messages and GRE, frames of lines, and
// the comments.
func (g *tracing) read() (reason string, passed, comments []string) {
	g.x.t.Helper()
	s := <-g.summary
	f, err := capture.ReadTrace(g.file.Bytes())
	g.x.must(err)
	for _, p := range f.Packets {
		arrow := map[bool]string{true: ">", false: "<"}[p.Sent]
		switch i := f.Interfaces[p.Interface]; {
		case i.Name == "events":
			comments = append(comments, p.Comment)
		case i.Link == 204:
			passed = append(passed, fmt.Sprintf("%s%s %d", arrow, i.Name, len(p.Data)-1))
		case p.Data[9] == gre.IPProtocol:
			passed = append(passed, arrow+"GRE")
		default:
			m, err := pptp.Decode(p.Data[40:])
			g.x.must(err)
			passed = append(passed, arrow+m.Type().Abbreviation())
		}
	}
	return s.Reason, passed, comments
}

// has checks that want comes in this order, with other things in between.
func has(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	rest := got
	for _, w := range want {
		i := slices.IndexFunc(rest, func(s string) bool { return strings.Contains(s, w) })
		if i < 0 {
			t.Errorf("%s: no %q in its place in %q", what, w, got)
			return
		}
		rest = rest[i+1:]
	}
}

// A line's and a peer's trace have a call from the first ring to the line's peace, also that its first network server refuses it; a call's has
// it until it ends.
func TestTraces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, refuse, accept, nil)
		defer x.end()
		line1 := x.trace(admin.TraceRequest{ID: "line1", Line: "line1"})
		line2 := x.trace(admin.TraceRequest{ID: "line2", Line: "line2"})
		peer := x.trace(admin.TraceRequest{ID: "peer", Peer: "b"})
		far := x.ring()
		call := next[control.IncomingConnected](x.pns["b"]).Call
		x.must(far.Connected(t.Context()))
		synctest.Wait()
		one := x.trace(admin.TraceRequest{ID: "call", Call: x.server.Lines()[0].Call.ID})
		x.must(far.Send(t.Context(), hdlc.AppendFrame(nil, lcpRequest, hdlc.DefaultACCM)))
		x.pns["b"].receive()
		x.pns["b"].send(gre.Header{CallID: call.PACCallID, HasSequence: true}, lcpRequest)
		if _, err := far.Receive(t.Context(), len(lcpRequest)); err != nil {
			t.Fatal(err)
		}
		x.pns["b"].do(func(now time.Time, c *control.Connection) error { return c.SetLinkInfo(now, call.Own(), 0, 0) })
		synctest.Wait()
		x.must(far.HangUp(t.Context()))
		next[control.CallEnded](x.pns["b"])
		reason, passed, comments := one.read()
		has(t, "the call", passed, "<line1 14", ">GRE", "<GRE", ">line1 14", "<SLI", ">CDN")
		has(t, "the call", comments, "the line's call is lost", "the call is over")
		if !strings.HasPrefix(reason, "the call is over") || slices.Contains(passed, ">ICRQ") {
			t.Errorf("the call's trace has ended: %s; %q", reason, passed)
		}
		for _, g := range []*tracing{line1, line2, peer} {
			x.server.traces.Stop(g.id, "enough")
		}
		_, passed, comments = line1.read()
		has(t, "line1", passed, ">ICRQ", "<ICRP", ">ICRQ", "<ICRP", ">ICCN", "<line1 14", ">GRE", "<GRE", ">line1 14", "<SLI", ">CDN")
		has(t, "line1", comments, "ringing: 030123 calls 5550100", "answering", "connected at 33600 bit/s", "the line's call is lost", "the call is over", "idle")
		_, passed, comments = peer.read()
		has(t, "peer", passed, ">ICRQ", "<ICRP", ">ICCN", "<line1 14", ">GRE", "<GRE", ">line1 14", "<SLI", ">CDN")
		has(t, "peer", comments, "connected at 33600 bit/s", "the call is over")
		if n := slices.Index(passed, "<ICRP"); slices.Contains(passed[n+1:], "<ICRP") {
			t.Errorf("the peer's trace has what the other one said: %q", passed)
		}
		if _, passed, comments = line2.read(); len(passed)+len(comments) > 0 {
			t.Errorf("the other line's trace has %q, %q", passed, comments)
		}
	})
}

// The control connection's octets are traced from its very first to its last.
func TestTraceOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		peer := x.trace(admin.TraceRequest{ID: "peer", Peer: x.pns["a"].address.String()})
		x.pns["a"].do(func(now time.Time, c *control.Connection) error {
			c.Stop(now, pptp.StopShutdown)
			return nil
		})
		time.Sleep(2 * time.Minute) // it comes again, and there is an Echo
		x.end()
		x.server.traces.Stop("peer", "enough")
		_, passed, comments := peer.read()
		has(t, "peer", passed, "<StopCCRQ", ">StopCCRP", ">SCCRQ", "<SCCRP", "Echo-Request", "Echo-Reply", ">StopCCRQ", "<StopCCRP")
		has(t, "peer", comments, "ended: stopped by the peer", "established", "ended: stopped by us")
	})
}

func TestTracesThatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		x.up()
		for _, c := range []struct {
			request admin.TraceRequest
			status  int
			says    string
		}{
			{admin.TraceRequest{Call: "none"}, http.StatusNotFound, `no call "none"`},
			{admin.TraceRequest{Line: "line3"}, http.StatusNotFound, `no line "line3"`},
			{admin.TraceRequest{Peer: "c"}, http.StatusNotFound, "neither an address nor"},
			{admin.TraceRequest{User: "alice"}, http.StatusBadRequest, "ask the pns"},
		} {
			_, err := x.server.startTrace(t.Context(), c.request)
			var e *admin.Error
			if !errors.As(err, &e) || e.Status != c.status || !strings.Contains(e.Message, c.says) {
				t.Errorf("%+v: %v", c.request, err)
			}
		}
		if x.server.traces.On() {
			t.Error("a trace that could not be runs")
		}
	})
}
