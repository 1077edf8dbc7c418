package linetest

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"trunkline.example/shared/line"
)

// FakeBuffer is how many octets a fake line holds in each direction before it
// exerts back-pressure.
const FakeBuffer = 4096

// Fake is an in-memory driver: lines without devices, with their far ends in
// the hands of the test. It is safe for concurrent use, has no goroutines and
// works in a synctest bubble. It keeps the whole contract.
type Fake struct {
	info  line.Info
	lines []*FakeLine
}

// NewFake returns a driver whose every section opens the lines with these
// identities. Zero fields are filled in: channel numbers from 1, analog,
// asynchronous.
func NewFake(identities ...line.Identity) *Fake {
	f := &Fake{info: line.Info{Name: "fake", Version: "1", Contract: line.ContractVersion, Capabilities: line.Capabilities{
		Answer: true, Reject: true, Dial: true, CallerNumber: true, CalledNumber: true, Counters: true, Service: true, Recover: true,
		Bearers: line.BearerAnalog, Framings: line.FramingAsync}}}
	for i, id := range identities {
		if id.Name == "" {
			id.Name = fmt.Sprintf("line%d", i+1)
		}
		if id.PhysicalChannel == 0 {
			id.PhysicalChannel = uint32(i + 1)
		}
		if id.Bearers == 0 {
			id.Bearers = line.BearerAnalog
		}
		if id.Framings == 0 {
			id.Framings = line.FramingAsync
		}
		f.lines = append(f.lines, newFakeLine(id))
	}
	return f
}

// SetCapabilities replaces what the driver claims; the lines still do it all.
func (f *Fake) SetCapabilities(c line.Capabilities) { f.info.Capabilities = c }

// Info implements line.Driver.
func (f *Fake) Info() line.Info { return f.info }

// Open implements line.Driver: it brings up every line.
func (f *Fake) Open(ctx context.Context, _ line.Section) ([]line.Line, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := make([]line.Line, len(f.lines))
	for i, l := range f.lines {
		l.Restore()
		all[i] = l
	}
	return all, nil
}

// Lines returns the lines with their far ends.
func (f *Fake) Lines() []*FakeLine { return f.lines }

// FakeLine is one line of Fake and its FarEnd in one.
type FakeLine struct {
	identity line.Identity

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced whenever anything below changes
	queue     *line.Queue
	status    line.Status
	sequence  line.Call
	toHost    []byte
	toFar     []byte
	readable  bool // a call has been connected since the last Answer or Dial
	farUp     bool // the far end is connected
	held      bool // Idle waits for Release
	outcome   Outcome
	dialed    []string
	connected line.Connected
	training  bool       // answered calls are not connected yet
	failing   line.Cause // of the next answers; zero: they connect
	rejected  line.Cause
	counters  line.Counters
	announced bool
	report    string
}

func newFakeLine(id line.Identity) *FakeLine {
	return &FakeLine{identity: id, changed: make(chan struct{}), queue: line.NewQueue(), connected: line.Connected{
		RxSpeed: 31200, TxSpeed: 33600, SpeedKnown: true, DTESpeed: 115200, Bearer: line.BearerAnalog, Framing: line.FramingAsync,
		Modulation: "V.34", ErrorControl: "LAPM", Compression: "none", Raw: "CONNECT 33600"}}
}

// SetConnected sets what the next connections report.
func (l *FakeLine) SetConnected(c line.Connected) { l.change(func() { l.connected = c }) }

// FailAnswers makes the next answered calls end as Lost with this cause; the
// zero cause lets them connect again.
func (l *FakeLine) FailAnswers(cause line.Cause) { l.change(func() { l.failing = cause }) }

// Train has calls that are answered train on, until it is told to stop that:
// they are connected then.
func (l *FakeLine) Train(on bool) {
	l.change(func() {
		if l.training = on; !on && l.status.State == line.StateAnswering {
			l.connect()
		}
	})
}

// Hold keeps the line releasing after a call until Release.
func (l *FakeLine) Hold() { l.change(func() { l.held = true }) }

// Release ends Hold.
func (l *FakeLine) Release() {
	l.change(func() {
		l.held = false
		l.idle()
	})
}

// Fail breaks the line: its call is lost and it goes down.
func (l *FakeLine) Fail(cause line.Cause) {
	l.change(func() {
		if l.status.State == line.StateClosed || l.status.State == line.StateDown {
			return
		}
		held := l.held
		l.held = true
		l.end(cause)
		l.held = held
		l.send(0, line.Down{Cause: cause})
	})
}

// SetReport sets what the line says of each call when it is idle again, and whether it announces that.
func (l *FakeLine) SetReport(text string, announced bool) {
	l.change(func() { l.report, l.announced = text, announced })
}

// EndCall has the network end whatever call there is, for this cause.
func (l *FakeLine) EndCall(cause line.Cause) { l.change(func() { l.end(cause) }) }

// Restore brings a broken line up again.
func (l *FakeLine) Restore() {
	l.change(func() {
		if l.status.State == line.StateDown {
			l.send(0, line.Up{Equipment: "fake"})
		}
	})
}

// CountErrors adds to the counters of the call and reports them.
func (l *FakeLine) CountErrors(add line.Counters) {
	l.change(func() {
		l.counters.FramingErrors += add.FramingErrors
		l.counters.ParityErrors += add.ParityErrors
		l.counters.HardwareOverruns += add.HardwareOverruns
		l.counters.BufferOverruns += add.BufferOverruns
		l.counters.Breaks += add.Breaks
		l.counters.Stalls += add.Stalls
		if l.status.State == line.StateConnected {
			l.send(l.status.Call, line.CountersChanged{Counters: l.counters})
		}
	})
}

// Rejection returns the cause of the last Reject.
func (l *FakeLine) Rejection() line.Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rejected
}

// Status returns how the line stands.
func (l *FakeLine) Status() line.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *FakeLine) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.announce()
}

func (l *FakeLine) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// await waits until ready, which is called under the lock, says so.
func (l *FakeLine) await(ctx context.Context, ready func() bool) error {
	for {
		l.mu.Lock()
		if ready() {
			l.announce()
			l.mu.Unlock()
			return nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("fake line in state %v: %w", l.Status().State, ctx.Err())
		}
	}
}

func (l *FakeLine) send(call line.Call, body line.Body) {
	before := l.queue.Dropped()
	e := line.Event{Sequence: l.status.Sequence + 1, At: time.Now(), Call: call, Body: body}
	if err := l.status.Apply(e); err != nil {
		panic(err) // a fault of the fake itself
	}
	l.queue.Send(e.At, call, body)
	if l.queue.Dropped() != before && !body.Kind().Droppable() {
		panic("linetest: event dropped: " + body.Kind().String())
	}
}

// end ends whatever call there is and frees the line.
func (l *FakeLine) end(cause line.Cause) {
	switch l.status.State {
	case line.StateRinging:
		if cause.Code == line.CauseHangup {
			cause.Code = line.CauseRejected
		}
		l.send(l.status.Call, line.RingingStopped{Cause: cause})
	case line.StateDialing:
		l.send(l.status.Call, line.DialFailed{Cause: cause})
	case line.StateAnswering, line.StateConnected:
		l.send(l.status.Call, line.Lost{Cause: cause, Counters: l.counters, Report: l.announced})
	default:
		return
	}
	l.farUp = false
	l.toFar = nil
	l.idle()
}

func (l *FakeLine) idle() {
	if l.status.State == line.StateReleasing && !l.held {
		l.send(l.status.Call, line.Idle{Report: l.report})
	}
}

func (l *FakeLine) connect() {
	c := l.connected
	l.send(l.status.Call, c)
	l.readable, l.farUp = true, true
}

func (l *FakeLine) begin() {
	l.toHost, l.toFar, l.counters, l.readable = nil, nil, line.Counters{}, false
}

var errFakeBusy = fmt.Errorf("fake line: %w", line.ErrBusy)

// fakeNumber says whether a number can be dialed.
func fakeNumber(number string) bool {
	return number != "" && len(number) <= 60 && strings.Trim(number, "0123456789*#,WPT@+-() ") == ""
}

var _ io.ReadWriter = (*FakeLine)(nil)
