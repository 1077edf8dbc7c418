package modem

import "time"

const (
	// garbledMax is how many octets that are no text an idle modem may give
	// before it is asked whether it is still there.
	garbledMax = 3
	// garbledGap is how long it is not asked again because of that.
	garbledGap = time.Minute
)

// garbled says, by errTimeout, that it is time to probe an idle modem early:
// what it says is no text, as when it speaks at another speed since it was
// reset. Many learn ours from the AT of the probe, so that the next RING can be
// read; the others are recovered.
func (o *owner) garbled() error {
	o.garbage += o.tok.Garbled()
	if o.garbage < garbledMax || time.Since(o.asked) < garbledGap {
		return nil
	}
	o.asked = time.Now()
	o.log.Warn("what the modem says is no text: does it speak at another speed?")
	return errTimeout
}
