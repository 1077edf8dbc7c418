// Package selftest is the traffic of a test call between two lines of one concentrator, and the judgement of such a call.
package selftest

import (
	"io"
	"sync"
	"time"

	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
)

const (
	// bitsPerOctet is what an octet of a frame costs at most on a line, with start, stop and some escapes.
	bitsPerOctet = 14
	// leastSpeed is reckoned with where a line does not know its speed, in bit/s.
	leastSpeed = 2400
	// remembered is for how many frames the time of their sending is known, for the round trip.
	remembered = 256
)

// Counters are what one end of a test call has sent and received since the two ends have heard each other.
type Counters struct {
	FramesSent, OctetsSent         uint64        // octets as written to the line, with framing
	FramesReceived, OctetsReceived uint64        // test frames of the other end that arrived whole, and their octets as it wrote them
	Damaged                        uint64        // frames with a wrong FCS or an abort, too short or too long, or not of the pattern
	RoundTrip                      time.Duration // of a frame and the next one from the other end, the mean; 0: unknown
}

// Config is what Start needs.
type Config struct {
	Line    io.ReadWriter // of a call that is up; a Read returns an error when the call is over
	Framing line.Framing
	Speed   uint32 // bit/s that the line sends at
	Token   uint32 // of the test, the same at both ends
	Caller  bool   // the caller speaks first: the other end says nothing to anybody else
	Tap     func(sent bool, frame []byte)
}

// Traffic is one end of a test call. It is safe for concurrent use.
type Traffic struct {
	cfg      Config
	quiet    chan struct{}
	heard    chan struct{}
	stranger chan struct{}
	unread   chan struct{} // nothing is read any more
	done     chan struct{}
	hush     sync.Once

	mu      sync.Mutex
	c       Counters
	noise   uint64 // damaged frames before the other end was heard: modems make noise when they connect
	strange uint64 // frames with a good FCS that are none of the other end
	number  uint32 // of the last frame sent
	seen    uint32 // of the last one received
	seenAt  time.Time
	sentAt  [remembered]time.Time
	trips   uint64
	trip    time.Duration // the sum of all
}

// Start begins to send, somewhat slower than the line does, and to receive. The caller's frames do not count until the other end
// has been heard.
func Start(cfg Config) *Traffic {
	t := &Traffic{
		cfg: cfg, quiet: make(chan struct{}), heard: make(chan struct{}), stranger: make(chan struct{}), unread: make(chan struct{}), done: make(chan struct{}),
	}
	if t.cfg.Tap == nil {
		t.cfg.Tap = func(bool, []byte) {}
	}
	var both sync.WaitGroup
	both.Go(t.send)
	both.Go(func() {
		defer close(t.unread)
		t.receive()
	})
	go func() {
		both.Wait()
		close(t.done)
	}()
	return t
}

// Stop ends the sending. Receiving ends with the call.
func (t *Traffic) Stop() { t.hush.Do(func() { close(t.quiet) }) }

// Done is closed when nothing uses the line any more.
func (t *Traffic) Done() <-chan struct{} { return t.done }

// Heard is closed when a frame of the other end has arrived.
func (t *Traffic) Heard() <-chan struct{} { return t.heard }

// Stranger is closed when somebody else was heard first, who speaks PPP. Nothing more is read from the line or sent on it then.
func (t *Traffic) Stranger() <-chan struct{} { return t.stranger }

// Strange says whether Stranger is closed.
func (t *Traffic) Strange() bool {
	select {
	case <-t.stranger:
		return true
	default:
		return false
	}
}

// Counters are those of this moment.
func (t *Traffic) Counters() Counters {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.c
	if t.trips > 0 {
		c.RoundTrip = t.trip / time.Duration(t.trips)
	}
	return c
}

// send writes test frames until it is stopped or the line takes no more.
func (t *Traffic) send() {
	if !t.cfg.Caller {
		select {
		case <-t.heard:
		case <-t.quiet:
			return
		case <-t.unread:
			return
		}
	}
	pause := time.NewTicker(time.Duration(frameLength*bitsPerOctet) * time.Second / time.Duration(max(t.cfg.Speed, leastSpeed)))
	defer pause.Stop()
	for {
		f := t.next(time.Now())
		octets := f.append(nil)
		framed := t.framed(octets)
		n, err := t.cfg.Line.Write(framed)
		t.mu.Lock()
		if f.counted {
			t.c.OctetsSent += uint64(n)
			if err == nil {
				t.c.FramesSent++
			}
		}
		t.mu.Unlock()
		if err != nil {
			return
		}
		t.cfg.Tap(true, octets)
		select {
		case <-t.quiet:
			return
		case <-t.unread:
			return
		case <-pause.C:
		}
	}
}

// next is the next frame to send.
func (t *Traffic) next(now time.Time) frame {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.number++
	t.sentAt[t.number%remembered] = now
	f := frame{token: t.cfg.Token, caller: t.cfg.Caller, counted: t.seen != 0, number: t.number, seen: t.seen}
	if t.seen != 0 {
		f.held = now.Sub(t.seenAt)
	}
	return f
}

// framed is a frame as it is written to the line.
func (t *Traffic) framed(octets []byte) []byte {
	if t.cfg.Framing == line.FramingSync {
		return octets
	}
	return hdlc.AppendFrame(nil, octets, hdlc.DefaultACCM)
}

// receive reads and judges until the line has no more, or somebody else speaks.
func (t *Traffic) receive() {
	deframer := hdlc.NewDeframer(2 * frameLength)
	buffer := make([]byte, 4*frameLength)
	for {
		n, err := t.cfg.Line.Read(buffer)
		rest := buffer[:n]
		for len(rest) > 0 {
			octets := rest
			if t.cfg.Framing == line.FramingSync {
				rest = nil
			} else {
				octets, rest = deframer.Next(rest)
			}
			if octets != nil && !t.received(time.Now(), octets) {
				return
			}
		}
		k := deframer.Counters()
		t.damaged(k.FCSErrors + k.Aborts + k.Runts + k.Oversize)
		if err != nil {
			return
		}
	}
}

// received notes a frame with a good FCS. It returns false if it is that of a stranger.
func (t *Traffic) received(now time.Time, octets []byte) bool {
	t.cfg.Tap(false, octets)
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := parse(octets)
	if !ok || f.token != t.cfg.Token || f.caller == t.cfg.Caller {
		if t.seen == 0 && isLCP(octets) {
			close(t.stranger)
			return false
		}
		t.strange++
		return true
	}
	if t.seen == 0 {
		close(t.heard)
	}
	t.seen, t.seenAt = f.number, now
	if f.counted {
		t.c.FramesReceived++
		t.c.OctetsReceived += uint64(len(t.framed(octets)))
	}
	if age := t.number - f.seen; f.seen != 0 && age < remembered {
		t.trips++
		t.trip += max(0, now.Sub(t.sentAt[f.seen%remembered])-f.held)
	}
	return true
}

// damaged notes how many frames the deframer has found damaged so far.
func (t *Traffic) damaged(frames uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := frames + t.strange
	if t.seen == 0 {
		t.noise = all
	}
	t.c.Damaged = all - t.noise
}
