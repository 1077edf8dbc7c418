package modem

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
	"trunkline.example/shared/line"
)

// maxInformation is how many lines of information a reply may have.
const maxInformation = 40

// attemptTime is how long a modem may take to answer AT before it is asked
// again.
const attemptTime = 500 * time.Millisecond

// send writes to the modem. A modem that takes nothing counts as silent.
func (o *owner) send(text string) error {
	if o.port == nil {
		return errGone
	}
	err := o.port.SetWriteDeadline(time.Now().Add(o.config.CommandTimeout))
	if err == nil {
		_, err = o.port.Write([]byte(text))
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		_ = o.port.Discard()
		return fmt.Errorf("%w: it takes no characters (flow control?)", errSilent)
	case errors.Is(err, port.ErrGone), errors.Is(err, port.ErrClosed):
		return o.vanished(err)
	}
	return err
}

// maxPages is how many more pages of an answer are asked for.
const maxPages = 2

// ask gives a command and waits for OK, which it returns as nil with what the
// modem said before. Whatever else arrives meanwhile is noted.
func (o *owner) ask(command string, timeout time.Duration) ([]string, error) {
	return o.converse(command, timeout, 0)
}

// converse is ask of a modem that may show its answer by pages, and wait for
// a key before so many of them. The line that says so may have no end.
func (o *owner) converse(command string, timeout time.Duration, pages int) ([]string, error) {
	o.shield++
	defer func() { o.shield-- }()
	if err := o.pause(time.Until(o.heard.Add(o.config.CommandGap))); err != nil {
		return nil, err
	}
	if err := o.send(command + "\r"); err != nil {
		return nil, err
	}
	var information []string
	query := strings.HasSuffix(command, "?") // for a number, which is no result
	turned := false                          // without having seen the line that asks for it
	for deadline := time.Now().Add(timeout); ; {
		text, err := o.next(deadline)
		late, asked := errors.Is(err, errTimeout), err == nil && asksForKey(text)
		switch {
		case asked && turned:
			turned = false
			continue
		case pages > 0 && (asked || late && len(information) > 0):
			pages--
			turned = late
			if err := o.send(" "); err != nil {
				return nil, err
			}
			deadline = time.Now().Add(timeout)
			continue
		case late:
			return nil, fmt.Errorf("%w: nothing after %s", errSilent, command)
		case err != nil:
			return nil, err
		case asked, at.IsEcho(text, command):
			continue
		}
		switch kind := at.Classify(text); {
		case kind == at.OK, kind == at.Numeric && text == "0" && !query:
			return information, nil
		case kind == at.Error, kind == at.Numeric && text == "4" && !query:
			return information, fmt.Errorf("%w: %s after %s", errRefused, at.Printable(text, 40), command)
		case kind == at.Connect:
			return nil, errOnline
		case kind == at.Information, kind == at.Numeric && (query || len(text) == 3), kind == at.Caller && at.IsNumber(text) && !o.ring.active(o.config.RingTimeout):
			// Many modems are called by a number.
			if len(information) == maxInformation {
				continue
			}
			information = append(information, at.Printable(text, 200))
		default:
			o.note(text)
		}
	}
}

// asksForKey says whether a modem waits for a key before it goes on.
func asksForKey(text string) bool { return strings.Contains(strings.ToLower(text), "any key") }

// note takes in a line that is no answer to anything. A number that means RING is believed of a line that may ring only: while it is brought up, or set free
// after a call, it is more likely part of something else, and a modem that rings will do so again.
func (o *owner) note(text string) at.Kind {
	kind := at.Classify(text)
	numeric := kind == at.Numeric && text == "2" && (o.status.State == line.StateIdle || o.status.State == line.StateRinging)
	switch {
	case kind == at.Ring, numeric:
		o.ring.add(time.Now(), text, o.config.RingTimeout)
		o.stale = o.stale || numeric
	case kind == at.Caller:
		o.ring.caller(time.Now(), text, o.config.RingTimeout)
		if o.ring.id.Known() {
			o.lastCaller = o.ring.id
		}
	case kind == at.RingStopped:
		o.ring.stopped = true
	}
	return kind
}

// alive says whether the modem answers AT within a few attempts; a nil error
// is yes.
func (o *owner) alive(attempts int) error {
	var err error
	for attempt := range attempts {
		_, err = o.ask("AT", attemptTime)
		switch {
		case err == nil && attempt > 0:
			return o.pause(attemptTime) // the answers to earlier attempts may be late
		case err == nil, !errors.Is(err, errSilent) && !errors.Is(err, errRefused):
			return err
		}
	}
	return err
}

// carrier returns the state of DCD, and false if the port does not know.
func (o *owner) carrier() (on, known bool) {
	if o.port == nil {
		return false, false
	}
	l, err := o.port.Lines()
	return l.DCD, err == nil
}
