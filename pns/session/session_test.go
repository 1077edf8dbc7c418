package session

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// pair is a session and a client's link that talk to each other under a virtual clock.
type pair struct {
	t       *testing.T
	now     time.Time
	cfg     Config
	session *Session
	client  *link.Link
	traffic Traffic
	deaf    bool // the client hears and says nothing more
	news    []link.Action
}

func newPair(t *testing.T, change func(*Config)) *pair {
	p := &pair{t: t, now: begin}
	p.cfg = Config{Link: link.Config{
		Side: link.Server, Name: "pns", Seed: [32]byte{1}, Authentication: []auth.Protocol{auth.MSCHAPv2}, Encryption: ccp.Required,
		LocalAddress: netip.MustParseAddr("10.0.0.1"), PeerAddress: netip.MustParseAddr("10.0.0.2"),
	}}
	if change != nil {
		change(&p.cfg)
	}
	p.session = New(p.now, p.cfg)
	p.client = link.New(p.now, link.Config{
		Side: link.Client, Seed: [32]byte{2}, User: "alice", Secret: auth.PlainSecret("x"), Authentication: []auth.Protocol{auth.MSCHAPv2},
		Encryption: ccp.Required, Timers: link.Timers{EchoInterval: -1},
	})
	return p
}

// settle passes frames until both are quiet.
func (p *pair) settle() {
	for {
		server := p.session.Actions(p.now)
		for _, a := range server {
			p.news = append(p.news, a)
			switch a := a.(type) {
			case link.Send:
				if !p.deaf {
					p.client.Receive(p.now, a.Frame)
				}
			case link.Authenticate:
				p.session.Authenticated(p.now, auth.Verify(a.Attempt, auth.PlainSecret("x")))
			}
		}
		client := p.client.Actions()
		for _, a := range client {
			if send, ok := a.(link.Send); ok && !p.deaf {
				p.session.Receive(p.now, send.Frame)
			}
		}
		if len(server)+len(client) == 0 {
			return
		}
	}
}

// pass lets time go by, ticking whenever somebody wants it.
func (p *pair) pass(d time.Duration) {
	end := p.now.Add(d)
	for {
		at := end
		for _, want := range []time.Time{p.session.Deadline(), p.client.Deadline()} {
			if !want.IsZero() && want.Before(at) {
				at = want
			}
		}
		p.now = at
		p.session.Tick(p.now, p.traffic)
		p.client.Tick(p.now)
		p.settle()
		if !at.Before(end) {
			return
		}
	}
}

// open brings the session up.
func (p *pair) open() {
	p.t.Helper()
	p.client.Up(p.now)
	p.session.Connected(p.now, 0)
	p.settle()
	if !p.session.Facts().Up {
		p.t.Fatalf("not up: %+v", p.session.Facts())
	}
}

func (p *pair) ended() link.Code { return p.session.Facts().Ended.Code }

func TestFacts(t *testing.T) {
	p := newPair(t, nil)
	p.open()
	f := p.session.Facts()
	if f.User != "alice" || f.Authentication != auth.MSCHAPv2 || !f.Encrypted || f.KeyBits != 128 || f.PeerAddress != netip.MustParseAddr("10.0.0.2") ||
		f.LocalAddress != netip.MustParseAddr("10.0.0.1") || f.Phase != link.Network || f.MTU == 0 || f.Started != begin || f.LinkUp.IsZero() || f.NetworkUp.IsZero() {
		t.Fatalf("%+v", f)
	}
	p.session.Down(p.now)
	p.settle()
	if f := p.session.Facts(); f.Up || f.Ended.Code != link.CodeLowerDown || f.User != "alice" {
		t.Fatalf("%+v", f)
	}
}

// Frames that overtake the message which connects the call are kept, but not any number of them.
func TestFramesBeforeTheCall(t *testing.T) {
	p := newPair(t, nil)
	p.client.Up(p.now)
	for _, a := range p.client.Actions() {
		if send, ok := a.(link.Send); ok {
			for range heldFrames + 2 {
				p.session.Receive(p.now, send.Frame)
			}
		}
	}
	if own, _ := p.session.Counters(); own.Held != heldFrames+2 || own.HeldDropped != 2 || len(p.session.Actions(p.now)) != 0 {
		t.Fatalf("%+v", own)
	}
	p.session.Connected(p.now, time.Second)
	p.settle()
	if !p.session.Facts().Up {
		t.Fatal("the frames were lost, or had to wait for the time to be up")
	}
	p.session.Connected(p.now, 0)
	if len(p.session.Actions(p.now)) != 0 {
		t.Fatal("connected twice")
	}
}

func TestPatience(t *testing.T) {
	p := newPair(t, nil)
	p.session.Connected(p.now, time.Second)
	if len(p.session.Actions(p.now)) != 0 || p.session.Deadline() != begin.Add(time.Second) {
		t.Fatalf("spoke first, or waits until %v", p.session.Deadline())
	}
	p.session.Tick(begin.Add(999*time.Millisecond), Traffic{})
	if len(p.session.Actions(p.now)) != 0 {
		t.Fatal("ticked early")
	}
	p.deaf = true
	p.pass(time.Second)
	if len(p.news) == 0 {
		t.Fatal("waits for ever")
	}

	q := newPair(t, nil)
	q.session.Connected(q.now, time.Second)
	q.client.Up(q.now)
	q.settle()
	if !q.session.Facts().Up {
		t.Fatal("did not start with the client's first frame")
	}
}

func TestClosedBeforeTheStart(t *testing.T) {
	for _, connected := range []bool{false, true} {
		p := newPair(t, nil)
		if connected {
			p.session.Connected(p.now, time.Second)
		}
		p.session.Close(p.now, link.Reason{Code: link.CodeShutdown})
		p.pass(30 * time.Second)
		if p.ended() != link.CodeShutdown {
			t.Errorf("connected %v: ended %v", connected, p.session.Facts().Ended)
		}
	}
}

func TestTimeLimits(t *testing.T) {
	p := newPair(t, func(c *Config) { c.SessionTime = time.Hour })
	p.open()
	p.pass(time.Hour - time.Second)
	if p.ended() != link.CodeNone {
		t.Fatal("ended early")
	}
	p.pass(2 * time.Second)
	if p.ended() != link.CodeSessionTimeout {
		t.Fatalf("ended %v", p.session.Facts().Ended)
	}

	p = newPair(t, func(c *Config) { c.IdleTime = time.Minute })
	p.open()
	for range 10 {
		p.traffic.Sent++
		p.pass(50 * time.Second)
	}
	if p.ended() != link.CodeNone {
		t.Fatal("ended while in use")
	}
	p.traffic.Received++ // within a minute and an eighth of it after this the session is over, whenever it was looked at before
	p.pass(59 * time.Second)
	if p.ended() != link.CodeNone {
		t.Fatal("ended too early")
	}
	p.pass(9 * time.Second)
	if p.ended() != link.CodeIdle {
		t.Fatalf("ended %v", p.session.Facts().Ended)
	}
}

// Data from the peer is as good as an Echo-Reply: a line too busy to answer is not given up.
func TestDataShowsLife(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Link.Timers.EchoInterval, c.Link.Timers.EchoFailures = 10*time.Second, 2 })
	p.open()
	p.deaf = true
	for range 30 {
		p.traffic.Received++
		p.pass(5 * time.Second)
	}
	if p.ended() != link.CodeNone {
		t.Fatalf("given up while data came: %v", p.session.Facts().Ended)
	}
	p.pass(time.Minute)
	if p.ended() != link.CodeEchoTimeout {
		t.Fatalf("ended %v", p.session.Facts().Ended)
	}
}

// At any moment of its life a session is written out, read again and goes on.
func TestStateGoesOn(t *testing.T) {
	for name, codec := range map[string]func(t *testing.T, s State) State{"gob": viaGob, "json": viaJSON} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, func(c *Config) { c.SessionTime = time.Hour })
			move := func() {
				t.Helper()
				s, err := Restore(p.cfg, codec(t, p.session.State()))
				if err != nil {
					t.Fatal(err)
				}
				if s.Deadline().Sub(p.session.Deadline()) != 0 {
					t.Fatalf("deadline %v, was %v", s.Deadline(), p.session.Deadline())
				}
				p.session = s
			}
			p.client.Up(p.now)
			for _, a := range p.client.Actions() {
				if send, ok := a.(link.Send); ok {
					p.session.Receive(p.now, send.Frame)
				}
			}
			move()
			p.session.Connected(p.now, time.Second)
			for i := 0; i < 200 && !p.session.Facts().Up; i++ {
				actions := p.session.Actions(p.now)
				move()
				for _, a := range actions {
					switch a := a.(type) {
					case link.Send:
						p.client.Receive(p.now, a.Frame)
					case link.Authenticate:
						p.session.Authenticated(p.now, auth.Verify(a.Attempt, auth.PlainSecret("x")))
					}
				}
				for _, a := range p.client.Actions() {
					if send, ok := a.(link.Send); ok {
						p.session.Receive(p.now, send.Frame)
					}
				}
			}
			if !p.session.Facts().Up {
				t.Fatalf("not up: %+v", p.session.Facts())
			}
			move()
			p.pass(time.Hour + time.Second)
			if p.ended() != link.CodeSessionTimeout {
				t.Fatalf("ended %v", p.session.Facts().Ended)
			}
		})
	}
}

func viaGob(t *testing.T, s State) (out State) {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		t.Fatal(err)
	}
	if err := gob.NewDecoder(&b).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func viaJSON(t *testing.T, s State) (out State) {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A session rests that has carried nothing for a while, and no other.
func TestRests(t *testing.T) {
	p := newPair(t, nil)
	p.open()
	p.traffic = Traffic{Received: 1, Sent: 1}
	for _, look := range []struct {
		after time.Duration
		sent  uint64
		rests bool
	}{{time.Minute, 1, false}, {time.Second, 1, false}, {restAfter, 1, true}, {restAfter, 2, false}, {restAfter, 2, true}, {time.Minute, 3, false}} {
		p.now = p.now.Add(look.after)
		p.traffic.Sent = look.sent
		if got := p.session.Tick(p.now, p.traffic); got != look.rests {
			t.Errorf("%v after the last look, %d packets sent: rests %v", look.after, look.sent, got)
		}
	}
}
