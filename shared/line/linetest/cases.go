package linetest

import (
	"bytes"
	"io"
	"strings"

	"trunkline.example/shared/line"
)

func answers(c line.Capabilities) bool { return c.Answer }
func dials(c line.Capabilities) bool   { return c.Dial }

// Cases returns the suite in order.
func Cases() []Case {
	return []Case{
		{"up and shutdown", nil, func(*bench) {}},
		{"answered", answers, caseAnswered},
		{"caller", answers, caseCaller},
		{"rejected", answers, caseRejected},
		{"caller gives up", answers, caseGivesUp},
		{"hang-up here", answers, caseHangUpHere},
		{"hang-up there", answers, caseHangUpThere},
		{"hang-up while ringing", answers, caseHangUpRinging},
		{"hang-up while answering", answers, caseHangUpAnswering},
		{"octets both ways", answers, caseOctets},
		{"bulk with back-pressure", answers, caseBulk},
		{"data before the end of the call", answers, caseLastWords},
		{"blocked calls are freed", answers, caseFreed},
		{"stale commands", answers, caseStale},
		{"many calls", answers, caseManyCalls},
		{"shutdown while ringing", answers, caseShutdownRinging},
		{"shutdown while connected", answers, caseShutdownConnected},
		{"service", services, caseService},
		{"service in a call", services, caseServiceBusy},
		{"dial", dials, caseDial},
		{"dial busy", dials, failing(OutcomeBusy, line.CauseBusy)},
		{"dial no answer", dials, failing(OutcomeNoAnswer, line.CauseNoAnswer)},
		{"dial no carrier", dials, failing(OutcomeNoCarrier, line.CauseNoCarrier)},
		{"dial no dial tone", dials, failing(OutcomeNoDialtone, line.CauseNoDialtone)},
		{"dial given up", dials, caseDialGivenUp},
		{"dial refused", dials, caseDialRefused},
	}
}

func services(c line.Capabilities) bool { return c.Service && c.Answer }

// inService waits until a service that has been asked for is at work.
func (b *bench) inService() {
	b.Helper()
	if d := expect[line.Down](b); d.Cause.Code != line.CauseMaintenance {
		b.Errorf("down: %v", d.Cause)
	}
}

func caseService(b *bench) {
	for _, service := range []line.Service{line.ServiceTest, line.ServiceReset} {
		b.must(service.String(), b.line.Service(b.ctx, service))
		b.inService()
		expect[line.Up](b)
	}
	b.must("busy out", b.line.Service(b.ctx, line.ServiceBusyOut))
	b.inService()
	if b.caps.Dial {
		_, err := b.line.Dial(b.ctx, line.DialRequest{Number: b.number})
		b.wants("dial when busied out", err, line.ErrDown)
	}
	b.must("restore", b.line.Service(b.ctx, line.ServiceRestore))
	b.inService()
	expect[line.Up](b)
	b.wants("no service", b.line.Service(b.ctx, 0), line.ErrInvalid)
	caseAnswered(b)
}

func caseServiceBusy(b *bench) {
	call := b.connect()
	b.wants("reset in a call", b.line.Service(b.ctx, line.ServiceReset), line.ErrBusy)
	b.fromHost([]byte("still here"))
	b.must("hang up", b.line.Hangup(b.ctx, call))
	expect[line.Lost](b)
	b.idle()
}

func caseAnswered(b *bench) {
	call := b.connect()
	b.fromHost([]byte("hello"))
	b.toHost([]byte("hello yourself"))
	b.must("hang up", b.line.Hangup(b.ctx, call))
	expect[line.Lost](b)
	b.idle()
}

func caseCaller(b *bench) {
	call, r := b.ring(Caller{Number: "5551234", Name: "A CALLER", Dialed: "5550100"})
	if b.caps.CallerNumber && r.Dialing != "5551234" {
		b.Errorf("calling number %q", r.Dialing)
	}
	if b.caps.CalledNumber && r.Dialed != "5550100" {
		b.Errorf("called number %q", r.Dialed)
	}
	b.must("hang up", b.line.Hangup(b.ctx, call))
	expect[line.RingingStopped](b)
	b.must("give up", b.far.GiveUp(b.ctx))
	b.idle()
}

func caseRejected(b *bench) {
	call, _ := b.ring(Caller{Number: "5551234"})
	b.must("reject", b.line.Reject(b.ctx, call, line.Cause{Code: line.CauseRejected}))
	if r := expect[line.RingingStopped](b); r.Cause.Code != line.CauseRejected {
		b.Errorf("cause %v", r.Cause)
	}
	b.wants("answer after reject", b.line.Answer(b.ctx, call), line.ErrNoCall)
	b.must("give up", b.far.GiveUp(b.ctx))
	b.idle()
	b.connect()
}

func caseGivesUp(b *bench) {
	call, _ := b.ring(Caller{Number: "5551234"})
	b.must("give up", b.far.GiveUp(b.ctx))
	if r := expect[line.RingingStopped](b); r.Cause.Code != line.CauseCallerGaveUp {
		b.Errorf("cause %v", r.Cause)
	}
	b.wants("answer too late", b.line.Answer(b.ctx, call), line.ErrNoCall)
	b.wants("reject too late", b.line.Reject(b.ctx, call, line.Cause{}), line.ErrNoCall)
	b.idle()
	b.connect()
}

func caseHangUpHere(b *bench) {
	call := b.connect()
	b.must("hang up", b.line.Hangup(b.ctx, call))
	if l := expect[line.Lost](b); l.Cause.Code != line.CauseHangup {
		b.Errorf("cause %v", l.Cause)
	}
	b.must("far end released", b.far.Released(b.ctx))
	b.drained(nil)
	b.idle()
	b.wants("second hang-up", b.line.Hangup(b.ctx, call), line.ErrNoCall)
}

func caseHangUpThere(b *bench) {
	call := b.connect()
	b.must("far end hangs up", b.far.HangUp(b.ctx))
	if l := expect[line.Lost](b); l.Cause.Code != line.CauseCarrierLost {
		b.Errorf("cause %v", l.Cause)
	}
	b.drained(nil)
	b.idle()
	b.wants("hang-up after loss", b.line.Hangup(b.ctx, call), line.ErrNoCall)
	b.connect()
}

func caseHangUpRinging(b *bench) {
	call, _ := b.ring(Caller{Number: "5551234"})
	b.must("hang up", b.line.Hangup(b.ctx, call))
	if r := expect[line.RingingStopped](b); r.Cause.Code != line.CauseRejected {
		b.Errorf("cause %v", r.Cause)
	}
	b.must("give up", b.far.GiveUp(b.ctx))
	b.idle()
}

func caseHangUpAnswering(b *bench) {
	call, _ := b.ring(Caller{Number: "5551234"})
	b.must("answer", b.line.Answer(b.ctx, call))
	b.must("hang up", b.line.Hangup(b.ctx, call))
	expect[line.Answering](b)
	e := b.next()
	if _, connected := e.Body.(line.Connected); connected {
		e = b.next() // it was quicker than we
	}
	if l, ok := e.Body.(line.Lost); !ok || l.Cause.Code != line.CauseHangup {
		b.Errorf("%+v", e.Body)
	}
	b.must("far end released", b.far.Released(b.ctx))
	b.idle()
	b.connect()
}

// allOctets is every value four times: ascending, descending, and each value
// doubled, so that an octet eaten or translated on the way shows.
func allOctets() []byte {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	for i := range 256 {
		all = append(all, byte(255-i))
	}
	for i := range 256 {
		all = append(all, byte(i), byte(i))
	}
	return all
}

func caseOctets(b *bench) {
	b.connect()
	b.fromHost(allOctets())
	b.toHost(allOctets())
	for _, text := range []string{"+++", "\r\nNO CARRIER\r\n", "\r\nOK\r\n", "\r\nRING\r\n", "ATH\r", "+++ATH0\r"} {
		frame := []byte("~" + text + "tail of the frame~")
		b.toHost(frame)
		b.fromHost(frame)
	}
}

func caseBulk(b *bench) {
	b.connect()
	data := bytes.Repeat(allOctets(), 24)
	b.toHost(data)
	b.fromHost(data)
}

func caseLastWords(b *bench) {
	b.connect()
	last := []byte("~last words before the line goes dead~")
	b.must("send", b.far.Send(b.ctx, last))
	first := make([]byte, 1)
	_, err := io.ReadFull(b.line, first)
	b.must("read", err)
	b.must("far end hangs up", b.far.HangUp(b.ctx))
	expect[line.Lost](b)
	rest, err := io.ReadAll(b.line)
	b.must("read the rest", err)
	if got := string(first) + string(rest); !strings.HasPrefix(string(last), got) {
		b.Errorf("read %q, sent %q", got, last)
	}
	b.idle()
}

func caseFreed(b *bench) {
	call := b.connect()
	read, wrote := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := b.line.Read(make([]byte, 16))
		read <- err
	}()
	go func() { // nobody receives it: at some point it blocks, unless the far end has no bounds
		var err error
		for data := make([]byte, 16<<10); err == nil; {
			_, err = b.line.Write(data)
		}
		wrote <- err
	}()
	b.must("hang up", b.line.Hangup(b.ctx, call))
	expect[line.Lost](b)
	b.wants("blocked read", <-read, io.EOF)
	b.wants("blocked write", <-wrote, line.ErrNotConnected)
	b.idle()
	b.connect()
	b.toHost([]byte("a new call brings new data only"))
	b.fromHost([]byte("both ways"))
}

func caseStale(b *bench) {
	b.wants("answer nothing", b.line.Answer(b.ctx, 1), line.ErrNoCall)
	b.wants("hang up nothing", b.line.Hangup(b.ctx, 1), line.ErrNoCall)
	_, err := b.line.Read(make([]byte, 1))
	b.wants("read on a fresh line", err, line.ErrNotConnected)
	first, _ := b.ring(Caller{Number: "5551234"})
	b.must("give up", b.far.GiveUp(b.ctx))
	expect[line.RingingStopped](b)
	b.idle()
	second, _ := b.ring(Caller{Number: "5555678"})
	b.wants("answer the old call", b.line.Answer(b.ctx, first), line.ErrNoCall)
	b.wants("hang up the old call", b.line.Hangup(b.ctx, first), line.ErrNoCall)
	b.answer(second)
	b.wants("answer twice", b.line.Answer(b.ctx, second), line.ErrNoCall)
	b.wants("reject a connected call", b.line.Reject(b.ctx, second, line.Cause{}), line.ErrNoCall)
	if b.caps.Dial {
		_, err = b.line.Dial(b.ctx, line.DialRequest{Number: b.number})
		b.wants("dial on a busy line", err, line.ErrBusy)
	}
	b.fromHost([]byte("still there"))
}

func caseManyCalls(b *bench) {
	for i := range 4 {
		call := b.connect()
		data := bytes.Repeat([]byte{byte('a' + i)}, 100)
		b.toHost(data)
		b.fromHost(data)
		if i%2 == 0 {
			b.must("hang up", b.line.Hangup(b.ctx, call))
		} else {
			b.must("far end hangs up", b.far.HangUp(b.ctx))
		}
		l := expect[line.Lost](b)
		if l.Counters.RxOctets != 100 || l.Counters.TxOctets != 100 {
			b.Errorf("counters %+v", l.Counters)
		}
		b.idle()
	}
}

func caseShutdownRinging(b *bench) {
	b.ring(Caller{Number: "5551234"})
	b.must("shutdown", b.line.Shutdown(b.ctx))
	if r := expect[line.RingingStopped](b); r.Cause.Code != line.CauseShutdown {
		b.Errorf("cause %v", r.Cause)
	}
	b.must("give up", b.far.GiveUp(b.ctx))
}

func caseShutdownConnected(b *bench) {
	b.connect()
	read := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(b.line)
		read <- err
	}()
	b.must("shutdown", b.line.Shutdown(b.ctx))
	if err := <-read; err != nil {
		b.wants("blocked read", err, line.ErrClosed)
	}
	if l := expect[line.Lost](b); l.Cause.Code != line.CauseShutdown {
		b.Errorf("cause %v", l.Cause)
	}
	b.must("far end released", b.far.Released(b.ctx))
}

func (b *bench) dial(outcome Outcome) line.Call {
	b.Helper()
	b.must("plan", b.far.Plan(b.ctx, outcome))
	call, err := b.line.Dial(b.ctx, line.DialRequest{Number: b.number})
	b.must("dial", err)
	if d := expect[line.Dialing](b); d.Number != b.number || b.status.Call != call || call == 0 {
		b.Errorf("dialing %+v, call %d, command returned %d", d, b.status.Call, call)
	}
	return call
}

func caseDial(b *bench) {
	call := b.dial(OutcomeConnect)
	number, err := b.far.Dialed(b.ctx)
	b.must("dialed", err)
	if number != b.number {
		b.Errorf("dialed %q instead of %q", number, b.number)
	}
	expect[line.Connected](b)
	b.must("far end connected", b.far.Connected(b.ctx))
	b.fromHost(allOctets())
	b.toHost(allOctets())
	b.must("hang up", b.line.Hangup(b.ctx, call))
	expect[line.Lost](b)
	b.must("far end released", b.far.Released(b.ctx))
	b.idle()
	if b.caps.Answer {
		b.connect()
	}
}

func failing(outcome Outcome, cause line.CauseCode) func(*bench) {
	return func(b *bench) {
		b.dial(outcome)
		if f := expect[line.DialFailed](b); f.Cause.Code != cause {
			b.Errorf("cause %v instead of %v", f.Cause, cause)
		}
		b.idle()
		if b.caps.Answer {
			b.connect()
		}
	}
}

func caseDialGivenUp(b *bench) {
	call := b.dial(OutcomeUnanswered)
	_, err := b.far.Dialed(b.ctx)
	b.must("dialed", err)
	b.must("hang up", b.line.Hangup(b.ctx, call))
	if f := expect[line.DialFailed](b); f.Cause.Code != line.CauseHangup {
		b.Errorf("cause %v", f.Cause)
	}
	b.idle()
}

func caseDialRefused(b *bench) {
	for _, number := range []string{"", "555\r0100", "555\x00", strings.Repeat("5", 500)} {
		_, err := b.line.Dial(b.ctx, line.DialRequest{Number: number})
		b.wants("dial "+number, err, line.ErrInvalid)
	}
	b.dial(OutcomeConnect)
	_, err := b.line.Dial(b.ctx, line.DialRequest{Number: b.number})
	b.wants("dial twice", err, line.ErrBusy)
}
