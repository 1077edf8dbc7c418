package isdn

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"trunkline.example/modem"
	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
	"trunkline.example/modem/port/porttest"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// manual is what the maker of an adapter says of it.
type manual struct {
	says   string   // to ATI
	knows  []string // beginnings of commands without AT
	rings  []string // lines of each ring
	answer string   // instead of CONNECT
	fails  map[linetest.Outcome]string
}

// adapter is a terminal adapter on a serial port in memory. It knows the commands that begin as its manual says, and refuses all others. It
// implements linetest.FarEnd.
type adapter struct {
	manual
	device *porttest.Device
	linetest.Notice
	seen     []string
	dialed   []string
	outcome  linetest.Outcome
	ringing  bool
	data     bool
	off      bool // hook
	received []byte
}

// run plays the adapter until the test ends.
func (a *adapter) run(t *testing.T) {
	a.device = porttest.NewDevice(false)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	running.Go(func() { a.listen(ctx) })
	running.Go(func() { a.ringFor(ctx) })
}

// listen takes commands and data; when DTR drops it hangs up.
func (a *adapter) listen(ctx context.Context) {
	var command []byte
	for {
		low := func(s porttest.State) bool { return a.isOff() && (!s.Open || !s.DTR) }
		got, err := a.device.Receive(ctx, low)
		if err != nil {
			return
		}
		if len(got) == 0 {
			a.Step(a.hangUp)
			continue
		}
		if a.isData() {
			a.Step(func() { a.received = append(a.received, got...) })
			continue
		}
		for _, c := range got {
			if c != '\r' {
				command = append(command, c)
				continue
			}
			text := strings.TrimSpace(string(command))
			command = nil
			if reply := a.obey(text); reply != "" {
				_ = a.device.Send(ctx, []byte("\r\n"+reply+"\r\n"))
			}
		}
	}
}

func (a *adapter) isData() bool { a.Lock(); defer a.Unlock(); return a.data }
func (a *adapter) isOff() bool  { a.Lock(); defer a.Unlock(); return a.off }

func (a *adapter) hangUp() {
	a.data, a.off = false, false
	a.device.SetLines(port.Lines{CTS: true, DSR: true})
}

// ringFor says the rings of a call every five seconds.
func (a *adapter) ringFor(ctx context.Context) {
	for {
		if a.Await(ctx, func() bool { return a.ringing }) != nil || ctx.Err() != nil {
			return
		}
		_ = a.device.Send(ctx, []byte("\r\n"+strings.Join(a.rings, "\r\n\r\n")+"\r\n"))
		pause, cancel := context.WithTimeout(ctx, 5*time.Second)
		_ = a.Await(pause, func() bool { return !a.ringing })
		cancel()
	}
}

// obey carries a command line out and returns what is said.
func (a *adapter) obey(text string) (reply string) {
	body, ok := strings.CutPrefix(strings.ToUpper(text), "AT")
	if !ok {
		return ""
	}
	a.Step(func() {
		a.seen = append(a.seen, body)
		reply = a.reply(body)
	})
	return reply
}

func (a *adapter) reply(body string) string {
	switch {
	case body == "":
		return "OK"
	case body == "I":
		return a.says + "\r\n\r\nOK"
	case body == "A" && a.ringing:
		a.ringing = false
		a.connect()
		return a.answer
	case strings.HasPrefix(body, "D"):
		a.dialed = append(a.dialed, strings.TrimPrefix(body, "D"))
		if text, ok := a.fails[a.outcome]; ok && a.outcome != linetest.OutcomeConnect {
			return text
		}
		a.connect()
		return a.answer
	case body == "H":
		a.hangUp()
		return "OK"
	case body == "H1" && a.ringing:
		a.ringing = false
		return "OK"
	}
	for _, part := range at.Split("AT" + body) {
		if !slices.ContainsFunc(append([]string{"E", "V", "Q", "X", "&C", "&D", "&F", "S0=", "S2=", "S7="}, a.knows...), func(k string) bool { return strings.HasPrefix(part[2:], k) }) {
			return "ERROR"
		}
	}
	return "OK"
}

func (a *adapter) connect() {
	a.data, a.off, a.received = true, true, nil
	a.device.SetLines(port.Lines{CTS: true, DSR: true, DCD: true})
}

func (a *adapter) Ring(ctx context.Context, _ linetest.Caller) error {
	err := a.Await(ctx, func() bool { return !a.off && !a.ringing })
	a.Step(func() { a.ringing = true })
	return err
}

func (a *adapter) GiveUp(context.Context) error {
	a.Step(func() { a.ringing = false })
	return nil
}

func (a *adapter) Plan(_ context.Context, outcome linetest.Outcome) error {
	a.Step(func() { a.outcome = outcome })
	return nil
}

func (a *adapter) Dialed(ctx context.Context) (string, error) { return a.Shift(ctx, &a.dialed) }

func (a *adapter) Connected(ctx context.Context) error {
	return a.Await(ctx, func() bool { return a.data })
}

func (a *adapter) Send(ctx context.Context, data []byte) error { return a.device.Send(ctx, data) }

func (a *adapter) Receive(ctx context.Context, n int) ([]byte, error) {
	return a.Take(ctx, &a.received, n)
}

func (a *adapter) HangUp(ctx context.Context) error {
	a.Step(a.hangUp)
	return a.device.Send(ctx, []byte("\r\nNO CARRIER\r\n"))
}

func (a *adapter) Released(ctx context.Context) error {
	return a.Await(ctx, func() bool { return !a.off })
}

// bench is a line of the driver on such an adapter.
type bench struct {
	*testing.T
	*adapter
	line   line.Line
	status line.Status
}

func open(t *testing.T, m manual, keys string) *bench {
	t.Helper()
	a := &adapter{manual: m}
	a.run(t)
	d := New(modem.Options{Logger: zaptest.NewLogger(t), Open: a.device.Open})
	lines, err := d.Open(t.Context(), section(keys))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, adapter: a, line: lines[0]}
	b.until(line.StateIdle)
	return b
}

func section(keys string) line.Section {
	return line.Section{Name: "isdn", Text: []byte(keys + "\n[[line]]\nname = \"b1\"\ndevice = \"/dev/ttyS9\"\n")}
}

// until folds events until the line is in a state.
func (b *bench) until(state line.State) {
	b.Helper()
	for b.status.State != state {
		if err := b.status.Apply(<-b.line.Events()); err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// done shuts the line down.
func (b *bench) done() {
	b.Helper()
	b.must(b.line.Shutdown(b.Context()))
	for range b.line.Events() {
	}
}

// did says whether the adapter was given a command.
func (a *adapter) did(command string) bool {
	a.Lock()
	defer a.Unlock()
	return slices.Contains(a.seen, command)
}
