package load

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// client is a socket that talks to a responder.
type client struct {
	t    *testing.T
	conn *net.UDPConn
}

func (c client) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c client) request(q request) {
	b := make([]byte, requestLength)
	q.put(b)
	c.send(b)
}

// next is the next datagram of a kind; others are passed over.
func (c client) next(kind uint32) []byte {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		b := make([]byte, 2048)
		n, err := c.conn.Read(b)
		if err != nil {
			c.t.Fatalf("no datagram of kind %d: %v", kind, err)
		}
		if kindOf(b[:n]) == kind {
			return b[:n]
		}
	}
}

func startResponder(t *testing.T) client {
	listening, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- NewResponder(listening).Run(ctx) }()
	conn, err := net.DialUDP("udp4", nil, listening.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return client{t, conn}
}

func TestResponder(t *testing.T) {
	c := startResponder(t)
	data := make([]byte, 100)
	putStamp(data, kindData, 0, 0)
	c.send(data)                                                               // of a client that is not known: not counted
	c.request(request{kind: kindAsk, cookie: 1234, rate: 1000, size: minSize}) // not the cookie: no answer
	c.send([]byte("something else"))
	c.request(request{kind: kindHello})
	hello := c.next(kindCookie)
	if len(hello) != cookieLength {
		t.Fatalf("a cookie of %d octets", len(hello))
	}
	cookie := binary.BigEndian.Uint64(hello[8:])
	ask := func(rate uint32) report {
		t.Helper()
		c.request(request{kind: kindAsk, cookie: cookie, rate: rate, size: 200})
		r, ok := parseReport(c.next(kindReport))
		if !ok {
			t.Fatal("no report")
		}
		return r
	}
	if r := ask(0); r != (report{asked: 1}) {
		t.Fatalf("at first: %+v", r)
	}
	for i := range uint32(5) {
		putStamp(data, kindData, i, time.Duration(i)*time.Millisecond)
		c.send(data)
	}
	if r := ask(1000); r.received != 5 || r.jitters != 4 || r.jitter <= 0 || r.sent != 0 {
		t.Fatalf("after 5 datagrams: %+v", r)
	}
	for i := range uint32(20) {
		if b := c.next(kindData); len(b) != 200-ipHeader-udpHeader || binary.BigEndian.Uint32(b[stampCount:]) != i {
			t.Fatalf("datagram %d: %d octets, % X", i, len(b), b[:stampLength])
		}
	}
	if r := ask(0); r.sent < 20 {
		t.Fatalf("after 20: %+v", r)
	}
	ask(asManyAsGoes)
	for range 200 {
		c.next(kindData)
	}
	before, after := ask(0), ask(0)
	if before.sent < 220 || after.sent != before.sent {
		t.Fatalf("it goes on sending: %+v, %+v", before, after)
	}
	c.request(request{kind: kindAsk, cookie: cookie, size: 200, run: 2})
	if r, _ := parseReport(c.next(kindReport)); r != (report{asked: 1}) {
		t.Fatalf("the next run begins with %+v", r)
	}
}

// Without the cookie nobody gets more than it has sent.
func TestResponderDoesNotAmplify(t *testing.T) {
	for _, answer := range [][]byte{appendCookie(nil, 1), report{}.append(nil)} {
		if len(answer) > requestLength {
			t.Errorf("an answer of %d octets to a request of %d", len(answer), requestLength)
		}
	}
	for n := range requestLength {
		if _, ok := parseRequest(make([]byte, n)); ok {
			t.Errorf("%d octets are a request", n)
		}
	}
}

func FuzzResponder(f *testing.F) {
	b := make([]byte, requestLength)
	request{kind: kindAsk, cookie: 5, rate: 7, size: 1400}.put(b)
	f.Add(b)
	f.Add(report{received: 1}.append(nil))
	f.Add(appendCookie(nil, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, ok := parseRequest(b); ok {
			again := make([]byte, requestLength)
			q.put(again)
			if back, ok := parseRequest(again); !ok || back != q {
				t.Fatalf("%+v became %+v", q, back)
			}
		}
		if r, ok := parseReport(b); ok {
			if back, ok := parseReport(r.append(nil)); !ok || back != r {
				t.Fatalf("%+v became %+v", r, back)
			}
		}
		if kindOf(b) == kindData {
			_ = stampOf(b)
		}
	})
}
