package modem

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
	"trunkline.example/modem/profile"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

// What ends a step of the dialogue besides a line from the modem.
var (
	errTimeout  = errors.New("time is up")
	errIntent   = errors.New("the host wants something")
	errShutdown = errors.New("the line is being shut down")
	errPlugged  = errors.New("a device has been plugged in")
	errGone     = errors.New("the device is gone")
	errSilent   = errors.New("the modem does not answer")
	errRefused  = errors.New("the modem refuses the command")
	errOnline   = errors.New("the modem is in data state")
	errUnusable = errors.New("out of service")
)

// owner is the goroutine of a line and all that it owns.
type owner struct {
	line    *modemLine
	config  Config
	open    port.Opener
	watch   func() (plugged <-chan struct{}, stop func(), err error) // tells of new devices; nil: nobody does
	news    <-chan struct{}                                          // of watch, from the first wait for a device until the line is up
	unwatch func()                                                   // ends news
	plugged <-chan struct{}                                          // news, while the line waits
	log     *zap.Logger

	queue    *line.Queue
	status   line.Status
	lastCall line.Call

	port     port.Port
	why      error         // why the port is gone
	switcher port.Switcher // of the device last opened; nil: it has none
	reader   *reader       // of port
	chunks   <-chan chunk  // from it
	tok      at.Tokenizer
	timer    *time.Timer
	heard    time.Time // when the modem last ended a line

	ring    ring
	intent  command // what the host wants next; kind 0: nothing
	shield  int     // above zero: intents wait
	quit    bool    // shutdown has been asked for
	closing bool    // the goodbye of a shutdown: quit does not interrupt
	stale   bool    // the modem has lost its settings

	callerID   bool            // the modem reports callers
	deafUntil  time.Time       // before that, rings and callers may have been missed
	lastCaller at.CallerID     // whom the modem told last
	remembered bool            // lastCaller has been asked for
	garbage    int             // octets of an idle modem that are no text
	asked      time.Time       // when the modem was last probed because of them
	strapped   bool            // DCD is on although the modem is on hook: it means nothing
	altered    bool            // in speed or protocol, for one call: only the factory profile ends it
	dialed     string          // number that the last call to ring was for
	protocol   string          // of the B channel, for the call in progress or the last one; "": as the equipment is set up
	identified bool            // profile and equipment are those of this modem
	usb        string          // identity of the device they are of
	profile    profile.Profile // with the configuration's own
	equipment  string
	owed       bool            // the modem has yet to be asked about the last call
	said       string          // what it said
	tells      bool            // it has said something about the call before
	tried      bool            // ways to hang up have been tried
	proved     way             // the one that is known to work
	refused    map[string]bool // commands whose refusal has been logged
}

// retries are the pauses between attempts to bring a line up, the last one for
// ever: of a device that is missing or in use, and of a modem that does not
// answer.
var (
	deviceRetries = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}
	modemRetries  = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute}
)

// run is the life of the line.
func (o *owner) run() {
	defer o.finish()
	o.timer = time.NewTimer(time.Hour)
	defer o.timer.Stop()
	o.refused = map[string]bool{}
	failures := 0
	for {
		err := o.bringUp()
		if err == nil {
			o.ignore()
			failures = -1 // try again at once if it fails later
			err = o.serve()
		}
		if errors.Is(err, errShutdown) {
			return
		}
		if errors.Is(err, errService) {
			failures = 0
			if o.maintain(o.taken().service) != nil {
				return
			}
			continue
		}
		o.closePort()
		o.abandon(line.CauseDevice)
		failures++
		if err := o.quarantine(err, failures); errors.Is(err, errService) {
			failures = 0
			err = o.maintain(o.taken().service)
			if err != nil {
				return
			}
		} else if err != nil {
			return
		}
	}
}

// quarantine reports the line down and waits before the next attempt.
func (o *owner) quarantine(err error, failures int) error {
	cause := line.Cause{Code: line.CauseUnresponsive, Text: at.Printable(err.Error(), 200)}
	pauses := modemRetries
	for _, e := range []error{fs.ErrNotExist, fs.ErrPermission, port.ErrGone, port.ErrBusy, errGone} {
		if errors.Is(err, e) {
			cause.Code, pauses = line.CauseDevice, deviceRetries
		}
	}
	var pause time.Duration
	if failures > 0 {
		pause = pauses[min(failures, len(pauses))-1]
	}
	if o.queue.Admit() || o.status.State != line.StateDown {
		o.post(0, line.Down{Cause: cause, Retry: pause})
	}
	o.log.Info("line is down", zap.Stringer(logging.KeyCause, cause), zap.Duration("retry", pause), zap.Int(logging.KeyAttempt, failures))
	o.ring.reset()
	return o.wait(pause, cause.Code == line.CauseDevice)
}

// plugSettle is how long a new device may take to have its names.
const plugSettle = 500 * time.Millisecond

// listen opens the news of devices, unless they are. They stay open while the device is looked for again: one that is plugged in
// behind a look, and before the next wait, is told then.
func (o *owner) listen() {
	if o.watch == nil || o.news != nil {
		return
	}
	news, stop, err := o.watch()
	if err != nil {
		o.log.Debug("no news of devices: looked for from time to time", zap.Error(err))
		return
	}
	o.news, o.unwatch = news, stop
}

// ignore ends the news of devices.
func (o *owner) ignore() {
	if o.news != nil {
		o.unwatch()
		o.news, o.unwatch = nil, nil
	}
}

// wait lets time go by while the line is down; watch: or until a device has been
// plugged in. errService: the operator does not want to wait.
func (o *owner) wait(d time.Duration, watch bool) error {
	if watch {
		o.listen()
		o.plugged = o.news
		defer func() { o.plugged = nil }()
	}
	for deadline := time.Now().Add(d); ; {
		switch err := o.block(deadline); {
		case errors.Is(err, errTimeout):
			return nil
		case errors.Is(err, errPlugged):
			return o.pause(plugSettle)
		case errors.Is(err, errIntent):
			return errService
		case err != nil:
			return err
		}
	}
}

// finish leaves nothing of the line.
func (o *owner) finish() {
	o.ignore()
	o.closePort()
	o.abandon(line.CauseShutdown)
	o.post(0, line.Down{Cause: line.Cause{Code: line.CauseShutdown}})
	o.queue.Close()
	o.line.inbox.reset(line.ErrClosed)
	o.log.Info("line is shut down")
	close(o.line.done)
}

// abandon ends a call that the host has been promised but that has not begun.
func (o *owner) abandon(code line.CauseCode) {
	if o.intent.kind == commandService { // it is still wanted
		return
	}
	if c := o.taken(); c.kind == commandDial {
		o.post(c.call, line.Dialing{Number: c.dial.Number})
		o.post(c.call, line.DialFailed{Cause: line.Cause{Code: code}})
	}
}

// post sends an event and folds it into our own view of the line.
func (o *owner) post(call line.Call, body line.Body) {
	e := line.Event{Sequence: o.status.Sequence + 1, At: time.Now(), Call: call, Body: body}
	if err := o.status.Apply(e); err != nil {
		o.log.DPanic("event out of order", zap.Error(err))
	}
	if !o.queue.Send(e.At, call, body) && !body.Kind().Droppable() {
		o.log.DPanic("event lost", zap.Stringer(logging.KeyEvent, body.Kind()))
	}
}

// openPort opens the device and starts its reader.
func (o *owner) openPort() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	device := o.config.Device
	if o.config.Bank != nil {
		var err error
		if device, err = o.config.Bank.claim(o.config.Slot); err != nil {
			return err
		}
	}
	p, err := o.open(ctx, port.Options{Device: device, Speed: o.config.Speed, FlowControl: o.config.FlowControl})
	if err != nil {
		return err
	}
	o.port, o.why = p, nil
	o.switcher, _ = p.(port.Switcher)
	o.reader = newReader(p)
	o.chunks = o.reader.chunks
	o.tok.Reset()
	return nil
}

// closePort closes the device; on most kinds that hangs the modem up.
func (o *owner) closePort() {
	if o.port == nil {
		return
	}
	o.line.disconnect()
	if err := o.port.Close(); err != nil {
		o.log.Debug("close", zap.Error(err))
	}
	close(o.reader.stop)
	o.port, o.reader, o.chunks = nil, nil, nil
}

// vanished notes that the port is of no more use.
func (o *owner) vanished(err error) error {
	virtual := o.port.Info().Virtual
	o.closePort()
	o.why = err
	if !virtual { // a pseudo-terminal does so at the end of every call
		o.log.Warn("device is gone", zap.Error(err))
	}
	return errGone
}

// reason says why the device is gone, for people.
func (o *owner) reason() string {
	if o.why == nil {
		return errGone.Error()
	}
	return at.Printable(o.why.Error(), 200)
}

// interrupted says what must be done instead of waiting.
func (o *owner) interrupted() error {
	switch {
	case o.quit && !o.closing:
		return errShutdown
	case o.intent.kind != 0 && o.shield == 0:
		return errIntent
	}
	return nil
}

// block waits for one thing to happen, and is the only place where the owner
// waits outside of a call's data: octets from the modem go to the tokenizer,
// commands of the host are taken. A zero deadline is none.
func (o *owner) block(deadline time.Time) error {
	if err := o.interrupted(); err != nil {
		return err
	}
	select {
	case c := <-o.chunks:
		if c.err != nil {
			return o.vanished(c.err)
		}
		o.tok.Feed(c.data)
		return nil
	case c := <-o.line.commands:
		o.take(c)
		return o.interrupted()
	case <-o.plugged:
		return errPlugged
	case <-o.line.abort:
		o.quit, o.closing = true, false
		return errShutdown
	case <-o.alarm(deadline):
		return errTimeout
	}
}

// alarm sets the owner's timer.
func (o *owner) alarm(deadline time.Time) <-chan time.Time {
	if deadline.IsZero() {
		o.timer.Stop()
		return nil
	}
	o.timer.Reset(time.Until(deadline))
	return o.timer.C
}

// next returns the next line from the modem.
func (o *owner) next(deadline time.Time) (string, error) {
	return o.nextUnless(deadline, func() error { return nil })
}

// nextUnless is next that also looks, each time something has come, whether
// there is a reason to wait no longer.
func (o *owner) nextUnless(deadline time.Time, reason func() error) (string, error) {
	for {
		if text, ok := o.tok.Next(); ok {
			o.heard = time.Now()
			return text, nil
		}
		if err := reason(); err != nil {
			return "", err
		}
		if err := o.block(deadline); err != nil {
			return "", err
		}
	}
}

// pause lets time go by; what the modem says meanwhile is noted. Intents wait.
func (o *owner) pause(d time.Duration) error {
	o.shield++
	defer func() { o.shield-- }()
	for deadline := time.Now().Add(d); ; {
		text, err := o.next(deadline)
		switch {
		case err == nil:
			o.note(text)
		case errors.Is(err, errTimeout):
			return nil
		default:
			return err
		}
	}
}

// take answers a command of the host at once: it is refused, or becomes the
// intent that the dialogue will turn to.
func (o *owner) take(c command) {
	state, current := o.status.State, c.call != 0 && c.call == o.status.Call && o.intent.kind == 0
	ok := false
	err := error(line.ErrNoCall)
	switch c.kind {
	case commandShutdown:
		o.quit, ok = true, true
	case commandAnswer:
		if ok = current && state == line.StateRinging; ok {
			o.line.inbox.reset(line.ErrNotConnected)
			o.intent = c
		}
	case commandReject:
		if ok = current && state == line.StateRinging; ok {
			o.intent = c
		}
	case commandHangup:
		switch state {
		case line.StateRinging, line.StateAnswering, line.StateDialing, line.StateConnected:
			if ok = current; ok {
				o.intent = c
			}
		}
	case commandService:
		switch {
		case o.quit:
			err = line.ErrClosed
		case o.status.Call != 0 || o.intent.kind != 0 || !o.queue.Admit() || o.ring.active(o.config.RingTimeout):
			err = line.ErrBusy
		default:
			ok = true
			o.intent = c
		}
	case commandDial:
		err = o.mayDial()
		if ok = err == nil; ok {
			o.line.inbox.reset(line.ErrNotConnected)
			o.lastCall++
			c.call = o.lastCall
			o.intent = c
		}
	}
	if ok {
		c.reply <- reply{call: c.call}
		return
	}
	c.reply <- reply{err: err}
}

// mayDial says why the line cannot dial now.
func (o *owner) mayDial() error {
	switch {
	case o.quit:
		return line.ErrClosed
	case o.status.State == line.StateDown:
		return line.ErrDown
	case o.status.State != line.StateIdle || o.intent.kind != 0 || !o.queue.Admit() || o.ring.active(o.config.RingTimeout):
		return line.ErrBusy
	}
	return nil
}

// taken returns the intent and clears it.
func (o *owner) taken() command {
	c := o.intent
	o.intent = command{}
	return c
}
