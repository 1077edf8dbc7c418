package pac

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pac/config"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
)

// dialOrder is an Outgoing-Call-Request on its way to a line that carries it out. It goes from one line's owner to the next until one
// is free.
type dialOrder struct {
	leg  leg
	info control.Call
	next []*owner // still to ask
}

// mayDial says whether the rules allow a number, and if not, why.
func mayDial(d config.Dialout, number, subaddress string) error {
	bare := strings.Map(func(r rune) rune {
		if strings.ContainsRune(config.PauseCharacters, r) {
			return -1
		}
		return r
	}, number)
	begins := func(prefix string) bool { return strings.HasPrefix(bare, prefix) }
	switch {
	case bare == "":
		return errors.New("there is no number to dial")
	case !config.Dialable(number), !config.Dialable(subaddress):
		return errors.New("the number or subaddress has other characters than those of telephone numbers")
	case len(d.Allow) == 0:
		return errors.New("dialling out is not enabled (dialout.allow)")
	case slices.ContainsFunc(d.Deny, begins):
		return errors.New("the number is denied (dialout.deny)")
	case !slices.ContainsFunc(d.Allow, begins):
		return errors.New("the number is not allowed (dialout.allow)")
	}
	return nil
}

// requested takes an Outgoing-Call-Request, in the control connection's loop. What is not refused at once goes to a line.
func (n *network) requested(now time.Time, c *connection, m *control.Connection, info control.Call) {
	s := n.server
	var answer control.OutgoingAnswer
	var why refusal
	err := mayDial(s.config().Dialout, info.DialedNumber, info.Subaddress)
	lines := s.linesFor(info)
	switch {
	case err != nil:
		why, answer.Result = refusedNumber, pptp.OutgoingDoNotAccept
	case s.draining.Load():
		why, err = refusedDraining, errors.New("no new calls are taken at present (drain)")
		answer.Result, answer.Error = pptp.OutgoingGeneralError, pptp.ErrorNoResource
	case len(lines) == 0:
		why, err = refusedNoLine, errNoLine
		answer.Result, answer.Error = pptp.OutgoingGeneralError, pptp.ErrorNoResource
	default:
		if err = s.budget.take(now, s.config().Dialout.CallsPerHour); err != nil {
			why, answer.Result = refusedBudget, pptp.OutgoingDoNotAccept
		}
	}
	if err == nil {
		if err = n.take(c); err != nil {
			why, answer.Result, answer.Error = refusedTaken, pptp.OutgoingGeneralError, pptp.ErrorNoResource
		}
	}
	if err != nil {
		n.refuse(why, info, err)
		_ = m.AnswerOutgoing(now, info.Own(), answer)
		return
	}
	c.calls[info.Own()] = callRef{}
	n.count(1)
	lines[0].mail.put(message{dial: &dialOrder{leg: leg{network: n, connection: c, own: info.Own()}, info: info, next: lines[1:]}})
}

// errNoLine is why a call finds no line.
var errNoLine = errors.New("no line that fits is free")

// linesFor are the lines that look free and fit a request, in the order to try.
func (s *Server) linesFor(info control.Call) []*owner {
	d := s.config().Dialout
	s.mu.Lock()
	defer s.mu.Unlock()
	var fit []*owner
	for _, o := range s.owners {
		fits := info.Bearer == 0 || o.identity.Bearers&line.Bearer(info.Bearer) != 0
		fits = fits && (info.Framing == 0 || framingsOf(o.identity)&info.Framing != 0)
		fits = fits && (o.identity.MaximumBPS == 0 || info.MinimumBPS <= o.identity.MaximumBPS)
		fits = fits && (info.MaximumBPS == 0 || o.identity.MinimumBPS <= info.MaximumBPS)
		fits = fits && d.Takes(o.identity.Name)
		if shown := o.shown.Load(); fits && shown.State == line.StateIdle && !shown.Disabled && !shown.Quarantined && !shown.Reserved {
			fit = append(fit, o)
		}
	}
	return fit
}

// dial carries an order out, or hands it on.
func (o *owner) dial(d *dialOrder) {
	if o.call != nil || o.reserved != nil || o.status.State != line.StateIdle || o.outOfService() != "" {
		d.pass(errNoLine)
		return
	}
	ctx, cancel := lineCommand()
	defer cancel()
	number, err := o.line.Dial(ctx, line.DialRequest{
		Number: d.info.DialedNumber, Subaddress: d.info.Subaddress, Bearer: line.Bearer(d.info.Bearer), Framing: line.Framing(d.info.Framing) & o.identity.Framings,
		MinimumBPS: d.info.MinimumBPS, MaximumBPS: d.info.MaximumBPS,
	})
	if err != nil {
		o.log.Info("the line does not dial", zap.String(logging.KeyDialed, d.info.DialedNumber), zap.Error(err))
		d.pass(err)
		return
	}
	o.calls++
	c := &call{
		kind: record.KindOutgoing, number: number, began: time.Now(), called: d.info.DialedNumber, serial: d.info.CallSerialNumber,
		stage: stageDialing, bearer: d.info.Bearer, framing: d.info.Framing, leg: d.leg, peer: d.leg.network.cfg.Name, pacID: d.leg.own, pnsID: d.info.PNSCallID, window: d.info.PNSWindow,
	}
	c.id, _ = o.server.nextCall()
	c.log = o.log.With(zap.String(logging.KeyCall, c.id), zap.Uint16(logging.KeyCallSerial, c.serial),
		zap.Uint16(logging.KeyPACCallID, c.pacID), zap.Uint16(logging.KeyPNSCallID, c.pnsID), zap.String(logging.KeyPNS, c.peer))
	c.log.Info("dialing", zap.String(logging.KeyDialed, c.called))
	o.call = c
	c.deadline = c.began.Add(o.server.config().Timers.Connect)
	o.schedule(c.deadline)
	if err := d.leg.attach(callRef{to: o.mail, call: number, about: o.about(c)}); err != nil {
		c.leg = leg{}
		o.end(c, ending{by: byPNS, result: onRequest, reason: "the network server no longer wants the call"})
	}
}

// framingsOf are the framings that calls of a line may have on the telephone network. What an adapter makes of a B channel for us is octets.
func framingsOf(id line.Identity) pptp.FramingType {
	f := pptp.FramingType(id.Framings)
	if id.Bearers&line.BearerDigital != 0 {
		f |= pptp.FramingSynchronous
	}
	return f
}

// unwanted says what is wrong with a connection that the network server has asked for; "" if nothing is.
func (c *call) unwanted(b line.Connected) string {
	if got := pptp.BearerType(b.Bearer); c.bearer != 0 && c.bearer&got == 0 {
		return fmt.Sprintf("the call is %v, the network server wants %v", got, c.bearer)
	}
	if got := framingOf(b); c.framing != 0 && c.framing&got == 0 {
		return fmt.Sprintf("the line is %v, the network server wants %v", got, c.framing)
	}
	return ""
}

// pass hands the order to the next line, or refuses the call if there is none.
func (d *dialOrder) pass(why error) {
	if len(d.next) > 0 {
		next := d.next[0]
		d.next = d.next[1:]
		next.mail.put(message{dial: d})
		return
	}
	a := control.OutgoingAnswer{Result: pptp.OutgoingGeneralError, Error: pptp.ErrorNoResource}
	reason := refusedByLine
	switch {
	case errors.Is(why, errNoLine):
		reason = refusedNoLine
	case errors.Is(why, line.ErrInvalid):
		a.Error = pptp.ErrorBadValue
	case !errors.Is(why, line.ErrBusy):
		a.Error = pptp.ErrorPACError
	}
	d.leg.network.refuse(reason, d.info, why)
	_ = d.leg.answer(a)
}

// attach tells the control connection who owns a requested call from now on; the error says that the call is over.
func (l leg) attach(ref callRef) error {
	return l.network.do(l.connection, func(now time.Time, m *control.Connection) error {
		if _, ok := l.connection.calls[l.own]; !ok {
			return errNoCall
		}
		l.connection.begin(now, m, l.own, ref)
		return nil
	})
}

// answer answers an Outgoing-Call-Request.
func (l leg) answer(a control.OutgoingAnswer) error {
	return l.network.do(l.connection, func(now time.Time, m *control.Connection) error { return m.AnswerOutgoing(now, l.own, a) })
}

// dialTimedOut ends a call that has not come about in time.
func (o *owner) dialTimedOut(c *call) {
	o.end(c, ending{
		by: bySelf, result: generalError, error: pptp.ErrorPACError, outgoing: pptp.OutgoingTimeOut,
		reason: fmt.Sprintf("no connection within %v of dialling", o.server.config().Timers.Connect),
	})
}
