package netport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/port"
	"trunkline.example/modem/telnet"
)

// patience is for what must come at last.
const patience = 20 * time.Second

// listener is a place that accepts one connection.
func listener(t *testing.T) (address string, accept func() *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String(), func() *net.TCPConn {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(patience))
		return c.(*net.TCPConn)
	}
}

// server is a terminal server's side of a connection.
type server struct {
	t      *testing.T
	conn   *net.TCPConn
	telnet *telnet.Conn
	seen   []string // commands of COM-PORT-OPTION
	data   []byte
}

func newServer(t *testing.T, conn *net.TCPConn, options ...telnet.Option) *server {
	return &server{t: t, conn: conn, telnet: telnet.New(telnet.Config{Local: []telnet.Option{telnet.Binary, telnet.SGA}, Remote: options})}
}

// until reads on until something holds, and answers options meanwhile.
func (s *server) until(what string, holds func() bool) {
	s.t.Helper()
	var buf [512]byte
	for !holds() {
		n, err := s.conn.Read(buf[:])
		s.data = s.telnet.Receive(s.data, buf[:n])
		for _, e := range s.telnet.Events() {
			if sub, ok := e.(telnet.Sub); ok {
				c, value, _ := sub.ComPort()
				s.seen = append(s.seen, fmt.Sprint(c, value))
			}
		}
		if b := s.telnet.Output(); len(b) > 0 {
			s.write(b)
		}
		if err != nil && !holds() {
			s.t.Fatalf("%s: %v; seen %v, data %q", what, err, s.seen, s.data)
		}
	}
}

func (s *server) write(b []byte) {
	s.t.Helper()
	if _, err := s.conn.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

// command waits for a command of COM-PORT-OPTION.
func (s *server) command(c telnet.Command, value ...byte) {
	s.t.Helper()
	want := fmt.Sprint(c, value)
	s.until("no command "+want, func() bool { return slices.Contains(s.seen, want) })
}

func (s *server) notice(c telnet.Command, value ...byte) {
	s.t.Helper()
	s.write(telnet.AppendCommand(nil, telnet.Answer+c, value...))
}

// opening opens a device in the background.
func opening(t *testing.T, device string) func() (*Port, error) {
	type opened struct {
		p   port.Port
		err error
	}
	done := make(chan opened, 1)
	go func() {
		p, err := Open(context.Background(), port.Options{Device: device, Speed: 57600, FlowControl: true})
		done <- opened{p, err}
	}()
	return func() (*Port, error) {
		o := <-done
		if o.err != nil {
			return nil, o.err
		}
		t.Cleanup(func() { o.p.Close() })
		return o.p.(*Port), nil
	}
}

// serial opens a port of a server with COM-PORT-OPTION whose modem lines are as given.
func serial(t *testing.T, lines byte) (*Port, *server) {
	t.Helper()
	address, accept := listener(t)
	opened := opening(t, "rfc2217://"+address)
	s := newServer(t, accept(), telnet.Binary, telnet.SGA, telnet.ComPort)
	s.command(telnet.SetModemMask, 0xff)
	s.notice(telnet.NotifyModem, lines)
	p, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	return p, s
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(limit) {
			t.Fatal(what)
		}
	}
}

func TestNames(t *testing.T) {
	for device, want := range map[string]bool{
		"tcp://h:1": true, "telnet://10.0.0.1:23": true, "rfc2217://[::1]:2217": true, "/dev/ttyS0": false, "http://h:1": false,
		"tcp://h": false, "tcp://:1": false, "tcp://h:0": false, "tcp://h:70000": false, "tcp://h:1/x": false, "tcp://u@h:1": false, "tcp://h:1?x": false, "tcp://%": false,
	} {
		if err := Check(device); (err == nil) != want {
			t.Errorf("%s: %v", device, err)
		}
	}
	if !Names("tcp://h") || Names("/dev/tcp") || Names("%") {
		t.Error("names are taken for others'")
	}
}

func TestSerialPort(t *testing.T) {
	p, s := serial(t, telnet.ModemCTS|telnet.ModemDSR)
	want := []string{fmt.Sprint(telnet.SetBaudrate, telnet.Baudrate(57600)), "2 [8]", "3 [1]", "4 [1]", "5 [3]", "5 [8]", "5 [11]", "10 [30]", "11 [255]"}
	if !slices.Equal(s.seen, want) {
		t.Errorf("the server was told %v, want %v", s.seen, want)
	}
	if l, err := p.Lines(); err != nil || l != (port.Lines{CTS: true, DSR: true}) {
		t.Errorf("%+v, %v", l, err)
	}
	if i := p.Info(); i.Virtual || !strings.HasPrefix(i.Device, "rfc2217://") {
		t.Errorf("%+v", i)
	}
	s.notice(telnet.NotifyModem, telnet.ModemCTS|telnet.ModemCD|telnet.ModemRI|telnet.DeltaCD)
	eventually(t, "carrier and ring are not seen", func() bool {
		l, err := p.Lines()
		return err == nil && l == port.Lines{CTS: true, DCD: true, RI: true}
	})
	s.notice(telnet.NotifyLine, telnet.LineOverrun|telnet.LineFraming)
	s.notice(telnet.NotifyLine, telnet.LineBreak|telnet.LineParity|telnet.LineOverrun)
	eventually(t, "errors are not counted", func() bool {
		c, err := p.Counters()
		return err == nil && c == port.Counters{Framing: 1, Parity: 1, Overrun: 2, Break: 1, CarrierChanges: 1}
	})
	s.seen = nil
	for _, err := range []error{p.SetSpeed(9600), p.SetBreak(true), p.SetBreak(false), p.SetDTR(false), p.SetDTR(true), p.Discard()} {
		if err != nil {
			t.Error(err)
		}
	}
	s.command(telnet.PurgeData, 3)
	if want := []string{fmt.Sprint(telnet.SetBaudrate, telnet.Baudrate(9600)), "5 [5]", "5 [6]", "5 [9]", "5 [8]", "12 [3]"}; !slices.Equal(s.seen, want) {
		t.Errorf("the server was told %v, want %v", s.seen, want)
	}
	s.seen = nil
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	s.command(telnet.SetControl, telnet.DTROff)
	if _, err := s.conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %v", err)
	}
	for _, err := range []error{p.SetDTR(true), p.Discard(), func() error { _, err := p.Lines(); return err }(), func() error { _, err := p.Read(make([]byte, 1)); return err }()} {
		if !errors.Is(err, port.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// Every octet passes in both directions, whatever the kind.
func TestData(t *testing.T) {
	data := make([]byte, 100000)
	for i := range data {
		data[i] = byte(i * i / 7)
	}
	for scheme := range kinds {
		t.Run(scheme, func(t *testing.T) {
			address, accept := listener(t)
			opened := opening(t, scheme+"://"+address)
			conn := accept()
			s := newServer(t, conn, telnet.Binary, telnet.SGA, telnet.ComPort)
			if scheme == "rfc2217" {
				s.command(telnet.SetModemMask, 0xff)
				s.notice(telnet.NotifyModem, 0)
			}
			p, err := opened()
			if err != nil {
				t.Fatal(err)
			}
			_ = p.SetWriteDeadline(time.Now().Add(patience))
			go func() {
				if n, err := p.Write(data); n != len(data) || err != nil {
					t.Errorf("%d octets written, %v", n, err)
				}
			}()
			if scheme == "tcp" {
				s.data = make([]byte, len(data))
				if _, err := io.ReadFull(conn, s.data); err != nil {
					t.Fatal(err)
				}
			} else {
				s.until("not all data came", func() bool { return len(s.data) >= len(data) })
			}
			if !bytes.Equal(s.data, data) {
				t.Error("the server got other octets")
			}
			wire := data
			if scheme != "tcp" {
				wire = s.telnet.Append(nil, data)
			}
			go func() { _, _ = conn.Write(wire) }()
			got := make([]byte, len(data))
			if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, data) {
				t.Errorf("the port got other octets, or %v", err)
			}
		})
	}
}

// A far end that takes nothing stops Write at its deadline; one that says so stops it as well, and lets it go on.
func TestBackPressure(t *testing.T) {
	p, s := serial(t, telnet.ModemCTS)
	s.notice(telnet.FlowSuspend)
	eventually(t, "FLOWCONTROL-SUSPEND is not heard", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.held })
	_ = p.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := p.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d octets written to a suspended port, %v", n, err)
	}
	_ = p.SetWriteDeadline(time.Time{})
	written := make(chan error, 1)
	go func() { _, err := p.Write([]byte("on")); written <- err }()
	s.notice(telnet.FlowResume)
	if err := <-written; err != nil {
		t.Error(err)
	}
	s.until("no data", func() bool { return string(s.data) == "on" })

	_ = p.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := p.Write(make([]byte, 1<<24))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == 1<<24 {
		t.Errorf("%d octets written to a server that reads none, %v", n, err)
	}
	if unsent, err := p.Unsent(); err != nil || unsent == 0 {
		t.Errorf("%d octets unsent, %v", unsent, err)
	}
}

func TestEnds(t *testing.T) {
	p, s := serial(t, telnet.ModemCTS)
	s.write([]byte("NO CARRIER"))
	s.conn.Close()
	got, err := io.ReadAll(p)
	if string(got) != "NO CARRIER" || !errors.Is(err, port.ErrGone) {
		t.Errorf("%q, %v", got, err)
	}
	if err := p.SetDTR(true); !errors.Is(err, port.ErrGone) {
		t.Error(err)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, port.ErrGone) {
		t.Error(err)
	}
}

func TestOpenFails(t *testing.T) {
	address, accept := listener(t)
	opened := opening(t, "rfc2217://"+address)
	s := newServer(t, accept(), telnet.Binary)
	s.until("the client says nothing", func() bool { return s.telnet.On(telnet.Binary, false) })
	if _, err := opened(); err == nil || !strings.Contains(err.Error(), "has no COM-PORT-OPTION") {
		t.Errorf("a server without COM-PORT-OPTION: %v", err)
	}

	opened = opening(t, "rfc2217://"+address)
	conn := accept()
	_, _ = conn.Write([]byte("Port already in use\r\n"))
	conn.Close()
	if _, err := opened(); !errors.Is(err, port.ErrBusy) {
		t.Errorf("a server that closes at once: %v", err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := opening(t, "tcp://"+l.Addr().String())(); !errors.Is(err, port.ErrGone) {
		t.Errorf("nobody there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, port.Options{Device: "tcp://" + address}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Open(t.Context(), port.Options{Device: "tcp://nowhere"}); err == nil {
		t.Error("a name without a port is opened")
	}
}

// What a plain connection does not have.
func TestPlainConnection(t *testing.T) {
	address, accept := listener(t)
	opened := opening(t, "tcp://"+address)
	conn := accept()
	p, err := opened()
	if err != nil {
		t.Fatal(err)
	}
	_, lines := p.Lines()
	_, counters := p.Counters()
	for _, err := range []error{p.SetDTR(true), p.SetBreak(true), p.SetSpeed(0), lines, counters} {
		if !errors.Is(err, port.ErrUnsupported) {
			t.Error(err)
		}
	}
	if err := p.SetSpeed(9600); err != nil || !p.Info().Virtual {
		t.Error(err, p.Info())
	}
	_, _ = conn.Write([]byte("stale"))
	eventually(t, "nothing arrives", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.in) == 5 })
	if err := p.Discard(); err != nil {
		t.Error(err)
	}
	_, _ = conn.Write([]byte("fresh"))
	var b [10]byte
	if n, err := p.Read(b[:]); string(b[:n]) != "fresh" || err != nil {
		t.Errorf("%q, %v", b[:n], err)
	}
}
