package modem_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest"
	"go.uber.org/zap/zaptest/observer"

	"trunkline.example/modem"
	"trunkline.example/modem/exchange"
	"trunkline.example/modem/exchange/plan"
	"trunkline.example/shared/line"
)

// subscriber is one line of an exchange with the driver on it.
type subscriber struct {
	*testing.T
	line.Line
	status line.Status
}

// subscribers starts an exchange and opens a line of it for each name.
func subscribers(t *testing.T, names ...string) (*exchange.Exchange, []*subscriber) {
	dir := t.TempDir()
	c := exchange.Lab(dir, 1, 1)
	c.Office.Timing = plan.Timing{Setup: 20 * time.Millisecond, RingEvery: time.Second, Intercept: 300 * time.Millisecond}
	c.Office.Training.Time = 50 * time.Millisecond
	e, err := exchange.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-e.Ready()
	text := "command_gap = \"0s\"\ncommand_timeout = \"10s\"\nreset_pause = \"0s\"\nring_timeout = \"3s\"\ncaller_id_wait = \"2s\"\nanswer_timeout = \"3s\"\n"
	for _, name := range names {
		text += fmt.Sprintf("[[line]]\nname = %q\ndevice = %q\n", name, dir+"/"+name)
	}
	core, logs := observer.New(zap.DebugLevel)
	log := zaptest.NewLogger(t, zaptest.WrapOptions(zap.Development(), zap.WrapCore(func(c zapcore.Core) zapcore.Core { return zapcore.NewTee(c, core) })))
	lines, err := modem.New(modem.Options{Logger: log}).Open(t.Context(), line.Section{Text: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	var all []*subscriber
	for _, l := range lines {
		s := &subscriber{T: t, Line: l}
		t.Cleanup(func() {
			if err := s.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		expect[line.Up](s)
		all = append(all, s)
	}
	// The exchange's modems see speed 0 on a pseudo-terminal, and are proved to.
	for _, entry := range logs.FilterMessage("modem obeys").All() {
		if way := entry.ContextMap()["way"]; way != "B0" {
			t.Errorf("a modem of the exchange hangs up by %v", way)
		}
	}
	if n := logs.FilterMessage("modem obeys").Len(); n != len(names) {
		t.Errorf("%d of %d modems are proved to hang up", n, len(names))
	}
	return e, all
}

// expect returns the next event of the life of a line, which must be a T.
func expect[T line.Body](s *subscriber) T {
	s.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		select {
		case e := <-s.Events():
			if err := s.status.Apply(e); err != nil {
				s.Fatal(err)
			}
			if body, ok := e.Body.(T); ok {
				return body
			}
			if !e.Body.Kind().Droppable() {
				var want T
				s.Fatalf("%s: event %v %+v instead of %v", s.Identity().Name, e.Body.Kind(), e.Body, want.Kind())
			}
		case <-limit.C:
			s.Fatalf("%s: nothing happens in state %v", s.Identity().Name, s.status.State)
		}
	}
}

func (s *subscriber) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *subscriber) dial(number string) {
	s.Helper()
	_, err := s.Dial(s.Context(), line.DialRequest{Number: number})
	s.must(err)
	expect[line.Dialing](s)
}

// call brings a call up between two lines.
func call(from, to *subscriber, number string) {
	from.Helper()
	from.dial(number)
	if r := expect[line.Ringing](to); r.Dialing != "2001" {
		from.Errorf("%+v", r)
	}
	to.must(to.Answer(to.Context(), to.status.Call))
	expect[line.Answering](to)
	for _, c := range []line.Connected{expect[line.Connected](to), expect[line.Connected](from)} {
		if c.RxSpeed != exchangeSpeed || c.TxSpeed != exchangeSpeed || !c.SpeedKnown {
			from.Errorf("%+v", c)
		}
	}
}

const exchangeSpeed = 33600

// carry sends every octet from one line to the other.
func carry(from, to *subscriber) {
	from.Helper()
	want := make([]byte, 1024)
	for i := range want {
		want[i] = byte(i + i/256)
	}
	written := make(chan error, 1)
	go func() {
		_, err := from.Write(want)
		written <- err
	}()
	got := make([]byte, len(want))
	_, err := io.ReadFull(to, got)
	from.must(err)
	from.must(<-written)
	if string(got) != string(want) {
		from.Errorf("data differ between %s and %s", from.Identity().Name, to.Identity().Name)
	}
}

// ended waits until the call is over at both ends and both lines are free.
func ended(lines ...*subscriber) {
	for _, s := range lines {
		s.Helper()
		expect[line.Lost](s)
		if _, err := io.ReadAll(s); err != nil {
			s.Error(err)
		}
	}
	for _, s := range lines {
		expect[line.Idle](s)
	}
}

func TestCallsThroughTheExchange(t *testing.T) {
	_, lines := subscribers(t, "line1", "phone1")
	answering, phone := lines[0], lines[1]
	for i, number := range []string{"1001", "1000", "1001"} { // the line and its hunt group
		call(phone, answering, number)
		carry(phone, answering)
		carry(answering, phone)
		side := lines[i%2]
		side.must(side.Hangup(t.Context(), side.status.Call))
		ended(answering, phone)
	}
}

func TestFailuresOfTheExchange(t *testing.T) {
	e, lines := subscribers(t, "line1", "phone1")
	answering, phone := lines[0], lines[1]
	failed := func(number string, codes ...line.CauseCode) {
		t.Helper()
		phone.dial(number)
		f := expect[line.DialFailed](phone)
		ok := false
		for _, c := range codes {
			ok = ok || f.Cause.Code == c
		}
		if !ok {
			t.Errorf("%s: %v", number, f.Cause)
		}
		expect[line.Idle](phone)
	}
	failed("3001", line.CauseBusy)
	failed("9999", line.CauseNoCarrier)
	failed("3002", line.CauseNoAnswer, line.CauseNoCarrier)
	phone.must(e.SetFault("phone1", plan.FaultDead))
	failed("1001", line.CauseNoDialtone)
	phone.must(e.SetFault("phone1", plan.FaultNone))

	phone.dial("1001") // the caller gives up
	expect[line.Ringing](answering)
	phone.must(phone.Hangup(t.Context(), phone.status.Call))
	if s := expect[line.RingingStopped](answering); s.Cause.Code != line.CauseCallerGaveUp {
		t.Errorf("%+v", s)
	}
	expect[line.Idle](answering)
	expect[line.DialFailed](phone)
	expect[line.Idle](phone)

	call(phone, answering, "1001") // the wire is cut
	phone.must(e.Cut("phone1"))
	ended(answering, phone)

	call(phone, answering, "1001") // the modem is unplugged and comes back
	phone.must(e.Unplug("line1"))
	ended(answering, phone)
	call(phone, answering, "1001")
}
