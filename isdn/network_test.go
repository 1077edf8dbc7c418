package isdn

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline.example/modem"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/plan"
	"trunkline.example/modem/port"
	"trunkline.example/modem/port/porttest"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// The lines of a network: the driver's, and that of the far end.
const (
	own = iota
	far
)

// The numbers of the two lines.
const (
	ownNumber = "5550100"
	farNumber = "5551234"
)

// faults are those of the two lines that have a call end as it should.
var faults = map[linetest.Outcome]struct{ own, far plan.Fault }{
	linetest.OutcomeBusy:       {far: plan.FaultBusyOut},
	linetest.OutcomeNoCarrier:  {far: plan.FaultDead},
	linetest.OutcomeNoDialtone: {own: plan.FaultDead},
}

// network is the lab's telephone exchange with virtual adapters on two lines. One has the driver's port in memory; at the other a client types commands,
// which is the far end: it implements linetest.FarEnd.
type network struct {
	device  *porttest.Device
	virtual bool
	seen    porttest.State // of the device
	to      chan []byte    // octets for it, while none are on their way
	writing bool
	drop    bool // the driver is to be hung up

	linetest.Notice
	o       *office.Office
	wake    chan struct{}
	answers bool   // the far end answers what rings
	rang    bool   // and has been told to
	said    []byte // by the far adapter
	data    int    // where the data begin in said; 0: there is no call
	dialed  string // by the driver's
}

// newNetwork starts a network. virtual: the driver's port is like a pseudo-terminal.
func newNetwork(t *testing.T, dialect hayes.Adapter, virtual bool, setup string) *network {
	t.Helper()
	cfg := office.Config{
		Lines:  []office.Line{{Name: "own", Number: ownNumber}, {Name: "far", Number: farNumber}},
		Timing: plan.Timing{RingLimit: 20 * time.Second},
	}
	for i := range cfg.Lines {
		cfg.Lines[i].Modem.Adapter, cfg.Lines[i].Modem.Strict = dialect, true
	}
	o, err := office.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{device: porttest.NewDevice(virtual), virtual: virtual, o: o, to: make(chan []byte), wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.run(ctx) })
	running.Go(func() { n.receive(ctx) })
	running.Go(func() { n.send(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	n.step(func(now time.Time) { o.Attach(now, far, 115200) })
	if err := n.types(t.Context(), "ATE0S2=255S7=255"+setup); err != nil {
		t.Fatal(err)
	}
	return n
}

// step does something in the office and what follows from it.
func (n *network) step(f func(now time.Time)) {
	n.Notice.Step(func() {
		now := time.Now()
		f(now)
		n.o.Tick(now)
		n.settle(now)
	})
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// settle takes what the office gives.
func (n *network) settle(now time.Time) {
	buffer := make([]byte, 512)
	for got := 1; got > 0; {
		got = n.o.Output(now, far, buffer)
		n.said = append(n.said, buffer[:got]...)
	}
	if at := strings.Index(string(n.said), "CONNECT"); n.data == 0 && at >= 0 {
		if end := strings.Index(string(n.said[at:]), "\r\n"); end > 0 {
			n.data = at + end + 2
		}
	}
	if n.data == 0 && n.answers && !n.rang && strings.Contains(string(n.said), "RING") {
		n.rang = true
		n.o.Input(now, far, []byte("ATA\r"))
	}
	for _, a := range n.o.Actions() {
		switch a := a.(type) {
		case office.CallRinging:
			if a.Caller == own {
				n.dialed = a.Dialed
			}
		case office.DropClient:
			n.drop = n.drop || a.Line == own && n.virtual // the driver of a serial port sees DCD fall
		}
	}
	if n.drop && !n.writing && n.o.OutputWaiting(own) == 0 { // it has read the last words
		n.drop = false
		n.device.HangUp(false)
	}
	s := n.o.Signals(own)
	n.device.SetLines(port.Lines{CTS: s.CTS, DSR: s.DSR, DCD: s.DCD, RI: s.RI})
}

// run is the network's clock, and gives the device octets when it takes some.
func (n *network) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var octets []byte
		n.step(func(now time.Time) {
			if !n.writing {
				octets = make([]byte, 512)
				octets = octets[:n.o.Output(now, own, octets)]
				n.writing = len(octets) > 0
			}
		})
		<-n.wake // our own
		if len(octets) > 0 {
			n.to <- octets
		}
		n.Lock()
		next := n.o.Deadline()
		for _, i := range []int{own, far} {
			if at := n.o.OutputAt(i); !at.IsZero() && (i == far || !n.writing) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
		n.Unlock()
		timer.Reset(time.Hour)
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-timer.C:
		case <-n.wake:
		case <-ctx.Done():
			close(n.to)
			return
		}
	}
}

// send gives the device its octets.
func (n *network) send(ctx context.Context) {
	for octets := range n.to {
		_ = n.device.Send(ctx, octets)
		n.step(func(time.Time) { n.writing = false })
	}
}

// receive takes what the driver sends, and follows what it does with the port.
func (n *network) receive(ctx context.Context) {
	for {
		got, err := n.device.Receive(ctx, func(s porttest.State) bool { return s != n.seen })
		if err != nil {
			return
		}
		for len(got) > 0 && n.Await(ctx, func() bool { return n.o.Room(own) > 0 }) == nil {
			n.step(func(now time.Time) { got = got[n.o.Input(now, own, got):] })
		}
		n.step(func(now time.Time) { n.follow(now, n.device.State()) })
	}
}

// follow tells the office what the driver has done with its port.
func (n *network) follow(now time.Time, s porttest.State) {
	if n.seen.Open && (!s.Open || s.Opened != n.seen.Opened) {
		n.o.Detach(now, own)
	}
	if s.Open && (!n.seen.Open || s.Opened != n.seen.Opened) {
		n.o.Attach(now, own, s.Speed)
	}
	if s.Open {
		speed := s.Speed
		if !s.DTR {
			speed = 0
		}
		n.o.SetSerial(now, own, speed)
	}
	n.seen = s
}

// types gives the far adapter a command and waits for its OK.
func (n *network) types(ctx context.Context, command string) error {
	n.step(func(now time.Time) {
		n.said = nil
		n.o.Input(now, far, []byte(command+"\r"))
	})
	return n.Await(ctx, func() bool { return strings.HasSuffix(string(n.said), "OK\r\n") })
}

// status is one line's as the exchange shows it; under mu.
func (n *network) status(line int) office.LineStatus { return n.o.Status(time.Now()).Lines[line] }

// quiet waits until neither line has a call.
func (n *network) quiet(ctx context.Context) error {
	return n.Await(ctx, func() bool {
		for _, i := range []int{own, far} {
			if s := n.status(i); s.Line != "idle" || s.Modem != "command" {
				return false
			}
		}
		return true
	})
}

// prepare makes the lines as an outcome wants them.
func (n *network) prepare(outcome linetest.Outcome) {
	n.step(func(now time.Time) {
		n.answers, n.rang, n.data, n.said, n.dialed = outcome == linetest.OutcomeConnect, false, 0, nil, ""
		for i, f := range []plan.Fault{own: faults[outcome].own, far: faults[outcome].far} {
			n.o.SetFault(now, i, f)
		}
	})
}

func (n *network) Ring(ctx context.Context, from linetest.Caller) error {
	if from.Dialed != "" && from.Dialed != ownNumber {
		return errors.New("the line has one number only")
	}
	if err := n.quiet(ctx); err != nil {
		return err
	}
	n.prepare(linetest.OutcomeConnect)
	n.step(func(now time.Time) { n.o.Input(now, far, []byte("ATD"+ownNumber+"\r")) })
	return n.Await(ctx, func() bool { return n.status(own).Line == "ringing" })
}

func (n *network) GiveUp(ctx context.Context) error {
	n.step(func(now time.Time) { n.o.Input(now, far, []byte("\r")) })
	return n.Released(ctx)
}

func (n *network) Plan(ctx context.Context, outcome linetest.Outcome) error {
	err := n.quiet(ctx)
	n.prepare(outcome)
	return err
}

func (n *network) Dialed(ctx context.Context) (string, error) {
	err := n.Await(ctx, func() bool { return n.dialed != "" })
	return n.dialed, err
}

func (n *network) Connected(ctx context.Context) error {
	return n.Await(ctx, func() bool { return n.data > 0 })
}

func (n *network) Send(ctx context.Context, data []byte) error {
	for len(data) > 0 {
		if err := n.Await(ctx, func() bool { return n.o.Room(far) > 0 }); err != nil {
			return err
		}
		n.step(func(now time.Time) { data = data[n.o.Input(now, far, data):] })
	}
	return nil
}

func (n *network) Receive(ctx context.Context, size int) (got []byte, err error) {
	err = n.Await(ctx, func() bool {
		if n.data == 0 || len(n.said) < n.data+size {
			return false
		}
		got = append(got, n.said[n.data:n.data+size]...)
		n.data += size
		return true
	})
	return got, err
}

func (n *network) HangUp(context.Context) error {
	n.step(func(now time.Time) {
		n.o.Detach(now, far)
		n.o.Attach(now, far, 115200)
	})
	return nil
}

func (n *network) Released(ctx context.Context) error {
	return n.Await(ctx, func() bool { s := n.status(far); return s.Modem == "command" && s.Line == "idle" })
}

// onNetworks runs a test on networks of both dialects, on ports with and without modem lines.
func onNetworks(t *testing.T, name string, test func(t *testing.T, network func(t *testing.T) *network)) {
	for _, dialect := range []struct {
		name    string
		adapter hayes.Adapter
		setup   string // of the far adapter
	}{{"elsa", hayes.ELSA, "S153=6$IBP=X75"}, {"isdn4linux", hayes.ISDN4Linux, "S14=0"}} {
		for port, virtual := range map[string]bool{"serial port": false, "pseudo-terminal": true} {
			t.Run(dialect.name+"/"+port+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					test(t, func(t *testing.T) *network { return newNetwork(t, dialect.adapter, virtual, dialect.setup) })
				})
			})
		}
	}
}

// driver is the driver on the network's device.
func (n *network) driver(t *testing.T) *modem.Driver {
	return New(modem.Options{Logger: zaptest.NewLogger(t, zaptest.WrapOptions(zap.Development())), Open: n.device.Open})
}

// The driver keeps the contract of a line on the lab's virtual adapters.
func TestConformanceOnTheExchange(t *testing.T) {
	for _, c := range linetest.Cases() {
		onNetworks(t, c.Name, func(t *testing.T, network func(t *testing.T) *network) {
			c.Run(t, func(t *testing.T) linetest.Fixture {
				n := network(t)
				return linetest.Fixture{Driver: n.driver(t), Section: section(`protocol = "x75"`), Far: n, Number: farNumber}
			})
		})
	}
}

// Why a call has ended is told as the network tells it.
func TestCauseOfTheEnd(t *testing.T) {
	onNetworks(t, "hang-up there", func(t *testing.T, network func(t *testing.T) *network) {
		n := network(t)
		lines, err := n.driver(t).Open(t.Context(), section(`protocol = "x75"`))
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{T: t, line: lines[0]}
		b.until(line.StateIdle)
		b.must(n.Ring(t.Context(), linetest.Caller{}))
		b.until(line.StateRinging)
		b.must(b.line.Answer(t.Context(), b.status.Call))
		b.until(line.StateConnected)
		b.must(n.Connected(t.Context()))
		b.must(n.HangUp(t.Context()))
		b.until(line.StateReleasing)
		if c := b.status.Cause; c.Code != line.CauseCarrierLost || c.Q850 != 16 {
			t.Errorf("the call ended by %+v", c)
		}
		b.done()
	})
}
