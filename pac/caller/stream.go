package caller

import (
	"fmt"
	"time"

	"trunkline.example/shared/ppp/peer"
)

// Stream is traffic whose beginning and end somebody else says: that of measurements.
type Stream struct {
	Probe *peer.Probe     // echo requests, repeated as long as it takes, whatever its Count; nil: nothing is sent
	Begin <-chan struct{} // closed when it is to begin; nil: as soon as the network is up
	// End is closed when nothing more is to be sent. The call is hung up when what is under way has come back or has been given up.
	End <-chan struct{}
}

// stream is where the Stream of a call is.
type stream struct {
	begin, end <-chan struct{} // what is waited for
	id         uint16          // of the probe under way; 0: none
	over       bool            // nothing more is sent
}

// streamCount is how many requests a probe is made of: as many as one can have (RFC 792: 16 bits of sequence number).
const streamCount = 65535

// awaitStream waits for the beginning.
func (c *call) awaitStream() {
	c.stream.begin, c.stream.end = c.cfg.Stream.Begin, c.cfg.Stream.End
	if c.cfg.Stream.Begin == nil {
		c.startStream()
	}
}

func (c *call) startStream() {
	c.stream.begin = nil
	if c.cfg.Stream.Probe == nil {
		return
	}
	p := *c.cfg.Stream.Probe
	p.Count = streamCount
	var err error
	if c.stream.id, err = c.peer.Start(time.Now(), p); err != nil {
		c.failed = fmt.Errorf("%w: %w", ErrProbes, err)
		c.leave("the stream could not be started")
	}
}

// endStream sends nothing more, and hangs up when nothing is under way.
func (c *call) endStream() {
	c.stream.begin, c.stream.end, c.stream.over = nil, nil, true
	if c.stream.id == 0 {
		c.leave("done")
		return
	}
	c.peer.Finish(time.Now(), c.stream.id)
}

// streamed goes on when a probe is over.
func (c *call) streamed() {
	c.stream.id = 0
	switch {
	case c.ended != nil:
	case c.stream.over:
		c.leave("done")
	default:
		c.startStream()
	}
}
