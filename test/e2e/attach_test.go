package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"

	"trunkline.example/test/guest"
)

// The ways to attach, in the order of the guest's serial lines.
var attachments = []struct{ protocol, dial string }{{"raw", "1000"}, {"raw", ""}, {"telnet", ""}, {"rfc2217", ""}, {"websocket", ""}}

// newOpenExchange is a bank whose exchange is described by a file and has a listener for each attachment, on ports from 2301 on.
func newOpenExchange(t testing.TB) *bank {
	t.Helper()
	b := newBankSite(t, overIPv4, 2, "")
	text := fmt.Sprintf("dir = %q\n[training]\ntime = \"100ms\"\n[[hunt]]\nnumber = \"1000\"\nlines = [\"line*\"]\n", b.ports())
	for _, l := range []struct {
		name, number string
		count        int
	}{{"line", "1001", b.lines}, {"phone", "2001", len(attachments) + 1}} {
		text += fmt.Sprintf("[[line]]\nname = %q\nnumber = %q\ncount = %d\ntransmit = 115200\nreceive = 115200\n", l.name, l.number, l.count)
	}
	for i, a := range attachments {
		text += fmt.Sprintf("[[listener]]\naddress = \"%s:%d\"\nprotocol = %q\nlines = [\"phone%d\"]\n", pacAddress, 2301+i, a.protocol, i+1)
		if a.dial != "" {
			text += fmt.Sprintf("dial = %q\n", a.dial)
		}
	}
	b.exchange = startDaemon(t, b.space, "pac", "exchange", "--config", write(t, b.dir, "exchange.toml", text))
	b.attachPAC(overIPv4, exchangeLine)
	return b
}

// bridge makes a Unix socket, for one of the guest's serial lines, that leads to an attachment.
func (b *bank) bridge(i int) (path string) {
	b.t.Helper()
	path = filepath.Join(b.dir, fmt.Sprintf("serial%d", i))
	ready := func() bool { _, err := os.Stat(path); return err == nil }
	address := fmt.Sprintf("%s:%d", pacAddress, 2301+i)
	options := map[string]string{"telnet": "telnet", "rfc2217": "telnet(rfc2217)"}
	switch protocol := attachments[i].protocol; protocol {
	case "raw":
		b.startProgram(ready, "socat", "UNIX-LISTEN:"+path, "TCP:"+address)
	case "websocket":
		b.bridgeWebSocket(path, address)
	default:
		config := write(b.t, b.dir, protocol+".yaml", fmt.Sprintf("connection: &x\n  accepter: unix,%s\n  connector: %s,tcp,%s,%d\n", path, options[protocol], pacAddress, 2301+i))
		b.startProgram(ready, "ser2net", "-n", "-d", "-u", "-c", config)
	}
	return path
}

// bridgeWebSocket serves one client of a Unix socket.
func (b *bank) bridgeWebSocket(path, address string) {
	b.t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.t.Cleanup(func() {
		cancel()
		l.Close()
		<-done
	})
	go func() {
		defer close(done)
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		// The transport dials in a goroutine of its own, so the namespace must be entered there.
		transport := &http.Transport{DialContext: func(context.Context, string, string) (conn net.Conn, err error) {
			err = b.space.Do(func() (err error) { conn, err = net.Dial("tcp", address); return err })
			return conn, err
		}}
		c, _, err := websocket.Dial(ctx, "ws://"+address, &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		if err != nil {
			b.t.Errorf("the WebSocket: %v", err)
			return
		}
		modem := websocket.NetConn(ctx, c, websocket.MessageBinary)
		stop := context.AfterFunc(ctx, func() { client.Close() })
		defer stop()
		go func() {
			_, _ = io.Copy(client, modem)
			client.Close()
		}()
		_, _ = io.Copy(modem, client)
		_ = c.CloseNow()
	}()
}

// Real pppds call through every way to attach: a connection that is a call, TCP, Telnet, RFC 2217, WebSocket, and a pseudo-terminal.
func TestEveryWayToAttach(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ser2net"); err != nil {
		t.Skip("needs ser2net (test/setup installs it)")
	}
	b := newOpenExchange(t)
	x := b.exchangeDir()
	serials := map[int]string{len(attachments): fmt.Sprintf("%s/phone%d", b.ports(), len(attachments)+1)}
	for i := range attachments {
		serials[i] = "unix:" + b.bridge(i)
	}
	g := guest.Start(t, guest.Config{Serials: serials, Exchange: x, Timeout: 5 * time.Minute}, caller+`
secrets "$user * `+password+` *"
pppd /dev/ttyS0 115200 nodetach noauth noipv6 debug user "$user" logfile /xchg/client0.log require-mppe-128 &
pid=$!
up ppp0
pings `+innerAddress+` 64
down
for line in 1 2 3 4 5; do
	call $line 1000 `+password+` require-mppe-128 asyncmap 0
	up ppp0
	pings `+innerAddress+` 64 700
	down
done
echo "all have called"
`)
	out, status := g.Wait(t)
	if status != 0 {
		for i := range len(serials) {
			log, _ := os.ReadFile(path(x, fmt.Sprintf("client%d.log", i)))
			t.Logf("pppd on line %d:\n%s", i, log)
		}
		t.Fatalf("the guest ended with %d:\n%s", status, out)
	}
	contains(t, "the guest", out, "all have called")
	for n := range serials {
		if r := b.pacRecord(n); r["dialing"] != fmt.Sprint(2001+n) || r["errors"] != nil && len(r["errors"].(map[string]any)) > 0 {
			t.Errorf("pac's call record %d: %v", n, r)
		}
	}
	b.awaitIdle()
}
