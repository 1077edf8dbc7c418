package office

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/plan"
	"trunkline.example/shared/hdlc"
)

// digital is config with an ELSA adapter on a, and on c and d adapters of both dialects; b stays a modem.
func digital() Config {
	cfg := config()
	cfg.Lines[lineA].Modem.Adapter, cfg.Lines[lineA].Numbers = hayes.ELSA, []string{"11"}
	cfg.Lines[lineC].Modem.Adapter = hayes.ELSA
	cfg.Lines[lineD].Modem.Adapter = hayes.ISDN4Linux
	cfg.Timing = plan.Timing{Intercept: time.Second, RingLimit: 10 * time.Second}
	return cfg
}

// A call between adapters of two dialects is up half a second after it was
// dialed, if it is answered at once, and carries 64,000 bit/s of octets.
func TestDigitalCall(t *testing.T) {
	w := newWorld(t, digital())
	w.ask(lineA, "ATE0S153=6$IBP=X75", time.Second)
	w.ask(lineD, "ATE0", time.Second)
	w.take(lineA)
	began := w.now
	if got := w.ask(lineD, "ATD11/9", 240*time.Millisecond); got != "" {
		t.Fatalf("the caller reads %q", got)
	}
	w.want(lineA, "\r\nRING;4;11/9\r\n")
	if got := w.ask(lineA, "ATA", 350*time.Millisecond); got != "\r\nCONNECT 64000/ISDN/X75;4\r\n" {
		t.Errorf("the adapter that answers says %q", got)
	}
	w.want(lineD, "\r\nCONNECT 64000/X.75\r\n")
	if took := w.now.Sub(began); took > 600*time.Millisecond {
		t.Errorf("the set-up took %v", took)
	}
	data := bytes.Repeat([]byte{0, 1, 0x7e, 0xff}, 4000) // 2 s
	w.clients[lineD].send = bytes.Clone(data)
	w.run(time.Second)
	if n := len(w.clients[lineA].got); n < 7700 || n > 8000 {
		t.Errorf("%d octets in a second", n)
	}
	w.run(2 * time.Second)
	if got := w.take(lineA); got != string(data) {
		t.Errorf("%d octets of %d arrived, or others", len(got), len(data))
	}
	w.run(2 * time.Second)
	w.clients[lineD].send = []byte("+++")
	w.run(3 * time.Second)
	w.take(lineA)
	w.ask(lineD, "ATH", time.Second)
	w.want(lineA, "\r\nNO CARRIER;16\r\n")
}

// With conversion whole frames arrive, their control characters escaped.
func TestDigitalConversion(t *testing.T) {
	w := newWorld(t, digital())
	w.ask(lineA, "ATE0", time.Second)
	w.ask(lineC, "ATE0", time.Second)
	w.ask(lineC, "ATD1", time.Second)
	w.ask(lineA, "ATA", time.Second)
	w.take(lineA)
	w.want(lineC, "\r\nCONNECT 64000/ISDN/HDLC\r\n")
	body := append([]byte{0xff, 0x03, 0x00, 0x21}, bytes.Repeat([]byte{1, 0x11, 0x7e, 0x40}, 300)...)
	for range 3 {
		w.clients[lineC].send = append(w.clients[lineC].send, hdlc.AppendFrame([]byte("noise"), body, 0)...)
	}
	w.run(3 * time.Second)
	want := bytes.Repeat(hdlc.AppendFrame(nil, body, hdlc.DefaultACCM), 3)
	if got := w.take(lineA); got != string(want) {
		t.Errorf("%d octets, want %d", len(got), len(want))
	}
}

func TestDigitalFailures(t *testing.T) {
	w := newWorld(t, digital())
	for i := range w.clients {
		w.ask(i, "ATE0", time.Second)
	}
	w.ask(lineD, "ATS13.3=1", time.Second)
	for _, c := range []struct {
		from   int
		number string
		want   string
	}{
		{lineC, "2", "NO CARRIER;65"}, {lineD, "2", "NO CARRIER/E0041"}, {lineB, "1", "NO CARRIER"}, {lineC, "99", "NO CARRIER;1"},
		{lineC, "300", "BUSY;17"}, {lineC, "301", "NO ANSWER;18"}, {lineC, "100", "NO ANSWER;18"}, // a rings
	} {
		if got := w.ask(c.from, "ATD"+c.number, 12*time.Second); got != "\r\n"+c.want+"\r\n" {
			t.Errorf("%s from line %d: %q, want %q", c.number, c.from, got, c.want)
		}
	}
	w.ask(lineC, "ATD1", time.Second) // protocols that differ
	w.ask(lineA, "AT$IBP=V120", time.Second)
	w.take(lineC)
	w.ask(lineA, "ATA", 2*time.Second)
	if got := w.take(lineC); got != "\r\nNO CARRIER;88\r\n" {
		t.Errorf("another protocol: %q", got)
	}
	w.o.SetFault(w.now, lineC, plan.FaultDead)
	if got := w.ask(lineC, "ATD1", 5*time.Second); got != "\r\nNO DIALTONE;34\r\n" {
		t.Errorf("a dead line: %q", got)
	}
	if s := fmt.Sprint(w.actions); strings.Contains(s, "up ") {
		t.Error(s)
	}
}
