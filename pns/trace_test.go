package pns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"trunkline.example/pns/config"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/trace"
	"trunkline.example/test/capture"
)

// tracing is a trace under way.
type tracing struct {
	t       *testing.T
	id      string
	file    bytes.Buffer
	summary chan trace.Summary
}

// trace starts a trace.
func (w *world) trace(t *testing.T, r admin.TraceRequest) *tracing {
	t.Helper()
	one, err := w.server.startTrace(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	x := &tracing{t: t, id: r.ID, summary: make(chan trace.Summary, 1)}
	go func() {
		s, err := one.Run(context.Background(), &x.file)
		if err != nil {
			t.Error(err)
		}
		x.summary <- s
	}()
	return x
}

// read waits for the end of the trace and returns its file, and how it has ended.
func (x *tracing) read() (*capture.Trace, string) {
	x.t.Helper()
	s := <-x.summary
	f, err := capture.ReadTrace(x.file.Bytes())
	if err != nil {
		x.t.Fatal(err)
	}
	return f, s.Reason
}

// protocols counts the packets of a trace by IP protocol, and whether they were sent.
func protocols(f *capture.Trace) map[string]int {
	n := map[string]int{}
	for _, p := range f.Packets {
		if f.Interfaces[p.Interface].Name == "pptp" {
			n[fmt.Sprintf("%d %v", p.Data[9], p.Sent)]++
		}
	}
	return n
}

func comments(f *capture.Trace) string {
	var all []string
	for _, p := range f.Packets {
		all = append(all, p.Comment)
	}
	return strings.Join(all, "\n")
}

// Of a peer all is traced from its first octet to its last, of a call all until its end; the login cannot be read but where secrets are
// asked for.
func TestTraces(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.66.0.0/16") })
	w.startEcho()
	whole := w.trace(t, admin.TraceRequest{ID: "whole", Peer: "127.66.0.1"})
	secrets := w.trace(t, admin.TraceRequest{ID: "secrets", Peer: "127.66.0.1", Secrets: true})
	c := w.dial(dialer{from: "127.66.0.1", pac: true})
	await[link.NetworkUp](c)
	call := w.trace(t, admin.TraceRequest{ID: "call", User: "alice"})
	foreign := w.dial(dialer{from: "127.66.0.2", pac: true, user: "bob", password: "hunter2"})
	await[link.NetworkUp](foreign)
	foreign.ping(farAway, 64, 20)
	c.ping(farAway, 64, 20)
	w.kick(t, "alice")
	f, reason := call.read()
	if n := protocols(f); !strings.HasPrefix(reason, "the call is over") || n["47 false"] < 20 || n["47 true"] < 20 || n["6 true"]+n["6 false"] == 0 {
		t.Errorf("the call's trace: %v, %s", n, reason)
	}
	for _, p := range f.Packets {
		if f.Interfaces[p.Interface].Name == "pptp" && bytes.Contains(p.Data[12:20], []byte{127, 66, 0, 2}) {
			t.Fatal("the call's trace has another one's packets")
		}
	}
	if text := comments(f); !strings.Contains(text, "PPP phase") || strings.Contains(text, "bob") {
		t.Errorf("the call's comments: %s", text)
	}
	c.kill()
	for _, x := range []*tracing{whole, secrets} {
		if !w.server.traces.Stop(x.id, "enough") {
			t.Errorf("there is no trace %q", x.id)
		}
		f, reason := x.read()
		if n := protocols(f); reason != "enough" || n["6 false"] < 3 || n["6 true"] < 3 || n["47 false"] < 25 || n["47 true"] < 25 {
			t.Errorf("trace %s: %v, %s", x.id, n, reason)
		}
		text := comments(f)
		if !strings.Contains(text, "logged in as alice") || !strings.Contains(text, "the call is over") || strings.Contains(text, "secrets are blanked") == (x == secrets) {
			t.Errorf("trace %s: comments %s", x.id, text)
		}
	}
}

// kick ends a user's session.
func (w *world) kick(t *testing.T, user string) {
	t.Helper()
	if ended, err := w.server.Kick(context.Background(), Kick{User: user}); err != nil || len(ended) != 1 {
		t.Fatalf("kicked %v: %v", ended, err)
	}
}

func TestTracesThatCannotBe(t *testing.T) {
	w := newWorld(t, gretest.Config{}, nil)
	first := w.dial(dialer{})
	await[link.NetworkUp](first)
	w.setUser("alice", user{password: "Passw0rd", sessions: 2})
	second := w.dial(dialer{})
	await[link.NetworkUp](second)
	for _, c := range []struct {
		request admin.TraceRequest
		status  int
		says    string
	}{
		{admin.TraceRequest{Call: "12345"}, http.StatusNotFound, `no session "12345"`},
		{admin.TraceRequest{User: "carol"}, http.StatusNotFound, `user "carol" has no session`},
		{admin.TraceRequest{User: "alice"}, http.StatusConflict, "say which"},
		{admin.TraceRequest{Peer: "laptop"}, http.StatusBadRequest, "peer"},
		{admin.TraceRequest{Line: "line1"}, http.StatusBadRequest, "no lines"},
	} {
		_, err := w.server.startTrace(context.Background(), c.request)
		var e *admin.Error
		if !errors.As(err, &e) || e.Status != c.status || !strings.Contains(e.Message, c.says) {
			t.Errorf("%+v: %v", c.request, err)
		}
	}
	if w.server.traces.On() {
		t.Error("a trace that could not be runs")
	}
}
