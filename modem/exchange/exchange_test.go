package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/plan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// person is a client on a stream.
type person struct {
	t    testing.TB
	name string
	conn io.ReadWriter
	got  []byte // read and not yet expected
}

// say sends a string.
func (p *person) say(s string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// hear reads until s has come, and returns all that came before it.
func (p *person) hear(s string) string {
	p.t.Helper()
	b := make([]byte, 4096)
	for {
		if before, after, ok := bytes.Cut(p.got, []byte(s)); ok {
			p.got = after
			return string(before)
		}
		n, err := p.conn.Read(b)
		p.got = append(p.got, b[:n]...)
		if err != nil {
			p.t.Fatalf("%s: waiting for %q: %v, after %q", p.name, s, err, p.got)
		}
	}
}

// ask sends a command and waits for its result.
func (p *person) ask(line, result string) string {
	p.t.Helper()
	p.say(line + "\r")
	return p.hear(result)
}

// lab runs an exchange without ports for as long as the test's function takes.
func lab(t *testing.T, cfg Config, f func(t *testing.T, e *Exchange, dial func(line string) *person)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- e.Run(ctx) }()
		<-e.Ready()
		served := 0
		done := make(chan error)
		f(t, e, func(line string) *person {
			ours, theirs := net.Pipe()
			served++
			go func() { done <- e.Serve(line, theirs) }()
			synctest.Wait()
			return &person{t: t, name: line, conn: ours}
		})
		stop()
		if err := <-over; err != nil {
			t.Error(err)
		}
		for range served {
			if err := <-done; err != nil && !errors.Is(err, ErrStopped) {
				t.Error(err)
			}
		}
		if _, err := e.Status(); !errors.Is(err, ErrStopped) {
			t.Error("a stopped exchange answers:", err)
		}
	})
}

func TestCallOverStreams(t *testing.T) {
	lab(t, Lab("", 2, 1), func(t *testing.T, e *Exchange, dial func(string) *person) {
		pac, phone := dial("line1"), dial("phone1")
		pac.ask("ATE0+VCID=1", "OK\r\n")
		phone.ask("ATE0", "OK\r\n")
		began := time.Now()
		phone.say("ATDT1000\r")
		pac.hear("NMBR=2001\r\n\r\nNAME=PHONE 1\r\n")
		pac.ask("ATA", "\r\nCONNECT 33600\r\n")
		phone.hear("\r\nCONNECT 33600\r\n")
		if took := time.Since(began); took < 1100*time.Millisecond || took > 1800*time.Millisecond {
			t.Errorf("dialing and training took %v", took)
		}
		began = time.Now()
		go phone.say(strings.Repeat("x", 16000) + "\n")
		pac.hear("\n")
		if rate := 16000 / time.Since(began).Seconds(); rate < 3880 || rate > 4120 {
			t.Errorf("%.0f octets/s", rate)
		}
		pac.say("down")
		phone.hear("down")
		s, err := e.Status()
		if err != nil || len(s.Calls) != 1 || s.Calls[0].Forward.Delivered != 16001 || s.Lines[0].Modem != "online" {
			t.Errorf("%+v, %v", s, err)
		}
		// The caller closes its port: its modem hangs up, and ours is told.
		phone.conn.(net.Conn).Close()
		pac.hear("\r\nNO CARRIER\r\n")
		if n, err := pac.conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after NO CARRIER: %d, %v", n, err)
		}
	})
}

// A line whose port only says NO CARRIER keeps its client.
func TestTextOnly(t *testing.T) {
	cfg := Lab("", 1, 1)
	cfg.Ports = map[string]PortConfig{"line1": {Carrier: CarrierText}}
	lab(t, cfg, func(t *testing.T, e *Exchange, dial func(string) *person) {
		pac, phone := dial("line1"), dial("phone1")
		pac.ask("ATS0=1", "OK\r\n")
		phone.ask("ATDT1001", "CONNECT")
		pac.hear("CONNECT 33600\r\n")
		if err := e.Cut("phone1"); err != nil {
			t.Error(err)
		}
		phone.hear("NO CARRIER\r\n")
		pac.hear("NO CARRIER\r\n")
		if _, err := phone.conn.Read(make([]byte, 1)); err != io.EOF {
			t.Error("the caller's port is left open:", err)
		}
		pac.ask("AT", "OK\r\n")
		if err := e.Cut("phone1"); !errors.Is(err, office.ErrNoCall) {
			t.Error(err)
		}
	})
}

func TestOneClientPerLine(t *testing.T) {
	lab(t, Lab("", 1, 0), func(t *testing.T, e *Exchange, dial func(string) *person) {
		first := dial("line1")
		ours, theirs := net.Pipe()
		if err := e.Serve("line1", theirs); !errors.Is(err, ErrInUse) {
			t.Error(err)
		}
		if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
			t.Error("the second client is left hanging:", err)
		}
		_, theirs = net.Pipe()
		if err := e.Serve("line7", theirs); !errors.Is(err, office.ErrNoLine) {
			t.Error(err)
		}
		first.ask("AT", "OK\r\n")
		first.conn.(net.Conn).Close()
		synctest.Wait()
		second := dial("1001")
		second.ask("AT", "OK\r\n")
		if err := e.Unplug("line1"); err != nil {
			t.Error(err)
		}
		if _, err := second.conn.Read(make([]byte, 1)); err != io.EOF {
			t.Error("the client of an unplugged line is left hanging:", err)
		}
	})
}

func TestAdministration(t *testing.T) {
	lab(t, Lab("", 1, 1), func(t *testing.T, e *Exchange, dial func(string) *person) {
		pac, phone := dial("line1"), dial("phone1")
		if err := e.SetFault("", plan.FaultDead); err != nil {
			t.Error(err)
		}
		phone.ask("ATDT1001", "NO DIALTONE\r\n")
		if err := e.SetFault("", plan.FaultNone); err != nil {
			t.Error(err)
		}
		if err := e.SetFault("line1", plan.FaultBusyOut); err != nil {
			t.Error(err)
		}
		phone.ask("ATDT1001", "BUSY\r\n")
		if err := e.SetFault("line1", plan.FaultNone); err != nil {
			t.Error(err)
		}
		pac.ask("ATE0S0=1", "OK\r\n")
		phone.ask("ATDT1001", "CONNECT 33600\r\n")
		pac.hear("CONNECT 33600\r\n")
		if err := e.Impair("line1", office.Receives, circuit.Impairment{DropRate: 1, PassErrorControl: true}, true); err != nil {
			t.Error(err)
		}
		phone.say("lost")
		<-time.After(time.Second)
		if err := e.Impair("line1", office.Receives, circuit.Impairment{}, true); err != nil {
			t.Error(err)
		}
		if err := e.Inject("line1", office.Receives, circuit.Injection{FlipBits: 2}); err != nil {
			t.Error(err)
		}
		phone.say("aaX")
		if got := pac.hear("X"); len(got) != 2 || got[0] == 'a' || got[1] == 'a' {
			t.Errorf("got %q", got)
		}
		s, err := e.Status()
		if f := s.Calls[0].Forward; err != nil || f.OctetsDropped != 4 || f.BitErrors != 2 || f.Delivered != 3 {
			t.Errorf("%+v, %v", s.Calls[0], err)
		}
		if err := e.Inject("line9", office.Sends, circuit.Injection{}); !errors.Is(err, office.ErrNoLine) {
			t.Error(err)
		}
		d, err := e.Directory()
		if err != nil || len(d.Lines) != 2 || d.Lines[1].Name != "phone1" || d.Hunts[0].Lines[0] != "line1" || d.Busy != "3001" {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

func TestBadConfig(t *testing.T) {
	cfg := Lab("", 1, 1)
	cfg.Ports = map[string]PortConfig{"line9": {}}
	if _, err := New(cfg); !errors.Is(err, office.ErrNoLine) {
		t.Error(err)
	}
	cfg = Lab("", 1, 1)
	cfg.Office.Lines[0].Number = "3001"
	if _, err := New(cfg); err == nil {
		t.Error("a number is given twice")
	}
}
