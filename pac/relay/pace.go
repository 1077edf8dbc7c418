package relay

import (
	"math"
	"time"

	"trunkline.example/shared/line"
)

// pace models when a line has carried what was written to it. Behind a line's Write there are buffers of the driver, the port and
// the modem, that may hold seconds of a slow line's time: packets that could be overtaken while they wait at the network server cannot be
// any more once they are there. So no more is written than the line is busy with for a moment.
//
// The model errs on the slow side by some percent, since it knows only what the modem has told.
type pace struct {
	octet    time.Duration // that one octet takes; 0: nothing is known of the line, and nothing waits
	compress bool          // the modem compresses, so octets that look compressible take less
	free     time.Time     // when the line has carried all
}

const (
	// bitsErrorControl are on the line for an octet with LAPM or synchronous HDLC: no start and stop bits, but bits stuffed, frames and
	// acknowledgements.
	bitsErrorControl = 8.6
	bitsStartStop    = 10
	// ahead is how much may be written before the line has carried what went before: longer than a driver takes to pass it on.
	ahead = 50 * time.Millisecond
)

func newPace(c line.Connected) pace {
	if c.TxSpeed == 0 || !c.SpeedKnown {
		return pace{}
	}
	bits := bitsErrorControl
	if c.Framing == line.FramingAsync && c.ErrorControl == "none" {
		bits = bitsStartStop
	}
	seconds := bits / float64(c.TxSpeed)
	if c.DTESpeed > 0 && c.Framing == line.FramingAsync {
		seconds = max(seconds, bitsStartStop/float64(c.DTESpeed))
	}
	return pace{octet: time.Duration(seconds * float64(time.Second)), compress: c.Compression != "" && c.Compression != "none"}
}

// spend takes note that octets were written.
func (p *pace) spend(now time.Time, octets []byte) {
	if p.octet == 0 {
		return
	}
	if p.free.Before(now) {
		p.free = now
	}
	n := float64(len(octets))
	if p.compress {
		n *= compressed(octets)
	}
	p.free = p.free.Add(time.Duration(n * float64(p.octet)))
}

// wait is how long nothing more should be written. It is long enough that short frames do not each wait.
func (p *pace) wait(now time.Time) time.Duration {
	if busy := p.free.Sub(now); busy > ahead {
		return busy - ahead/2
	}
	return 0
}

// compressed estimates what a modem's compressor (V.42bis, V.44) leaves of octets, from 1 (nothing gained) downwards: by how often each
// value occurs, which is less than a dictionary gains. What is encrypted, or compressed already, gives 1.
func compressed(octets []byte) float64 {
	if len(octets) < leastSample {
		return 1
	}
	var count [256]int
	for _, o := range octets {
		count[o]++
	}
	n, values, bits := float64(len(octets)), 0, 0.0
	for _, c := range count {
		if c > 0 {
			values++
			bits -= float64(c) / n * math.Log2(float64(c)/n)
		}
	}
	// The entropy of a short sample is too low by about this much (Miller and Madow), which would make noise look compressible.
	bits += float64(values-1) / (2 * n * math.Ln2)
	if bits/8 > noise {
		return 1
	}
	return bits / 8
}

const (
	// leastSample is how many octets tell anything.
	leastSample = 64
	// noise is what the estimate leaves at least of noise of that length, and so not worth a modem's while.
	noise = 0.75
)
