package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/shared/trace"
	"trunkline.example/test/capture"
)

// serveOctets starts a server that sends octets as it is told, and with what becomes of sending them.
func serveOctets(t *testing.T, h OctetsHandler) *Client {
	t.Helper()
	s := NewServer(ServerOptions{Socket: filepath.Join(t.TempDir(), "s")})
	s.Octets("/octets", h)
	stop, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return NewClient("pns", s.options.Socket)
}

type order struct{ Parts int }

func TestOctets(t *testing.T) {
	ctx := t.Context()
	c := serveOctets(t, func(_ context.Context, r *Request, out *OctetWriter) (any, error) {
		var o order
		if err := r.Decode(&o); err != nil {
			return nil, err
		}
		for i := range o.Parts {
			if _, err := fmt.Fprintf(out, "part %d\n", i); err != nil {
				return nil, err
			}
		}
		switch o.Parts {
		case 0:
			return nil, NotFound("nothing")
		case 2:
			return nil, Conflict("it broke, %q", "därum")
		case 3:
			panic(http.ErrAbortHandler)
		}
		return order{o.Parts * 10}, nil
	})
	for parts, f := range []struct {
		err  string
		text string
	}{
		{"nothing", ""}, {"", "part 0\n"}, {`it broke, "därum"`, "part 0\npart 1\n"}, {"pns: stream broken: unexpected EOF", "part 0\npart 1\npart 2\n"},
	} {
		var got bytes.Buffer
		var sum order
		err := c.Octets(ctx, "/octets", order{parts}, &got, &sum)
		if fmt.Sprint(err) != f.err && (err != nil || f.err != "") || got.String() != f.text || err == nil && sum.Parts != 10*parts {
			t.Errorf("%d parts: %q, %+v, %v", parts, got.String(), sum, err)
		}
	}
	full := errors.New("disk full")
	if err := c.Octets(ctx, "/octets", order{1}, failing{full}, &order{}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

// A client that has gone, and one that does not read for too long, end the stream.
func TestOctetsForNobody(t *testing.T) {
	ended := make(chan error)
	begun := make(chan struct{}, 1)
	c := serveOctets(t, func(ctx context.Context, r *Request, out *OctetWriter) (any, error) {
		var o order
		if err := r.Decode(&o); err != nil {
			return nil, err
		}
		err := out.Until(time.Now().Add(time.Duration(o.Parts) * time.Second / 10))
		for block := make([]byte, 1<<16); err == nil; {
			_, err = out.Write(block)
			select {
			case begun <- struct{}{}:
			default:
			}
			if o.Parts > 100 {
				<-ctx.Done()
			}
		}
		ended <- err
		return nil, err
	})
	gone, leave := context.WithCancel(t.Context())
	go func() {
		<-begun
		leave()
	}()
	if err := c.Octets(gone, "/octets", order{1000}, io.Discard, &order{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that leaves: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("the stream of a client that has left went on")
	}
	stuck := make(chan struct{})
	go func() { _ = c.Octets(t.Context(), "/octets", order{1}, waiting(stuck), &order{}) }()
	if err := <-ended; err == nil {
		t.Error("the stream of a client that does not read went on")
	}
	close(stuck)
}

// waiting is a writer that takes nothing until it is closed.
type waiting chan struct{}

func (w waiting) Write(p []byte) (int, error) {
	<-w
	return len(p), nil
}

func TestTraced(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	s := NewServer(ServerOptions{Socket: filepath.Join(t.TempDir(), "s"), Logger: zap.New(core)})
	hub := new(trace.Hub)
	peer := netip.MustParseAddr("192.0.2.7")
	s.Traced(hub, func(_ context.Context, r TraceRequest) (*trace.Trace, error) {
		if r.Peer != peer.String() {
			return nil, NotFound("no peer %q", r.Peer)
		}
		return hub.Start(time.Now(), r.ID, trace.Scope{Peer: peer}, r.Options())
	})
	stop, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	c := NewClient("pns", s.options.Socket)
	good := TraceRequest{ID: "a", Peer: peer.String(), SnapLength: 100}
	for _, bad := range []struct {
		change func(*TraceRequest)
		says   string
	}{
		{func(r *TraceRequest) { r.Peer = "" }, "of one thing"},
		{func(r *TraceRequest) { r.Call = "1" }, "of one thing"},
		{func(r *TraceRequest) { r.ID = "" }, "identifier"},
		{func(r *TraceRequest) { r.ID = strings.Repeat("a", 65) }, "identifier"},
		{func(r *TraceRequest) { r.SnapLength = 10 }, "at least 64"},
		{func(r *TraceRequest) { r.SnapLength = 2 << 20 }, "no packet"},
		{func(r *TraceRequest) { r.Duration = 1000 * time.Hour }, "up to"},
		{func(r *TraceRequest) { r.Duration = -1 }, "up to"},
		{func(r *TraceRequest) { r.Octets = -1 }, "octets"},
		{func(r *TraceRequest) { r.Peer = "nobody" }, "no peer"},
	} {
		request := good
		bad.change(&request)
		if err := c.Octets(t.Context(), PathTrace, request, io.Discard, nil); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%+v: %v, want %q", request, err, bad.says)
		}
	}
	var file bytes.Buffer
	var summary trace.Summary
	began := beside(func() error { return c.Octets(t.Context(), PathTrace, good, &file, &summary) })
	for !hub.On() {
		if err := c.Post(t.Context(), PathTraceStop, TraceStop{ID: "b"}, nil); err == nil {
			t.Error("a trace was stopped that is not there")
		}
	}
	if err := c.Octets(t.Context(), PathTrace, good, io.Discard, nil); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("twice the same: %v", err)
	}
	hub.Event(time.Now(), trace.About{Remote: peer}, "hello")
	if err := c.Post(t.Context(), PathTraceStop, TraceStop{ID: "a"}, nil); err != nil {
		t.Error(err)
	}
	if err := <-began; err != nil || summary.Packets != 1 || summary.Octets != int64(file.Len()) || summary.Reason != "it was stopped" {
		t.Errorf("%+v, %v", summary, err)
	}
	if began := logs.FilterMessage("trace began").All(); len(began) != 1 || began[0].ContextMap()["peer"] != peer.String() || began[0].ContextMap()["secrets"] != false {
		t.Errorf("the log says %v", began)
	}
	if ended := logs.FilterMessage("trace ended").All(); len(ended) != 1 || ended[0].ContextMap()["reason"] != "it was stopped" {
		t.Errorf("the log says %v", ended)
	}
	if f, err := capture.ReadTrace(file.Bytes()); err != nil || len(f.Packets) != 1 || f.Interfaces[0].SnapLength != 100 {
		t.Errorf("%+v, %v", f, err)
	}
}

// beside runs f beside the test.
func beside(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}
