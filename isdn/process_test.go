package isdn

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline.example/modem"
	"trunkline.example/modem/exchange"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/plan"
	"trunkline.example/plugins/lineplugin"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// serveArgument makes the test binary the process of a driver.
const serveArgument = "serve-isdn-driver"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == serveArgument {
		lineplugin.Serve(New(modem.Options{Logger: lineplugin.ChildLogger()}))
		return
	}
	goleak.VerifyTestMain(m)
}

// terminals is the lab's telephone exchange with virtual adapters on two lines, in real time. The driver opens the pseudo-terminal of one; the client at
// the other is the far end: it implements linetest.FarEnd.
type terminals struct {
	exchange *exchange.Exchange
	clients  sync.WaitGroup

	linetest.Notice
	conn    net.Conn      // of the far adapter's client
	served  chan struct{} // closed when the exchange has let go of it
	answers bool          // it answers what rings
	rang    bool          // and has been told to
	said    []byte        // by the far adapter
	data    int           // where the data begin in said; 0: there is no call
}

// mostSaid is how much of what nobody fetches is kept.
const mostSaid = 1 << 20

// onTerminals starts an exchange; section opens the driver's line of it.
func onTerminals(t *testing.T, dialect hayes.Adapter, setup string) (far *terminals, opens line.Section) {
	t.Helper()
	ports := map[string]exchange.PortConfig{"own": {NoSocket: true}, "far": {NoSocket: true, NoTerminal: true, Carrier: exchange.CarrierText}}
	cfg := exchange.Config{Dir: t.TempDir(), Ports: ports, Office: office.Config{
		Lines:  []office.Line{{Name: "own", Number: ownNumber}, {Name: "far", Number: farNumber}},
		Timing: plan.Timing{Setup: 10 * time.Millisecond, RingEvery: time.Second, RingLimit: 6 * time.Second, Intercept: 50 * time.Millisecond, NoDialTone: 50 * time.Millisecond},
	}}
	for i := range cfg.Office.Lines {
		m := &cfg.Office.Lines[i].Modem
		m.Adapter, m.Strict, m.Unpaced = dialect, true, true
	}
	e, err := exchange.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	x := &terminals{exchange: e}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		x.Lock()
		_ = x.conn.Close()
		x.Unlock()
		x.clients.Wait()
	})
	<-e.Ready()
	x.attach()
	if err := x.types("ATE0S2=255S7=255" + setup); err != nil {
		t.Fatal(err)
	}
	if err := x.Await(t.Context(), func() bool { return strings.HasSuffix(string(x.said), "OK\r\n") }); err != nil {
		t.Fatal(err)
	}
	keys := "protocol = \"x75\"\ncommand_gap = \"0s\"\nreset_pause = \"0s\"\ndtr_low = \"50ms\"\nring_timeout = \"3s\"\ncaller_id_wait = \"500ms\"\n"
	text := keys + "[[line]]\nname = \"b1\"\ndevice = \"" + filepath.Join(cfg.Dir, "own") + "\"\n"
	return x, line.Section{Name: "isdn", Text: []byte(text)}
}

// attach gives the far adapter a client.
func (x *terminals) attach() {
	ours, theirs := net.Pipe()
	served := make(chan struct{})
	x.Step(func() { x.conn, x.served = ours, served })
	x.clients.Go(func() {
		defer close(served)
		_ = x.exchange.Serve("far", theirs) // its end is the client's
	})
	x.clients.Go(func() {
		buffer := make([]byte, 512)
		for {
			n, err := ours.Read(buffer)
			answer := false
			x.Step(func() { answer = x.hear(buffer[:n]) })
			if answer {
				_, _ = ours.Write([]byte("ATA\r"))
			}
			if err != nil {
				return
			}
		}
	})
}

// hear takes what the far adapter says, and says whether a call is to be answered. The lock is held.
func (x *terminals) hear(octets []byte) (answer bool) {
	if len(x.said) < mostSaid {
		x.said = append(x.said, octets...)
	}
	if at := strings.Index(string(x.said), "CONNECT"); x.data == 0 && at >= 0 {
		if end := strings.Index(string(x.said[at:]), "\r\n"); end > 0 {
			x.data = at + end + 2
		}
	}
	answer = x.data == 0 && x.answers && !x.rang && strings.Contains(string(x.said), "RING")
	x.rang = x.rang || answer
	return answer
}

// types gives the far adapter a command, and forgets what it has said.
func (x *terminals) types(command string) error {
	x.Lock()
	x.said, x.data = nil, 0
	conn := x.conn
	x.Unlock()
	_, err := conn.Write([]byte(command + "\r"))
	return err
}

// until waits until both lines are as wanted.
func (x *terminals) until(ctx context.Context, wanted func(lines []office.LineStatus) bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := x.exchange.Status()
		if err != nil || wanted(s.Lines) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func free(s office.LineStatus) bool { return s.Line == "idle" && s.Modem == "command" }

// prepare waits until there is no call, and makes the lines as an outcome wants them.
func (x *terminals) prepare(ctx context.Context, outcome linetest.Outcome) error {
	if err := x.until(ctx, func(lines []office.LineStatus) bool { return free(lines[own]) && free(lines[far]) }); err != nil {
		return err
	}
	x.Step(func() { x.answers, x.rang, x.data, x.said = outcome == linetest.OutcomeConnect, false, 0, nil })
	return errors.Join(x.exchange.SetFault("own", faults[outcome].own), x.exchange.SetFault("far", faults[outcome].far))
}

func (x *terminals) Ring(ctx context.Context, from linetest.Caller) error {
	if from.Dialed != "" && from.Dialed != ownNumber {
		return errors.New("the line has one number only")
	}
	if err := x.prepare(ctx, linetest.OutcomeConnect); err != nil {
		return err
	}
	if err := x.types("ATD" + ownNumber); err != nil {
		return err
	}
	return x.until(ctx, func(lines []office.LineStatus) bool { return lines[own].Line == "ringing" })
}

func (x *terminals) GiveUp(ctx context.Context) error {
	if err := x.types(""); err != nil {
		return err
	}
	return x.Released(ctx)
}

func (x *terminals) Plan(ctx context.Context, outcome linetest.Outcome) error {
	return x.prepare(ctx, outcome)
}

// Dialed waits until the far line rings, which has one number.
func (x *terminals) Dialed(ctx context.Context) (string, error) {
	return farNumber, x.Await(ctx, func() bool { return strings.Contains(string(x.said), "RING") })
}

func (x *terminals) Connected(ctx context.Context) error {
	return x.Await(ctx, func() bool { return x.data > 0 })
}

func (x *terminals) Send(ctx context.Context, data []byte) error {
	x.Lock()
	conn := x.conn
	x.Unlock()
	defer context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })()
	_, err := conn.Write(data)
	return err
}

func (x *terminals) Receive(ctx context.Context, size int) (got []byte, err error) {
	err = x.Await(ctx, func() bool {
		if x.data == 0 || len(x.said) < x.data+size {
			return false
		}
		got = append(got, x.said[x.data:x.data+size]...)
		x.data += size
		return true
	})
	return got, err
}

func (x *terminals) HangUp(context.Context) error {
	x.Lock()
	conn, served := x.conn, x.served
	x.Unlock()
	err := conn.Close()
	<-served
	x.attach()
	return err
}

func (x *terminals) Released(ctx context.Context) error {
	return x.until(ctx, func(lines []office.LineStatus) bool { return free(lines[far]) })
}

// The suite passes as it does directly when gRPC lies between the driver and its host.
func TestConformanceBehindGRPC(t *testing.T) {
	linetest.Run(t, func(t *testing.T) linetest.Fixture {
		x, opens := onTerminals(t, hayes.ELSA, "S153=6$IBP=X75")
		b, err := lineplugin.InProcess(New(modem.Options{Logger: zaptest.NewLogger(t, zaptest.WrapOptions(zap.Development()))}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return linetest.Fixture{Driver: b, Section: opens, Far: x, Number: farNumber}
	})
}

// And when the driver is a process of its own, started as pac starts it.
func TestConformanceAsProcess(t *testing.T) {
	command, err := lineplugin.Self("isdn", serveArgument)
	if err != nil {
		t.Fatal(err)
	}
	linetest.Run(t, func(t *testing.T) linetest.Fixture {
		x, opens := onTerminals(t, hayes.ISDN4Linux, "S14=0")
		command.Confine = true
		if command.Files, err = modem.Files(Dialect, opens); err != nil {
			t.Fatal(err)
		}
		// Not the test's logger: what the process says last may come after the test.
		d, err := lineplugin.Load(t.Context(), command, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return linetest.Fixture{Driver: d, Section: opens, Far: x, Number: farNumber}
	})
}
