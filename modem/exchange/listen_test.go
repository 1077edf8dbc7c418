package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/netport"
	"trunkline.example/modem/port"
)

// listening starts an exchange with two phones and a listener of each kind, and returns their addresses.
func listening(t *testing.T, listeners ...Listener) (e *Exchange, dir string, at []string) {
	t.Helper()
	dir = t.TempDir()
	cfg := quick(dir, 1, 2)
	for i, l := range listeners {
		if l.Address == "" {
			listeners[i].Address = "127.0.0.1:0"
		}
		if len(l.Lines) == 0 {
			listeners[i].Lines = []string{"phone1", "phone2"}
		}
	}
	cfg.Listeners = listeners
	e = running(t, cfg)
	d, err := e.Directory()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range d.Listeners {
		at = append(at, l.Address)
	}
	return e, dir, at
}

// dial connects a client to an address.
func dial(t *testing.T, address string) (*person, net.Conn) {
	t.Helper()
	network := "tcp"
	if filepath.IsAbs(address) {
		network = "unix"
	}
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	return &person{t: t, name: address, conn: c}, c
}

// answering is line1 with a client that answers at the first ring.
func answering(t *testing.T, dir string) *person {
	t.Helper()
	p, _ := open(t, dir, "line1")
	p.ask("ATE0S0=1", "OK\r\n")
	return p
}

// octets are all there are, in an order in which nothing looks like an escape sequence.
func octets() string {
	var b bytes.Buffer
	for i := range 256 {
		b.Write([]byte{byte(i), '\r', 255, byte(255 - i)})
	}
	return b.String()
}

// talk passes every octet both ways.
func talk(a, b *person) {
	a.t.Helper()
	for _, p := range [][2]*person{{a, b}, {b, a}} {
		p[0].say(octets() + "end of data")
		if got := p[1].hear("end of data"); got != octets() {
			a.t.Errorf("from %s to %s: %d octets, or others", p[0].name, p[1].name, len(got))
		}
	}
}

// A pool of modems serves as many clients as it has lines; the carrier's loss closes the connection.
func TestRawListener(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "pool.sock")
	e, dir, at := listening(t, Listener{}, Listener{Address: sock})
	pac := answering(t, dir)
	first, conn := dial(t, at[0])
	first.ask("ATE0", "OK\r\n")
	second, _ := dial(t, at[1])
	second.ask("ATE0", "OK\r\n")
	_, third := dial(t, at[0])
	if _, err := third.Read(make([]byte, 1)); err != io.EOF {
		t.Error("a client for whom there is no line is not turned away:", err)
	}
	first.ask("ATDT1000", "CONNECT 33600\r\n")
	pac.hear("CONNECT 33600\r\n")
	talk(first, pac)
	second.ask("ATDT1000", "BUSY\r\n")
	if err := e.Cut("line1"); err != nil {
		t.Error(err)
	}
	first.hear("NO CARRIER\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Error("the connection is not closed after NO CARRIER:", err)
	}
}

// Telnet and RFC 2217, with the driver's own client as the other end.
func TestTelnetListeners(t *testing.T) {
	e, dir, at := listening(t, Listener{Protocol: Telnet, Lines: []string{"phone1"}}, Listener{Protocol: RFC2217, Lines: []string{"phone2"}})
	pac := answering(t, dir)
	for i, scheme := range []string{"telnet", "rfc2217"} {
		address := at[i]
		p, err := netport.Open(t.Context(), port.Options{Device: scheme + "://" + address, Speed: 57600, FlowControl: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		watchdog := time.AfterFunc(limit, func() { p.Close() }) // its Read has no deadline
		defer watchdog.Stop()
		phone := &person{t: t, name: scheme, conn: p}
		phone.ask("ATE0V1", "OK\r\n")
		phone.ask("ATDT1000", "CONNECT 33600\r\n")
		pac.hear("CONNECT 33600\r\n")
		talk(phone, pac)
		if scheme == "telnet" {
			p.Close()
			pac.hear("NO CARRIER\r\n")
			continue
		}
		serialLines(t, e, p, phone, pac)
	}
}

// lines waits until the modem lines are as wanted.
func lines(t *testing.T, p port.Port, want port.Lines) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		l, err := p.Lines()
		if err == nil && l == want {
			return
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("modem lines %+v, %v, want %+v", l, err, want)
		}
	}
}

// serialLines checks what only RFC 2217 has, in a call.
func serialLines(t *testing.T, e *Exchange, p port.Port, phone, pac *person) {
	t.Helper()
	ready, carrier := port.Lines{CTS: true, DSR: true}, port.Lines{CTS: true, DSR: true, DCD: true}
	lines(t, p, carrier)
	speed := func(bps int) func(s office.Status) bool {
		return func(s office.Status) bool { return s.Lines[2].Serial == bps }
	}
	status(t, e, "the speed", speed(57600))
	if err := p.SetSpeed(9600); err != nil {
		t.Error(err)
	}
	status(t, e, "the new speed", speed(9600))
	if err := p.SetDTR(false); err != nil { // hangs up, AT&D2
		t.Error(err)
	}
	pac.hear("NO CARRIER\r\n")
	lines(t, p, ready)
	phone.hear("NO CARRIER\r\n")
	if err := p.SetDTR(true); err != nil {
		t.Error(err)
	}
	phone.ask("AT", "OK\r\n")
	pac.say("ATS0=0DT2002\r")
	phone.hear("RING\r\n")
	lines(t, p, port.Lines{CTS: true, DSR: true, RI: true})
	phone.say("ATA\r")
	phone.hear("CONNECT 33600\r\n")
	lines(t, p, carrier)
	if err := e.Cut("phone2"); err != nil {
		t.Error(err)
	}
	phone.hear("NO CARRIER\r\n")
	lines(t, p, ready) // and the connection stays
	phone.ask("AT", "OK\r\n")
}

// A connection can be a call: what an emulator's own modem makes of ATDT HOST:PORT.
func TestConnectionsThatAreCalls(t *testing.T) {
	e, dir, at := listening(t, Listener{Dial: "1000"}, Listener{Dial: "9999", Protocol: Telnet})
	pac := answering(t, dir)
	caller, conn := dial(t, at[0])
	caller.say("early") // is kept until there is a carrier
	pac.hear("CONNECT 33600\r\n")
	pac.hear("early")
	talk(caller, pac)
	caller.say("+++") // means nothing: there is no modem to speak to
	pac.hear("+++")
	conn.Close()
	pac.hear("NO CARRIER\r\n")
	status(t, e, "the line is free", func(s office.Status) bool { return !s.Lines[1].Attached && s.Lines[1].Line == "idle" })

	_, conn = dial(t, at[0])
	pac.hear("CONNECT 33600\r\n")
	if err := e.Cut("line1"); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
		t.Errorf("after the call the caller reads %q, %v", got, err)
	}
	_, conn = dial(t, at[1]) // nobody has that number
	if got, err := io.ReadAll(conn); bytes.ContainsAny(got, "NOCARRIER") || err != nil {
		t.Errorf("a call that does not come about reads %q, %v", got, err)
	}
	status(t, e, "the lines are free", func(s office.Status) bool { return !s.Lines[1].Attached && !s.Lines[2].Attached })
	phone, _ := open(t, dir, "phone1") // the next client has a modem as usual
	phone.ask("AT", "OK\r\n")
}

func TestWebSocketListener(t *testing.T) {
	_, dir, at := listening(t, Listener{Protocol: WebSocket, Lines: []string{"phone1"}})
	pac := answering(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	connect := func(origin string) (*websocket.Conn, error) {
		c, response, err := websocket.Dial(ctx, "ws://"+at[0], &websocket.DialOptions{Subprotocols: []string{"binary"}, HTTPHeader: http.Header{"Origin": {origin}}})
		if response != nil && response.Body != nil {
			response.Body.Close()
		}
		return c, err
	}
	if _, err := connect("http://elsewhere.example"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("a page of another host: %v", err)
	}
	c, err := connect("http://" + at[0])
	if err != nil {
		t.Fatal(err)
	}
	phone := &person{t: t, name: "websocket", conn: websocket.NetConn(ctx, c, websocket.MessageBinary)}
	phone.ask("ATE0", "OK\r\n")
	phone.ask("ATDT1000", "CONNECT 33600\r\n")
	pac.hear("CONNECT 33600\r\n")
	talk(phone, pac)
	second, err := connect("http://" + at[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := second.Read(ctx); websocket.CloseStatus(err) != websocket.StatusTryAgainLater {
		t.Errorf("a second client: %v", err)
	}
	pac.conn.(io.Closer).Close()
	phone.hear("NO CARRIER\r\n")
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("after NO CARRIER: %v", err)
	}
}

// pythonWebSocket is a client of a WebSocket by a library of somebody else's.
const pythonWebSocket = `
import asyncio, sys, websockets
async def main():
    async with websockets.connect("ws://" + sys.argv[1], subprotocols=["binary"]) as ws:
        got = b""
        async def until(what):
            nonlocal got
            while what not in got:
                got += await asyncio.wait_for(ws.recv(), 20)
            before, _, got = got.partition(what)
            return before
        await ws.send(b"ATE0\r")
        await until(b"OK\r\n")
        await ws.send(b"ATDT1000\r")
        await until(b"CONNECT 33600\r\n")
        every = bytes(range(256))
        await ws.send(every + b"end")
        assert await until(b"end") == every
        await ws.send(b"thanks")
        await until(b"NO CARRIER\r\n")
        await ws.wait_closed()
        assert ws.close_code == 1000, ws.close_code
asyncio.run(main())
`

func TestPythonWebSocket(t *testing.T) {
	need(t, python)
	if out, err := exec.Command(python, "-c", "import websockets").CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: python3-websockets is not installed: %s", out)
	}
	_, dir, at := listening(t, Listener{Protocol: WebSocket})
	pac := answering(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), 3*limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "-c", pythonWebSocket, at[0])
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	}()
	pac.hear("CONNECT 33600\r\n")
	every := pac.hear("end") + "end"
	if len(every) != 259 {
		t.Errorf("%d octets have come", len(every))
	}
	pac.say(every)
	pac.hear("thanks")
	pac.conn.(io.Closer).Close()
	err := <-ended
	ended <- nil
	if err != nil {
		t.Errorf("the client: %v", err)
	}
}

func TestBadListeners(t *testing.T) {
	for _, l := range []Listener{
		{Address: "127.0.0.1:0"}, {Lines: []string{"line9"}}, {Lines: []string{"line1"}, Dial: "x"}, {Lines: []string{"line1"}, Dial: "1", Protocol: RFC2217},
	} {
		cfg := Lab("", 1, 1)
		cfg.Listeners = []Listener{l}
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "listener") {
			t.Errorf("%+v: %v", l, err)
		}
	}
	cfg := quick(t.TempDir(), 1, 1)
	cfg.Listeners = []Listener{{Address: "192.0.2.1:1", Lines: []string{"line1"}}}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var failed *net.OpError
	if err := e.Run(t.Context()); !errors.As(err, &failed) {
		t.Errorf("an address that is not ours: %v", err)
	}
	for name, p := range protocolNames {
		if q, known := ParseProtocol(name); !known || q != p || p.String() != name {
			t.Error(name, p)
		}
	}
}
