package farend

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/hdlc"
	"trunkline.example/test/netns"
)

// terminal is the computer's side of a line.
type terminal struct {
	t    *testing.T
	file *os.File
	got  []byte
}

// more waits for something.
func (c *terminal) more() {
	c.t.Helper()
	buf := make([]byte, 1024)
	n, err := c.file.Read(buf)
	if err != nil {
		c.t.Fatalf("after %q: %v", c.got, err)
	}
	c.got = append(c.got, buf[:n]...)
}

func (c *terminal) await(text string) {
	c.t.Helper()
	for !bytes.Contains(c.got, []byte(text)) {
		c.more()
	}
	_, c.got, _ = bytes.Cut(c.got, []byte(text))
}

// A modem obeys, rings and answers; frames come from the line no faster than it carries them, and are known again.
func TestLine(t *testing.T) {
	netns.Here(t)
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := New(2, netip.MustParseAddr("127.0.0.2"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	fd, err := unix.Open(b.Paths()[1], unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &terminal{t: t, file: os.NewFile(uintptr(fd), b.Paths()[1])}
	defer c.file.Close()
	if err := c.file.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	say := func(command string) {
		if _, err := c.file.WriteString(command); err != nil {
			t.Fatal(err)
		}
	}
	say("ATZ\r")
	c.await("\r\nOK\r\n")
	if err := b.Ring(); err != nil {
		t.Fatal(err)
	}
	c.await("\r\nRING\r\n")
	say("ATA\r")
	c.await("\r\nCONNECT 115200\r\n")
	began := time.Now()
	b.Send(500)
	d := hdlc.NewDeframer(0)
	d.SetReceiveACCM(0)
	for index := uint32(0); index < 5; {
		frame, rest := d.Next(c.got)
		if c.got = rest; frame == nil {
			c.more()
			continue
		}
		if !bytes.Equal(frame, stamped(nil, 500, 1, index)) {
			t.Fatalf("frame %d is % x", index, frame[:leastFrame])
		}
		index++
	}
	if took := time.Since(began); took < lineTime(5*500) {
		t.Errorf("five frames took %v", took)
	}
}

// A bare relay carries frames both ways as fast as the line is, and none is lost; what was measured at two times adds up.
func TestRelay(t *testing.T) {
	netns.Here(t)
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	bank, local := netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")
	b, err := New(3, bank)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRelay(b.Paths(), local, bank)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- b.Run(ctx) }()
	go func() { done <- r.Run(ctx) }()
	defer func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}()
	b.Bare(local)
	b.Send(500)
	const enough = 20
	var all Traffic
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(time.Minute); all.Up.Count() < enough || all.Down.Count() < enough; <-tick.C {
		if time.Now().After(limit) {
			t.Fatalf("%d frames from the lines, %d to them", all.Up.Count(), all.Down.Count())
		}
		part := b.Reset()
		all.Merge(&part)
	}
	if connected, both := b.Calls(); connected != 3 || both != 3 || all.UpLost+all.DownLost != 0 || all.UpOctets != 500*all.Up.Count() || all.DownOctets != 500*all.Down.Count() {
		t.Errorf("%d calls, %d of them both ways; %d frames lost, %d and %d octets", connected, both, all.UpLost+all.DownLost, all.UpOctets, all.DownOctets)
	}
}

// What is measured of frames from the line and to it.
func TestDelays(t *testing.T) {
	b := &Bank{lines: []*line{{}, {number: 1, deframer: hdlc.NewDeframer(0), framer: hdlc.NewFramer(), online: true}}}
	l, c := b.lines[1], &call{}
	now := time.Unix(1000, 0)
	l.upDone[3] = now
	c.receive(b, now.Add(4*time.Millisecond), gre.Header{HasSequence: true, Sequence: 9}, stamped(nil, 100, 1, 3))
	if l.call != c || c.line != l || !c.heard || c.received != 9 || b.since.Up.Latency().Max != 4 || b.since.UpLost != 0 {
		t.Fatalf("%+v %+v", c, b.since.Up.Latency())
	}
	l.upDone[6] = now
	c.receive(b, now, gre.Header{HasSequence: true, Sequence: 12}, stamped(nil, 100, 1, 6))
	if b.since.UpLost != 2 {
		t.Errorf("%d lost, want 2", b.since.UpLost)
	}
	if !c.due(now) {
		t.Error("the first frame is not due at once")
	}
	packet := c.append(now, nil, 1000)
	h, frame, err := gre.Parse(packet)
	if err != nil || !h.HasAck || h.Ack != 12 || len(frame) != 1000 || c.due(now.Add(80*time.Millisecond)) || !c.due(now.Add(100*time.Millisecond)) {
		t.Fatalf("%+v %v, next in %v", h, err, c.next.Sub(now))
	}
	if c.due(now.Add(time.Hour)); c.next != now.Add(time.Hour-mostLag) {
		t.Errorf("an hour late, %v are made up for", now.Add(time.Hour).Sub(c.next))
	}
	c.arrived(b, c.free.Add(7*time.Millisecond), frame)
	if got := b.since.Down.Latency(); got.Count != 1 || got.Max != 7 {
		t.Errorf("%+v", got)
	}
}
