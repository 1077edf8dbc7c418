package modem

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem/at"
	"trunkline.example/modem/profile"
	"trunkline.example/shared/line"
)

// s7 is the most a modem can be told to wait for the carrier.
const s7 = 255 * time.Second

// registers returns the line that sets the S registers as the driver needs
// them: no answer by itself, and the wait for the carrier.
func (c *Config) registers() string {
	return "ATS0=0S7=" + fmt.Sprint(uint8(min(c.AnswerTimeout, s7)/time.Second))
}

// adapt returns a profile with what the configuration gives instead.
func (c *Config) adapt(p profile.Profile) profile.Profile {
	if c.Reset != "" {
		p.Reset = c.Reset
	}
	if c.CallerID != nil {
		p.CallerID = *c.CallerID
	}
	p.LineSpeed = p.LineSpeed || c.LineSpeed
	return p
}

// identify learns which modem this is, once each time the line comes up, and
// settles the profile. Answers that do not come are done without.
func (o *owner) identify() error {
	id := profile.Identity{USB: o.port.Info().USB}
	if o.identified && id.USB == o.usb {
		return nil
	}
	if err := o.setting("ATE0Q0V1", false); err != nil { // so that it can be understood
		return err
	}
	auto := o.config.Profile == profile.Auto
	p, _ := o.config.Profiles.Get(o.config.Profile)
	if auto {
		for _, question := range profile.Questions() {
			answer, err := o.question(question)
			if err != nil {
				return err
			}
			id.Said = append(id.Said, answer...)
		}
		p = o.config.Profiles.Recognise(id)
	}
	o.profile = o.config.adapt(p)
	o.equipment = ""
	for _, question := range o.profile.Identify {
		answer, err := o.question(question)
		if err != nil {
			return err
		}
		if o.equipment = at.Printable(strings.Join(answer, " "), 64); o.equipment != "" {
			break
		}
	}
	o.identified, o.usb = true, id.USB
	o.tried, o.proved = false, wayUnproved
	o.lastCaller, o.remembered = at.CallerID{}, false
	o.log.Info("modem is known", zap.String("profile", p.Name), zap.Bool("recognised", auto), zap.String("equipment", o.equipment), zap.String("usb", id.USB))
	return nil
}

// diagnose asks the modem about the call that is over, before it forgets it.
func (o *owner) diagnose() error {
	if !o.owed {
		return nil
	}
	o.owed = false
	var all []string
	for _, command := range o.profile.Diagnostics {
		answer, err := o.question(command)
		if err != nil {
			return err
		}
		all = append(all, answer...)
	}
	o.said = at.Printable(strings.Join(all, "; "), line.MaxReport)
	o.tells = o.said != ""
	return nil
}

// question asks something that a modem may refuse to say, or not understand at
// all.
func (o *owner) question(command string) ([]string, error) {
	answer, err := o.converse(command, o.config.CommandTimeout, maxPages)
	switch {
	case errors.Is(err, errRefused):
		return nil, nil
	case errors.Is(err, errSilent):
		return nil, o.alive(3)
	}
	return answer, err
}
