package pns

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
)

func TestRates(t *testing.T) {
	var r rates
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	take := func(from netip.Addr, n uint64, want bool) {
		t.Helper()
		if got := r.take(now, from, n, 20); got != want {
			t.Fatalf("%d messages of %v: %v, want %v", n, from, got, want)
		}
	}
	take(a, 150, true)
	take(a, 50, true)
	take(a, 1, false)
	take(b, 200, true) // nobody else's affair
	now = now.Add(time.Second)
	take(a, 21, false)
	take(a, 20, true)
	if !r.take(now, a, 1_000_000, 0) {
		t.Error("0 is a limit")
	}
	now = now.Add(time.Minute)
	take(a, 1, true)
	if len(r.spent) != 1 {
		t.Errorf("%d addresses are remembered: %v", len(r.spent), r.spent)
	}
}

// A flood from an address ends with the connection that it came on; who has logged in from there may go on to talk.
func TestMessagesPerSource(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Limits.MessagesPerSecondPerSource = 5 })
	w.startEcho()
	good := w.dial(dialer{from: "127.66.9.1"})
	await[link.NetworkUp](good)
	flood := w.flood("127.66.9.1", 100)
	defer flood.Close()
	var ne net.Error
	if _, err := io.Copy(io.Discard, flood); errors.As(err, &ne) && ne.Timeout() {
		t.Fatal("a flood stays connected")
	}
	if n := w.server.Status().Refused["source-messages"]; n != 1 {
		t.Errorf("counted as %v", w.server.Status().Refused)
	}
	for range 20 {
		good.do(func(now time.Time) {
			if err := good.control.SetLinkInfo(now, good.call.Own(), 0, 0); err != nil {
				good.tell(err)
			}
		})
	}
	good.ping(netip.MustParseAddr("203.0.113.1"), 64, 5)
	if n := len(w.sessions()); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// A limit of 0 is none, for the control machine too.
func TestNoLimit(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { cfg.Limits = config.Limits{} })
	const messages = 3000
	flood := w.flood("127.66.9.2", messages)
	defer flood.Close()
	replies := make([]byte, messages*pptp.TypeEchoReply.Length())
	if _, err := io.ReadFull(flood, replies); err != nil {
		t.Errorf("the server does not answer %d messages: %v", messages, err)
	}
}

// flood establishes a control connection and sends so many messages at once.
func (w *world) flood(from string, messages int) net.Conn {
	w.t.Helper()
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
	nc, err := (&net.Dialer{LocalAddr: local}).Dial("tcp4", w.server.Addresses()[0].String())
	if err != nil {
		w.t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Write((&pptp.StartControlConnectionRequest{ProtocolVersion: pptp.Version10}).Append(nil)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, pptp.TypeStartControlConnectionReply.Length())); err != nil {
		w.t.Fatal(err)
	}
	var octets []byte
	for i := range uint32(messages) {
		octets = (&pptp.EchoRequest{Identifier: i}).Append(octets)
	}
	go func() { _, _ = nc.Write(octets) }() // fails if the server has had enough
	return nc
}
