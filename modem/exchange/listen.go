package exchange

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/plan"
)

// Protocol is how a client's octets travel.
type Protocol uint8

// The protocols.
const (
	Raw       Protocol = iota // as they are
	Telnet                    // RFC 854, BINARY where the client has it
	RFC2217                   // Telnet with COM-PORT-OPTION: a serial port with all its lines
	WebSocket                 // RFC 6455, binary messages
)

var protocolNames = map[string]Protocol{"raw": Raw, "telnet": Telnet, "rfc2217": RFC2217, "websocket": WebSocket}

// ParseProtocol returns the protocol of a name.
func ParseProtocol(name string) (p Protocol, known bool) {
	p, known = protocolNames[name]
	return p, known
}

// String names the protocol.
func (p Protocol) String() string {
	for name, q := range protocolNames {
		if p == q {
			return name
		}
	}
	return fmt.Sprintf("protocol(%d)", uint8(p))
}

// Listener is an address at which clients reach the modems of some lines.
type Listener struct {
	Address  string // "127.0.0.1:2300", or the absolute path of a Unix socket
	Protocol Protocol
	Lines    []string // names; each client gets the first one that is free
	// Dial makes each connection a call to this number, as an emulator's own
	// modem makes one when its user dials HOST:PORT. The client does not speak
	// to a modem of the exchange; the connection is closed when there is no
	// call. Empty: the connection is a modem's serial port.
	Dial    string
	Carrier CarrierPolicy
	Origins []string // WebSocket: hosts whose pages may connect, besides our own (path.Match)
}

// Times of listeners.
const (
	headerLimit = 5 * time.Second // for the request of a WebSocket
	keepAlive   = 15 * time.Second
)

// check says what is wrong with a listener.
func (l Listener) check(o *office.Office) error {
	for _, name := range l.Lines {
		if _, err := o.Line(name); err != nil {
			return err
		}
	}
	if len(l.Lines) == 0 {
		return errors.New("it serves no line")
	}
	if l.Dial != plan.Digits(l.Dial) {
		return fmt.Errorf("%q is not a number to dial", l.Dial)
	}
	if l.Dial != "" && l.Protocol == RFC2217 {
		return errors.New("a connection that is a call has no serial port")
	}
	return nil
}

// openListeners listens at all addresses.
func (e *Exchange) openListeners(ctx context.Context) error {
	for i, cfg := range e.cfg.Listeners {
		network := "tcp"
		if filepath.IsAbs(cfg.Address) {
			network = "unix"
			if err := e.books.claimPath(cfg.Address, fs.ModeSocket); err != nil {
				return err
			}
		}
		config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 3}}
		l, err := config.Listen(ctx, network, cfg.Address)
		if err != nil {
			return fmt.Errorf("exchange: %w", err)
		}
		e.books.listens(i, l.Addr().String())
		p := &point{e: e, cfg: cfg, ctx: ctx}
		for _, name := range cfg.Lines {
			n, _ := e.office.Line(name) // New has checked it
			p.lines = append(p.lines, n)
		}
		if cfg.Protocol == WebSocket {
			p.serveWeb(l)
		} else {
			e.accept(ctx, l, func(conn net.Conn) error {
				_, err := p.attach(conn)
				return err
			})
		}
	}
	return nil
}

// point is a listener at work.
type point struct {
	e     *Exchange
	cfg   Listener
	ctx   context.Context
	lines []int
}

// attach gives a client the first line that is free.
func (p *point) attach(conn net.Conn) (*session, error) {
	policy := p.cfg.Carrier
	switch {
	case p.cfg.Dial != "":
		policy = CarrierAlways
	case p.cfg.Protocol == RFC2217 && policy == CarrierAuto:
		policy = CarrierText // it sees DCD
	}
	var wire stream = conn
	var port *telnetPort
	if p.cfg.Protocol == Telnet || p.cfg.Protocol == RFC2217 {
		port = newTelnetPort(conn, p.cfg.Protocol == RFC2217)
		wire = port
	}
	err := ErrInUse
	for _, line := range p.lines {
		s := newSession(line, socketSpeed, wire, policy)
		s.dial, s.onlyFree = p.cfg.Dial, true
		if port != nil {
			port.bind(p.e, s)
		}
		if err = p.e.attach(s); !errors.Is(err, ErrInUse) {
			return s, err
		}
	}
	return nil, err
}

// serveWeb takes WebSockets until the exchange ends.
func (p *point) serveWeb(l net.Listener) {
	server := &http.Server{ReadHeaderTimeout: headerLimit, IdleTimeout: headerLimit, MaxHeaderBytes: 1 << 14, ErrorLog: zap.NewStdLog(zap.NewNop()), Handler: http.HandlerFunc(p.web)}
	p.e.work.Go(func() {
		<-p.ctx.Done()
		server.Close()
	})
	p.e.work.Go(func() { _ = server.Serve(l) })
}

// webConn is a WebSocket as a stream.
type webConn struct {
	net.Conn
	c *websocket.Conn
	p *point
}

// Close ends Read and Write. It does not wait until the client has agreed to
// the end, which may take seconds.
func (w webConn) Close() error {
	w.p.e.work.Go(func() {
		if w.p.ctx.Err() != nil {
			_ = w.c.CloseNow()
			return
		}
		_ = w.c.Close(websocket.StatusNormalClosure, "")
	})
	return nil
}

// web serves one WebSocket.
func (p *point) web(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}, OriginPatterns: p.cfg.Origins})
	if err != nil {
		return // the client has been told
	}
	s, err := p.attach(webConn{websocket.NetConn(p.ctx, c, websocket.MessageBinary), c, p})
	if err != nil {
		reason := "the exchange is stopping"
		if errors.Is(err, ErrInUse) {
			reason = "all lines are in use"
		}
		_ = c.Close(websocket.StatusTryAgainLater, reason)
		return
	}
	<-s.done
}
