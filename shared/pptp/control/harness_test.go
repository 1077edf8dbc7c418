package control

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// epoch is when the tests begin.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// ledger is an Allocator that counts up and keeps books.
type ledger struct {
	t     testing.TB
	next  uint16
	limit int // Call IDs at once; 0 for no limit
	inUse map[uint16]bool
	given int
	back  int
}

func newLedger(t testing.TB, first uint16) *ledger {
	return &ledger{t: t, next: first, inUse: make(map[uint16]bool)}
}

func (l *ledger) Allocate(time.Time) (uint16, bool) {
	if l.limit > 0 && len(l.inUse) >= l.limit {
		return 0, false
	}
	for l.next == 0 || l.inUse[l.next] {
		l.next++
	}
	id := l.next
	l.next++
	l.inUse[id] = true
	l.given++
	return id, true
}

func (l *ledger) Release(_ time.Time, id uint16) {
	if !l.inUse[id] {
		l.t.Errorf("Call ID %d is released and not in use", id)
	}
	delete(l.inUse, id)
	l.back++
}

// bench is a Connection under test, with a clock that the test moves.
type bench struct {
	t      testing.TB
	c      *Connection
	now    time.Time
	ids    *ledger
	news   []Action       // all but Send and Close, not looked at yet
	sent   []pptp.Message // not looked at yet
	closed *Close
}

// newBench returns a Connection that has not heard anything yet.
func newBench(t testing.TB, cfg Config) *bench {
	b := &bench{t: t, now: epoch, ids: newLedger(t, 100)}
	if cfg.CallIDs == nil {
		cfg.CallIDs = b.ids
	}
	if cfg.Self.HostName == "" {
		cfg.Self = ours
	}
	b.c = New(b.now, cfg)
	b.drain()
	return b
}

var (
	ours = Identity{
		HostName: "us", VendorName: "Trunkline", FirmwareRevision: 7,
		FramingCapabilities: pptp.FramingEither, BearerCapabilities: pptp.BearerAny, MaximumChannels: 30,
	}
	theirs = Identity{
		HostName: "them", VendorName: "Peer", FirmwareRevision: 1,
		FramingCapabilities: pptp.FramingAsynchronous, BearerCapabilities: pptp.BearerAnalog,
	}
	theirRequest = &pptp.StartControlConnectionRequest{
		ProtocolVersion: pptp.Version10, FramingCapabilities: pptp.FramingAsynchronous, BearerCapabilities: pptp.BearerAnalog,
		FirmwareRevision: 1, HostName: pptp.MakeText64("them"), VendorName: pptp.MakeText64("Peer"),
	}
	theirReply = &pptp.StartControlConnectionReply{
		ProtocolVersion: pptp.Version10, ResultCode: pptp.ControlOK,
		FramingCapabilities: pptp.FramingAsynchronous, BearerCapabilities: pptp.BearerAnalog,
		FirmwareRevision: 1, HostName: pptp.MakeText64("them"), VendorName: pptp.MakeText64("Peer"),
	}
	ourReply = &pptp.StartControlConnectionReply{
		ProtocolVersion: pptp.Version10, ResultCode: pptp.ControlOK,
		FramingCapabilities: pptp.FramingEither, BearerCapabilities: pptp.BearerAny,
		MaximumChannels: 30, FirmwareRevision: 7, HostName: pptp.MakeText64("us"), VendorName: pptp.MakeText64("Trunkline"),
	}
)

// establishedBench returns a receiver whose control connection is up.
func establishedBench(t testing.TB, cfg Config) *bench {
	t.Helper()
	b := newBench(t, cfg)
	if cfg.Originator {
		b.receive(theirReply)
	} else {
		b.receive(theirRequest)
	}
	if b.c.Status() != fsm.StateEstablished {
		t.Fatalf("not established: %v", b.c.Status())
	}
	b.news, b.sent = nil, nil
	return b
}

// drain takes the actions and sorts them.
func (b *bench) drain() {
	b.t.Helper()
	for _, a := range b.c.Actions() {
		if b.closed != nil {
			b.t.Errorf("action after Close: %#v", a)
		}
		switch a := a.(type) {
		case Send:
			b.decode(a.Bytes)
		case Close:
			b.closed = &a
		default:
			b.news = append(b.news, a)
		}
	}
	b.checkDeadline()
}

// checkPending: the calls that have an instant, and no others, are at hand, and they are all that may be half open.
func (b *bench) checkPending() {
	b.t.Helper()
	var want []*CallState
	for _, call := range b.c.calls.list {
		halfOpen := call.Call.State != fsm.StateEstablished && call.Call.State != fsm.StateIdle
		if has := !call.Due.IsZero() || !call.WANErrorsDue.IsZero(); has {
			want = append(want, call)
		} else if halfOpen {
			b.t.Fatalf("call %d waits in %v without end", call.Call.Own(), call.Call.State)
		}
	}
	if !slices.Equal(b.c.calls.pending, want) {
		b.t.Fatalf("%d calls are at hand as waiting, %d wait", len(b.c.calls.pending), len(want))
	}
}

// checkDeadline: whatever waits has a deadline, and it lies in the future.
func (b *bench) checkDeadline() {
	b.checkPending()
	b.t.Helper()
	due := b.c.Deadline()
	if (due.IsZero()) != (b.c.Status() == fsm.StateClosed) {
		b.t.Errorf("deadline %v in %v", due, b.c.Status())
	}
	s := b.c.State()
	if wait := fsm.WaitOf(fsm.Control, s.Control); (wait == fsm.TimerNone) != s.Due.IsZero() {
		b.t.Errorf("control connection: %v waits until %v", s.Control, s.Due)
	}
	for _, call := range s.Calls {
		if wait := fsm.WaitOf(call.Call.machine(), call.Call.State); (wait == fsm.TimerNone) != call.Due.IsZero() {
			b.t.Errorf("call %d: %v waits until %v", call.Call.Own(), call.Call.State, call.Due)
		}
		if !call.Due.IsZero() && call.Due.Before(due) || !call.WANErrorsDue.IsZero() && call.WANErrorsDue.Before(due) {
			b.t.Errorf("call %d is due at %v or %v, the connection at %v", call.Call.Own(), call.Due, call.WANErrorsDue, due)
		}
	}
}

func (b *bench) decode(octets []byte) {
	b.t.Helper()
	var f pptp.Framer
	f.Feed(octets)
	for {
		msg, ok, err := f.Next()
		if err != nil {
			b.t.Fatalf("we send nonsense: %v", err)
		}
		if !ok {
			break
		}
		m, err := pptp.Decode(msg)
		if err != nil {
			b.t.Fatalf("we send nonsense: %v", err)
		}
		b.sent = append(b.sent, m)
	}
	if n := len(f.Buffered()); n > 0 {
		b.t.Errorf("we send %d octets of half a message", n)
	}
}

// receive lets messages arrive in one segment.
func (b *bench) receive(messages ...pptp.Message) {
	b.t.Helper()
	var octets []byte
	for _, m := range messages {
		octets = m.Append(octets)
	}
	b.c.Receive(b.now, octets)
	b.drain()
}

// do gives a command.
func (b *bench) do(f func(c *Connection)) {
	b.t.Helper()
	f(b.c)
	b.drain()
}

// try gives a command that must succeed.
func (b *bench) try(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Errorf("command: %v", err)
	}
	b.drain()
}

// advance moves the clock by d, ticking at each deadline on the way.
func (b *bench) advance(d time.Duration) {
	b.t.Helper()
	end := b.now.Add(d)
	for {
		due := b.c.Deadline()
		if due.IsZero() || due.After(end) {
			break
		}
		if early := due.Add(-time.Nanosecond); early.After(b.now) {
			b.c.Tick(early)
			if a := b.c.Actions(); len(a) > 0 {
				b.t.Errorf("Tick acts early: %#v", a)
			}
		}
		if due.After(b.now) {
			b.now = due
		}
		b.c.Tick(b.now)
		b.drain()
		if b.c.Deadline().Equal(due) {
			b.t.Fatalf("Tick does not move the deadline %v", due)
		}
	}
	b.now = end
}

// wantSent compares the messages sent since the last look.
func (b *bench) wantSent(want ...pptp.Message) {
	b.t.Helper()
	if len(b.sent) != len(want) {
		b.t.Errorf("sent %s, want %s", summaries(b.sent), summaries(want))
	} else {
		for i := range want {
			if !reflect.DeepEqual(b.sent[i], want[i]) {
				b.t.Errorf("sent %s, want %s", b.sent[i].Summary(), want[i].Summary())
			}
		}
	}
	b.sent = nil
}

func summaries(all []pptp.Message) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "[%s]", m.Summary())
	}
	return b.String()
}

// wantNews compares the news since the last look. Faults are compared by their
// kind and Call ID only, errors by identity.
func (b *bench) wantNews(want ...Action) {
	b.t.Helper()
	same := func(got, want Action) bool {
		switch w := want.(type) {
		case Misbehaved:
			g, ok := got.(Misbehaved)
			return ok && g.What == w.What && g.Own == w.Own && g.Detail != ""
		case ConnectionEnded:
			g, ok := got.(ConnectionEnded)
			return ok && g.Why == w.Why && g.Reason == w.Reason && g.Result == w.Result && sameError(g.Err, w.Err)
		}
		return reflect.DeepEqual(got, want)
	}
	if !slices.EqualFunc(b.news, want, same) {
		b.t.Errorf("news\n%s\nwant\n%s", listing(b.news), listing(want))
	}
	b.news = nil
}

func sameError(got, want error) bool {
	if want == nil || got == nil {
		return got == want
	}
	return strings.Contains(got.Error(), want.Error())
}

func listing(all []Action) string {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, "  %T%+v\n", a, a)
	}
	return b.String()
}

// wantClosed checks that the connection has been closed.
func (b *bench) wantClosed(flush bool, err error) {
	b.t.Helper()
	if b.closed == nil {
		b.t.Errorf("not closed, in %v", b.c.Status())
		return
	}
	if b.closed.Flush != flush || !sameError(b.closed.Err, err) {
		b.t.Errorf("closed with %+v, want flush %v, %v", *b.closed, flush, err)
	}
	if b.c.Status() != fsm.StateClosed || len(b.c.Calls()) > 0 || len(b.ids.inUse) > 0 {
		b.t.Errorf("after Close: %v, %d calls, %d Call IDs in use", b.c.Status(), len(b.c.Calls()), len(b.ids.inUse))
	}
}

// call returns a call that must exist, in the given state.
func (b *bench) call(own uint16, state fsm.State) Call {
	b.t.Helper()
	call, ok := b.c.Call(own)
	if !ok || call.State != state {
		b.t.Errorf("call %d: %v in %v, want %v", own, ok, call.State, state)
	}
	return call
}

// takeNews returns the news since the last look.
func (b *bench) takeNews() []Action {
	news := b.news
	b.news = nil
	return news
}

// until moves the clock to an instant after epoch.
func (b *bench) until(since time.Duration) {
	b.t.Helper()
	if d := epoch.Add(since).Sub(b.now); d > 0 {
		b.advance(d)
	}
}
