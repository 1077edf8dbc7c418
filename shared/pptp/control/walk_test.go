package control

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

var walkSeed = flag.Uint64("walkseed", 0, "play only the random walk with this seed")

// end is one end of a random walk: a bench, its owner's knowledge of calls, and
// the octets on their way to the other end.
type end struct {
	*bench
	name  string
	out   []byte               // sent, not delivered yet
	known map[uint16]fsm.State // calls the owner knows: state by the news alone
	ended int
	over  int // ConnectionEnded seen
}

// walk lets two ends talk to each other over split streams.
type walk struct {
	t       *testing.T
	random  *rand.Rand
	ends    [2]*end
	log     []string
	orderly bool // no end has been cut off
	slow    bool // octets may be on their way for minutes
}

func newWalk(t *testing.T, seed uint64) *walk {
	w := &walk{t: t, random: rand.New(rand.NewPCG(seed, 42)), orderly: seed%4 != 0, slow: seed%4 == 0}
	for i := range w.ends {
		// The peers' Call IDs must not meet by chance: a guess about a misnamed
		// call is right only as often as Call IDs are random.
		b := &bench{t: t, now: epoch, ids: newLedger(t, uint16(100+30000*i))}
		b.c = New(b.now, Config{
			Originator: i == 0, Approve: i == 1 && seed%2 == 0, Self: ours, CallIDs: b.ids,
			Limits: Limits{Calls: 40, HalfOpen: 30, MessagesPerSecond: 1000, Burst: 100000},
		})
		w.ends[i] = &end{bench: b, name: [2]string{"A", "B"}[i], known: make(map[uint16]fsm.State)}
	}
	w.settle()
	return w
}

func (w *walk) note(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

// settle takes the actions of both ends.
func (w *walk) settle() {
	w.t.Helper()
	for _, e := range w.ends {
		var octets []byte
		for _, a := range e.c.Actions() {
			if e.closed != nil {
				w.t.Errorf("%s: action after Close: %#v", e.name, a)
			}
			switch a := a.(type) {
			case Send:
				octets = append(octets, a.Bytes...)
			case Close:
				e.closed = &a
			default:
				e.learn(w, a)
			}
		}
		e.out = append(e.out, octets...)
		e.checkDeadline()
		e.checkCalls()
	}
}

// learn keeps the owner's view of the calls from the news alone.
func (e *end) learn(w *walk, a Action) {
	w.t.Helper()
	w.note("%s: %T%+v", e.name, a, a)
	move := func(call Call, from ...fsm.State) {
		w.t.Helper()
		if old, ok := e.known[call.Own()]; !slices.Contains(from, old) || ok == slices.Contains(from, fsm.StateIdle) {
			w.t.Errorf("%s: %T about call %d, which is in %v", e.name, a, call.Own(), old)
		}
		e.known[call.Own()] = call.State
	}
	switch a := a.(type) {
	case StartRequested:
		w.note("%s: approve %v", e.name, e.c.ApproveStart(e.now))
	case IncomingOffered:
		move(a.Call, fsm.StateIdle)
	case OutgoingRequested:
		move(a.Call, fsm.StateIdle)
	case IncomingAccepted:
		move(a.Call, fsm.StateWaitReply)
	case IncomingConnected:
		move(a.Call, fsm.StateWaitConnect)
	case OutgoingConnected:
		move(a.Call, fsm.StateWaitReply)
	case ClearRequested:
		move(a.Call, fsm.StateWaitCSAns, fsm.StateEstablished)
	case LinkInfoSet, WANErrorsReported:
	case CallEnded:
		if _, ok := e.known[a.Call.Own()]; !ok {
			w.t.Errorf("%s: the end of call %d, which the owner does not know", e.name, a.Call.Own())
		}
		delete(e.known, a.Call.Own())
		e.ended++
	case ConnectionEnded:
		e.over++
		if e.over > 1 || len(e.known) > 0 {
			w.t.Errorf("%s: ended %d times, %d calls not", e.name, e.over, len(e.known))
		}
	case Misbehaved:
		// The ends behave; only what crosses the end of its call is out of place, and what the network has not brought in time.
		if !slices.Contains([]Fault{FaultUnknownCall, FaultReplyToNothing, FaultTooManyCalls, FaultHalfMessage, FaultNoStart}, a.What) {
			w.t.Errorf("%s: %+v", e.name, a)
		}
	}
}

// checkCalls compares the owner's view with the machine's.
func (e *end) checkCalls() {
	e.t.Helper()
	calls := e.c.Calls()
	for _, call := range calls {
		if known, ok := e.known[call.Own()]; !ok || known != call.State {
			e.t.Errorf("%s: call %d is in %v, its owner thinks %v", e.name, call.Own(), call.State, known)
		}
	}
	if len(calls) != len(e.known) {
		e.t.Errorf("%s: %d calls, its owner knows %d", e.name, len(calls), len(e.known))
	}
	if len(e.ids.inUse) != len(e.c.State().Calls) {
		e.t.Errorf("%s: %d Call IDs for %d calls", e.name, len(e.ids.inUse), len(e.c.State().Calls))
	}
}

// deliver takes up to n octets from one end to the other.
func (w *walk) deliver(from, n int) {
	a, b := w.ends[from], w.ends[1-from]
	n = min(n, len(a.out))
	b.c.Receive(b.now, a.out[:n])
	a.out = a.out[n:]
	if a.closed != nil && len(a.out) == 0 {
		b.c.TransportClosed(b.now, nil)
	}
	w.settle()
}

// deliverAll empties both streams.
func (w *walk) deliverAll() {
	for len(w.ends[0].out)+len(w.ends[1].out) > 0 {
		w.deliver(0, 1000)
		w.deliver(1, 1000)
	}
}

// pass lets time pass at both ends.
func (w *walk) pass(d time.Duration) {
	until := w.ends[0].now.Add(d)
	for {
		next := until
		for _, e := range w.ends {
			if due := e.c.Deadline(); !due.IsZero() && due.Before(next) {
				next = due
			}
		}
		for _, e := range w.ends {
			if next.After(e.now) {
				e.now = next
			}
			e.c.Tick(e.now)
		}
		w.settle()
		if !next.Before(until) {
			return
		}
		if !w.slow {
			w.deliverAll()
		}
	}
}

// command gives an end a random command about a random call.
func (w *walk) command(e *end) {
	calls := e.c.Calls()
	set := func(own uint16) {
		if call, ok := e.c.Call(own); ok {
			e.known[own] = call.State
		}
	}
	switch w.random.IntN(5) {
	case 0:
		own, err := e.c.OfferIncoming(e.now, IncomingOffer{DialedNumber: "1"})
		if err == nil {
			set(own)
		}
		return
	case 1:
		own, err := e.c.RequestOutgoing(e.now, OutgoingRequest{PhoneNumber: "2"})
		if err == nil {
			set(own)
		}
		return
	}
	if len(calls) == 0 {
		return
	}
	call := calls[w.random.IntN(len(calls))]
	own := call.Own()
	var err error
	what := w.random.IntN(10)
	switch {
	case what == 0:
		err = e.c.EndCall(e.now, own, Disconnect{Statistics: "bye"})
	case call.State == fsm.StateWaitDecision:
		answer := IncomingAnswer{Window: 1}
		if what < 4 {
			answer.Result = pptp.IncomingDoNotAccept
		}
		err = e.c.AnswerIncoming(e.now, own, answer)
	case call.State == fsm.StateWaitCSAns && call.Direction == fsm.Incoming:
		err = e.c.ConfirmIncoming(e.now, own, LineConnected{ConnectSpeed: 1})
	case call.State == fsm.StateWaitCSAns:
		answer := OutgoingAnswer{ConnectSpeed: 1}
		if what < 4 {
			answer.Result = pptp.OutgoingBusy
		}
		err = e.c.AnswerOutgoing(e.now, own, answer)
	case call.State == fsm.StateWaitHangUp:
		err = e.c.DisconnectCall(e.now, own, Disconnect{})
	case call.State == fsm.StateEstablished && call.Role == fsm.RolePNS:
		err = e.c.SetLinkInfo(e.now, own, w.random.Uint32(), 0)
	case call.State == fsm.StateEstablished:
		err = e.c.NotifyWANErrors(e.now, own, pptp.WANErrors{CRCErrors: w.random.Uint32N(9)})
	}
	if err != nil {
		w.t.Errorf("%s: command about call %d in %v: %v", e.name, own, call.State, err)
	}
	set(own)
}

// step does one random thing.
func (w *walk) step() {
	e := w.ends[w.random.IntN(2)]
	switch n := w.random.IntN(100); {
	case n < 45:
		w.deliver(w.random.IntN(2), 1+w.random.IntN(1+w.random.IntN(600)))
	case n < 80:
		w.command(e)
	case n < 90:
		w.pass(time.Duration(w.random.IntN(1000)) * time.Millisecond)
	case n < 92:
		if !w.slow {
			w.deliverAll()
		}
		w.pass(time.Duration(w.random.IntN(100)) * time.Second)
	case n < 94:
		e.c.Probe(e.now)
	case n < 98:
		s, err := codecs["gob"](e.c.State())
		if err != nil {
			w.t.Fatal(err)
		}
		if e.c, err = e.c.cfg.Restore(s, e.c.ids); err != nil {
			w.t.Fatal(err)
		}
	case n == 98 && w.random.IntN(40) == 0:
		w.orderly = w.orderly && e.c.Status() == fsm.StateEstablished
		e.c.Stop(e.now, pptp.StopShutdown)
	case n == 99 && w.random.IntN(40) == 0:
		w.orderly = false
		e.c.Abandon(e.now, nil)
	}
	w.settle()
}

// finish lets everything come to rest and checks that both ends agree.
func (w *walk) finish() {
	w.deliverAll()
	w.slow = false
	w.pass(10 * time.Minute)
	w.deliverAll()
	a, b := w.ends[0], w.ends[1]
	if a.closed != nil || b.closed != nil {
		w.deliver(0, 0)
		w.deliver(1, 0)
	}
	if a.c.Status() != b.c.Status() {
		w.t.Errorf("A is in %v, B in %v", a.c.Status(), b.c.Status())
	}
	for _, e := range w.ends {
		if e.over > 0 != (e.closed != nil) {
			w.t.Errorf("%s: ended %d times, closed %v", e.name, e.over, e.closed)
		}
		if w.orderly && e.closed != nil && e.closed.Err != nil {
			w.t.Errorf("%s: an orderly end with %v", e.name, e.closed.Err)
		}
	}
	theirs := make(map[[2]uint16]Call)
	for _, call := range b.c.Calls() {
		theirs[[2]uint16{call.PACCallID, call.PNSCallID}] = call
	}
	for _, call := range a.c.Calls() {
		key := [2]uint16{call.PACCallID, call.PNSCallID}
		other, ok := theirs[key]
		delete(theirs, key)
		if !ok || call.State != fsm.StateEstablished || other.State != fsm.StateEstablished ||
			other.Role == call.Role || other.Direction != call.Direction || other.ConnectSpeed != call.ConnectSpeed {
			w.t.Errorf("A has %+v, B %+v", call, other)
		}
	}
	if len(theirs) > 0 {
		w.t.Errorf("B has calls that A does not have: %+v", theirs)
	}
}

// TestRandomWalk: two ends, random commands, streams cut anywhere, time
// passing, ends written out and restored.
func TestRandomWalk(t *testing.T) {
	seeds := []uint64{*walkSeed}
	if *walkSeed == 0 {
		seeds = seeds[:0]
		for s := range uint64(60) {
			seeds = append(seeds, s+1)
		}
	}
	ended, stopped := 0, 0
	for _, seed := range seeds {
		w := newWalk(t, seed)
		for range 600 {
			w.step()
			if t.Failed() {
				break
			}
		}
		if !t.Failed() {
			w.finish()
		}
		if t.Failed() {
			for _, line := range w.log[max(0, len(w.log)-40):] {
				t.Log(line)
			}
			t.Fatalf("seed %d (go test -run TestRandomWalk -walkseed=%d)", seed, seed)
		}
		ended += w.ends[0].ended + w.ends[1].ended
		stopped += w.ends[0].over
	}
	t.Logf("%d calls ended, %d of %d connections", ended, stopped, len(seeds))
}
