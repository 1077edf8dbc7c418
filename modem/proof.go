package modem

import (
	"errors"

	"go.uber.org/zap"

	"trunkline.example/modem/port"
)

// way is a way to hang up in data state.
type way uint8

const (
	wayUnproved way = iota
	wayDTR          // dropping DTR
	wayB0           // speed 0: it drops DTR and RTS where the system cannot be told to drop DTR, and shows on a pseudo-terminal
	wayClose        // closing the device: it drops DTR too, and a pseudo-terminal has only that
)

// String names the way in logs.
func (w way) String() string { return [...]string{"none", "DTR", "B0", "close"}[w] }

// EscapePolicy says whether an escape sequence in the data leaves data state.
type EscapePolicy string

// Policies.
const (
	EscapeAuto EscapePolicy = "auto" // only where no other way to hang up has been proved
	EscapeOn   EscapePolicy = "on"
	EscapeOff  EscapePolicy = "off"
)

// proofMark is what register S8 is set to, to see whether a reset clears it: no
// modem has it stored.
const proofMark = "117"

// errDeaf: neither dropping DTR nor speed 0 nor closing the device is noticed.
var errDeaf = errors.New("DTR does not reset it")

// prove finds out by which way the modem will hang up, once for each modem: told
// &D3 it resets itself when DTR drops, which can be seen without a call. What it
// forgets with that is given to it again afterwards.
func (o *owner) prove() error {
	if o.tried || o.ring.active(o.config.RingTimeout) {
		return nil
	}
	o.tried = true
	for _, try := range []struct {
		way way
		do  func() error
	}{
		{wayDTR, func() error { return o.dropDTR(o.config.DTRLow) }},
		{wayB0, func() error { return o.speedZero(o.config.DTRLow) }},
		{wayClose, o.bounce},
	} {
		for _, command := range []string{"AT&D3", "ATS8=" + proofMark} {
			if _, err := o.ask(command, o.config.CommandTimeout); err != nil {
				return o.unproved(err)
			}
		}
		err := try.do()
		if errors.Is(err, port.ErrUnsupported) {
			continue
		}
		if err == nil {
			err = o.alive(6) // it has been reset, perhaps
		}
		if err == nil {
			err = o.setting("ATE0Q0V1", false)
		}
		if err != nil {
			return err
		}
		said, err := o.ask("ATS8?", o.config.CommandTimeout)
		if err != nil {
			return o.unproved(err)
		}
		if len(said) > 0 && said[len(said)-1] != proofMark {
			o.proved = try.way
			o.log.Debug("modem obeys", zap.Stringer("way", o.proved))
			return nil
		}
	}
	return o.unproved(errDeaf)
}

// unproved notes that no way is proved, unless the proof failed for another
// reason than the modem's refusal.
func (o *owner) unproved(err error) error {
	if !errors.Is(err, errRefused) && err != errDeaf {
		return err
	}
	o.log.Warn("modem cannot be proved to hang up by DTR", zap.NamedError("because", err), zap.Bool("escape", o.escaping()))
	return nil
}

// bounce closes the device for as long as the modem needs to notice, and opens
// it again.
func (o *owner) bounce() error {
	o.closePort()
	if err := o.pause(o.config.DTRLow); err != nil {
		return err
	}
	if err := o.openWait(); err != nil {
		return err
	}
	return o.pause(o.config.ResetPause)
}

// escaping says whether the escape sequence is to work. The caller's data must
// not be able to hang the modem up with it, so it does not unless it is the only
// way to hang up (CVE-1999-1228).
func (o *owner) escaping() bool {
	return o.config.Escape == EscapeOn || o.config.Escape == EscapeAuto && o.proved == wayUnproved
}

// escapeCommand says so to the modem.
func (o *owner) escapeCommand() string {
	if o.escaping() {
		return o.profile.EscapeOn
	}
	return o.profile.EscapeOff
}
