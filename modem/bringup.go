package modem

import (
	"errors"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
	"trunkline.example/shared/line"
)

// Times of the initialisation and the recovery that no configuration changes.
const (
	resetTimeout    = 3 * time.Second         // for the reply to a reset
	escapeGuardTime = 1200 * time.Millisecond // more than S12, a second
	breakTime       = 500 * time.Millisecond
	longLow         = 2 * time.Second // DTR, for modems that are hard of hearing
	reopenPause     = 5 * time.Second
)

// otherSpeeds are those at which a modem may be stuck that has them stored.
var otherSpeeds = []int{115200, 57600, 38400, 19200, 9600, 2400}

// bringUp opens the device, initialises the modem, by all means if need be,
// and reports the line up.
func (o *owner) bringUp() error {
	o.identified, o.owed, o.said, o.tells = false, false, "", false // it may be another modem
	o.shield++
	defer func() { o.shield-- }()
	if err := o.reopen(); err != nil {
		return err
	}
	for !o.queue.Admit() { // nobody reads our events
		if err := o.pause(100 * time.Millisecond); err != nil {
			return err
		}
	}
	o.post(0, line.Up{Equipment: o.equipment})
	o.log.Info("line is up", zap.String("equipment", o.equipment))
	return nil
}

// reopen opens the device anew and initialises the modem.
func (o *owner) reopen() error {
	if err := o.openWait(); err != nil {
		return err
	}
	return o.prepare(true)
}

// openWait opens the device, waiting for it to appear: it may be about to be
// plugged in again, or to be published again after a hang-up.
func (o *owner) openWait() error {
	o.closePort()
	deadline := time.Now().Add(o.config.DeviceWait)
	for step := 20 * time.Millisecond; ; step = min(2*step, 500*time.Millisecond) {
		err := o.openPort()
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, port.ErrGone) && !errors.Is(err, port.ErrBusy) || !time.Now().Add(step).Before(deadline) {
			return err
		}
		if err := o.pause(step); err != nil {
			return err
		}
	}
}

// prepare initialises the modem, and recovers it first if it does not answer.
func (o *owner) prepare(reset bool) error {
	recovered := false
	for attempts := 1; ; attempts++ {
		err := o.initialise(reset)
		if !recovered && (errors.Is(err, errSilent) || errors.Is(err, errRefused) || errors.Is(err, errOnline)) {
			o.log.Warn("modem does not answer: recovering it", zap.Error(err))
			recovered, reset = true, true
			if err = o.recover(); err == nil {
				continue
			}
		}
		// A pseudo-terminal may go away when the modem hangs up.
		if !errors.Is(err, errGone) || attempts > 3 {
			return err
		}
		reset = true
		if err := o.openWait(); err != nil {
			return err
		}
	}
}

// initialise gives the modem the settings the driver relies on. With reset it
// starts from the factory profile.
func (o *owner) initialise(reset bool) error {
	if reset {
		o.hear()
		_ = o.send("\r") // ends whatever line had begun
	}
	if err := o.alive(3); err != nil {
		return err
	}
	if reset || !o.identified {
		if err := o.identify(); err != nil {
			return err
		}
	}
	if err := o.diagnose(); err != nil {
		return err
	}
	if reset {
		if err := o.prove(); err != nil {
			return err
		}
	}
	if reset {
		if _, err := o.ask(o.profile.Reset, resetTimeout); err != nil && !errors.Is(err, errRefused) {
			return err
		}
		if err := o.pause(o.config.ResetPause); err != nil {
			return err
		}
		if err := o.alive(3); err != nil { // the modem learns our speed from it
			return err
		}
	}
	if err := o.settings(reset); err != nil {
		return err
	}
	if reset {
		o.deafUntil = time.Now()
	}
	o.stale, o.altered = false, o.altered && !reset
	on, known := o.carrier()
	o.strapped = on && known
	return nil
}

// settings gives the modem what the driver relies on, and what was configured.
func (o *owner) settings(reset bool) error {
	p := o.profile
	commands := []string{p.Base, o.config.registers()}
	if reset && !o.ring.active(o.config.RingTimeout) { // some adapters take it for a refusal of the call
		commands = append(commands, p.HangUp)
	}
	for _, command := range commands {
		if _, err := o.ask(command, o.config.CommandTimeout); err != nil {
			return err
		}
	}
	for _, command := range append(append([]string(nil), p.Init...), o.config.Init...) {
		if err := o.setting(command, true); err != nil {
			return err
		}
	}
	for _, command := range append(append([]string(nil), p.Optional...), o.escapeCommand()) {
		if err := o.setting(command, false); err != nil {
			return err
		}
	}
	return o.alternatives()
}

// alternatives gives those commands of which the first accepted one counts.
// Caller identification comes last: some modems forget it with other settings.
func (o *owner) alternatives() error {
	p := o.profile
	if len(o.config.Numbers) > 0 {
		for _, command := range p.Listen(o.config.Numbers) {
			if err := o.setting(command, true); err != nil {
				return err
			}
		}
	}
	if o.config.Protocol != "" {
		ok, err := o.firstOf(p.Select(o.config.Protocol))
		if err != nil {
			return err
		}
		if !ok {
			o.log.Warn("the protocol of the B channel is not set: the adapter refuses the commands for it, or its profile has none", zap.String("profile", p.Name), zap.String("protocol", o.config.Protocol))
		}
	}
	groups := [][]string{p.ErrorControl, p.Fixed(o.config.Speed)}
	if o.config.FlowControl {
		groups = append(groups, p.Flow)
	}
	for _, group := range groups {
		if _, err := o.firstOf(group); err != nil {
			return err
		}
	}
	if o.config.MaxSpeed != 0 {
		command := p.CapAt(o.config.MaxSpeed)
		ok, err := o.firstOf([]string{command}[:min(len(command), 1)])
		if err != nil {
			return err
		}
		if !ok {
			o.log.Warn("speed of the telephone line is not bounded: the modem has no command for it", zap.String("profile", p.Name), zap.String("command", command))
		}
	}
	if len(o.config.RingNumbers) > 0 {
		if _, err := o.firstOf(p.Rings); err != nil {
			return err
		}
	}
	var err error
	o.callerID, err = o.firstOf(p.CallerID)
	if err != nil || !o.callerID || o.remembered {
		return err
	}
	o.remembered = true
	return o.rememberCaller()
}

// firstOf says whether the modem accepted one of the commands.
func (o *owner) firstOf(commands []string) (bool, error) {
	for _, command := range commands {
		_, err := o.ask(command, o.config.CommandTimeout)
		if err == nil || !errors.Is(err, errRefused) {
			return err == nil, err
		}
	}
	return false, nil
}

// setting gives a command whose refusal the line can live with. One that
// matters is then taken apart, so that the rest still counts and the culprit
// is named in the log, once.
func (o *owner) setting(command string, matters bool) error {
	_, err := o.ask(command, o.config.CommandTimeout)
	if !errors.Is(err, errRefused) || !matters {
		if errors.Is(err, errRefused) {
			err = nil
		}
		return err
	}
	parts := at.Split(command)
	for _, part := range parts {
		if len(parts) > 1 {
			_, err = o.ask(part, o.config.CommandTimeout)
		}
		if err != nil && !errors.Is(err, errRefused) {
			return err
		}
		if err != nil && !o.refused[part] {
			o.refused[part] = true
			o.log.Warn("modem refuses a setting", zap.String("command", part))
		}
	}
	return nil
}

// recover brings a modem back that does not answer, by ever stronger means,
// and says at last that it cannot be done. It takes less than a minute.
func (o *owner) recover() error {
	steps := []func() error{
		func() error { _, err := o.ask("ATQ0V1E0", time.Second); return err }, // it may have been told to be quiet
		o.trySpeeds,
		o.forceEscape,
		func() error { return o.dropDTR(longLow) },
		o.sendBreak,
		func() error { _, err := o.ask("AT&F", resetTimeout); return err },
		func() error {
			o.closePort()
			if err := o.pause(reopenPause); err != nil {
				return err
			}
			return o.openWait()
		},
		o.resetUSB,
	}
	last := error(errSilent)
	for _, step := range steps {
		if o.port == nil {
			if err := o.openWait(); err != nil {
				return err
			}
		}
		err := step()
		switch {
		case errors.Is(err, port.ErrUnsupported):
			continue
		case errors.Is(err, errShutdown), o.port == nil && !errors.Is(err, errGone):
			return err
		}
		o.tok.Reset()
		if last = o.alive(3); last == nil || errors.Is(last, errShutdown) {
			return last
		}
	}
	return last
}

// trySpeeds looks for the modem at other speeds of the serial port, and makes
// it forget them. The port is left at the configured speed.
func (o *owner) trySpeeds() error {
	for _, speed := range otherSpeeds {
		if speed == o.config.Speed || o.port == nil || o.port.SetSpeed(speed) != nil {
			continue
		}
		o.tok.Reset()
		if o.alive(1) == nil {
			o.log.Warn("modem was set to another speed", zap.Int("speed", speed))
			_, _ = o.ask("AT&F", resetTimeout)
			break
		}
		if o.quit && !o.closing {
			return errShutdown
		}
	}
	if o.port == nil {
		return errGone
	}
	if err := o.port.SetSpeed(o.config.Speed); err != nil {
		return o.vanished(err)
	}
	return nil
}

// forceEscape leaves voice or fax streaming (DLE ETX) and data state, hangs up
// and makes the modem talk.
func (o *owner) forceEscape() error {
	if err := o.send("\x10\x03"); err != nil {
		return err
	}
	var err error
	for range 2 { // some do not take the first one
		if err = o.escape(); err != nil {
			return err
		}
		if _, err = o.ask("ATQ0V1H0", resetTimeout); !errors.Is(err, errSilent) {
			break
		}
	}
	return err
}

// escape gives the escape sequence between guard times. A modem that is in
// data state answers OK, one in command state has the line ended by the CR.
func (o *owner) escape() error {
	if err := o.pause(escapeGuardTime); err != nil {
		return err
	}
	if err := o.send("+++"); err != nil {
		return err
	}
	if err := o.pause(escapeGuardTime); err != nil {
		return err
	}
	return o.send("\r")
}

// dropDTR drops DTR for a while. On a port without DTR it is
// port.ErrUnsupported, at once.
func (o *owner) dropDTR(low time.Duration) error {
	return o.lower(low, func(p port.Port, up bool) error { return p.SetDTR(up) })
}

// speedZero sets speed 0 (B0) for a while. Behind the network it is
// port.ErrUnsupported, at once.
func (o *owner) speedZero(low time.Duration) error {
	return o.lower(low, func(p port.Port, up bool) error {
		if up {
			return p.SetSpeed(o.config.Speed)
		}
		return p.SetSpeed(0)
	})
}

// lower does something to the port for a while that hangs the modem up, and
// lets the modem come to itself afterwards.
func (o *owner) lower(low time.Duration, set func(p port.Port, up bool) error) error {
	if o.port == nil {
		return errGone
	}
	if err := set(o.port, false); err != nil {
		return err
	}
	err := o.pause(low)
	if o.port == nil {
		return errGone
	}
	if raise := set(o.port, true); err == nil {
		err = raise
	}
	if err != nil {
		return err
	}
	return o.pause(o.config.ResetPause)
}

// sendBreak sends a long break: some modems take it for attention.
func (o *owner) sendBreak() error {
	if err := o.port.SetBreak(true); err != nil {
		return err
	}
	err := o.pause(breakTime)
	if o.port == nil {
		return errGone
	}
	return errors.Join(err, o.port.SetBreak(false))
}
