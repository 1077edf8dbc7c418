package modem

import (
	"errors"
	"strconv"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/at"
)

// maxRingPause is the longest time from one RING of a call to the next: a RING
// that comes no longer than that after the line began to hear may not be the
// first of its call.
const maxRingPause = 7 * time.Second

// hear takes note of what the modem has said of a call, and drops the line that
// it has begun.
func (o *owner) hear() {
	for text, ok := o.tok.Next(); ok; text, ok = o.tok.Next() {
		o.note(text)
	}
	o.tok.Reset()
}

// mayHaveMissed says whether the call that rings may have rung, and its caller
// been told, before the line heard it.
func (o *owner) mayHaveMissed() bool {
	return o.callerID && !o.ring.counted && !o.ring.id.Known() && !o.ring.first.IsZero() && o.ring.first.Before(o.deafUntil.Add(maxRingPause))
}

// countRings asks the modem how often it has rung (S1). If there were rings
// before those that were heard, the caller will not be told any more: nothing
// is to be waited for, and the modem is asked to repeat what it told.
func (o *owner) countRings() error {
	o.ring.counted = true
	said, err := o.ask("ATS1?", o.config.CommandTimeout)
	if err != nil {
		return unanswered(err)
	}
	if len(said) == 0 {
		return nil
	}
	n, err := strconv.Atoi(said[len(said)-1])
	if err != nil || n <= o.ring.count {
		return nil
	}
	o.log.Debug("rings were missed", zap.Int("rang", n), zap.Int("heard", o.ring.count))
	o.ring.count = n
	return o.recall()
}

// recall has the modem repeat the caller that it told last. It is believed to
// be the one who rings if it is another one than the line has heard of before:
// a modem repeats an old one where the network has told none.
func (o *owner) recall() error {
	old, known := o.lastCaller, o.ring
	o.ring.id = at.CallerID{}
	err := o.repeatCaller()
	if !o.ring.id.Known() || o.ring.id.Number == old.Number && o.ring.id.Withheld == old.Withheld {
		o.ring.id, o.ring.heardID = known.id, known.heardID
	}
	return err
}

// repeatCaller gives the commands, which are alternatives, to repeat the last
// caller. What the modem tells is noted.
func (o *owner) repeatCaller() error {
	_, err := o.firstOf(o.profile.RepeatCaller)
	return unanswered(err)
}

// rememberCaller notes whom the modem told last before the line was opened: it
// is not he who rings next.
func (o *owner) rememberCaller() error {
	known := o.ring
	err := o.repeatCaller()
	o.ring.id, o.ring.heardID = known.id, known.heardID
	return err
}

// unanswered leaves of an error what ends the dialogue: a question that the
// modem refuses, or does not answer, is of no importance.
func unanswered(err error) error {
	if errors.Is(err, errRefused) || errors.Is(err, errSilent) {
		return nil
	}
	return err
}
