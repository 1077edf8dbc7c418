package control

import (
	"errors"
	"fmt"
	"io"
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// heldMaximum is how many octets a peer may send while its Start request waits
// for approval: a few pipelined messages, no more.
const heldMaximum = 2048

// Connection is the machine of one control connection. It is owned by one
// loop and not safe for concurrent use.
type Connection struct {
	cfg     *Plan // shared
	ids     Allocator
	s       OwnState
	framer  pptp.Framer
	calls   callTable
	actions []Action
}

// New returns a machine for a TCP connection that has just opened. An
// originator's first action is the Start-Control-Connection-Request.
func New(now time.Time, cfg Config) *Connection { return NewPlan(cfg).New(now, cfg.CallIDs) }

// New returns a machine of the plan; ids is what a Config's CallIDs are.
func (p *Plan) New(now time.Time, ids Allocator) *Connection {
	c := &Connection{cfg: p, ids: ids}
	c.s.Heard = now
	c.s.Tokens, c.s.TokensAt = float64(p.Limits.Burst), now
	c.s.Due = now.Add(p.Timers.Of(fsm.WaitOf(fsm.Control, fsm.StateIdle)))
	if p.Originator {
		c.control(now, fsm.EventOpen, input{send: c.startRequest()})
	}
	return c
}

// Actions returns what has to be done since the last call, in order. The slice
// is the owner's.
func (c *Connection) Actions() []Action {
	a := c.actions
	c.actions = nil
	return a
}

func (c *Connection) act(a Action) { c.actions = append(c.actions, a) }

// Deadline returns when Tick wants to be called, zero for never.
func (c *Connection) Deadline() time.Time {
	if c.s.Control == fsm.StateClosed {
		return time.Time{}
	}
	due := earlier(c.s.Due, c.s.PartialDue)
	if c.s.Control == fsm.StateEstablished {
		due = earlier(due, c.quietDue())
	}
	return earlier(due, c.calls.due())
}

// quietDue is when an established connection has been quiet for too long.
func (c *Connection) quietDue() time.Time {
	if !c.s.EchoDue.IsZero() {
		return c.s.EchoDue
	}
	return c.s.Heard.Add(c.cfg.Timers.Of(fsm.TimerIdle))
}

// Tick does what is due at now; it does nothing when early.
func (c *Connection) Tick(now time.Time) {
	switch {
	case c.s.Control == fsm.StateClosed:
		return
	case passed(c.s.Due, now):
		// The reply is for wait_approval: the owner had no time to decide.
		c.control(now, fsm.EventTimeOut, input{send: c.startReply(pptp.ControlGeneralError, pptp.ErrorNoResource)})
	case passed(c.s.PartialDue, now):
		c.lose(now, ConnectionEnded{Why: EndLostFraming, Err: fmt.Errorf("%w: %d octets", ErrHalfMessage, len(c.framer.Buffered()))})
	case c.s.Control != fsm.StateEstablished || !passed(c.quietDue(), now):
	case c.s.EchoDue.IsZero():
		c.silence(now, fsm.TimerEchoReply)
	default:
		c.control(now, fsm.EventTimeOut, input{})
	}
	c.tickCalls(now)
}

// silence sends an Echo-Request; wait is the time for the reply.
func (c *Connection) silence(now time.Time, wait fsm.Timer) {
	c.s.EchoIdentifier++
	c.s.EchoDue = now.Add(c.cfg.Timers.Of(wait))
	c.control(now, fsm.EventSilence, input{send: &pptp.EchoRequest{Identifier: c.s.EchoIdentifier}})
}

// Receive takes octets from the TCP connection, split in any way. It keeps
// nothing of b.
func (c *Connection) Receive(now time.Time, b []byte) {
	if c.s.Control == fsm.StateClosed {
		return
	}
	c.framer.Feed(b)
	c.process(now)
}

// process handles the messages that are complete.
func (c *Connection) process(now time.Time) {
	progress := false
	for c.s.Control != fsm.StateClosed && c.s.Control != fsm.StateWaitApproval {
		msg, ok, err := c.framer.Next()
		if err != nil {
			c.lose(now, ConnectionEnded{Why: EndLostFraming, Err: err})
			return
		}
		if !ok {
			break
		}
		progress = true
		c.s.Heard, c.s.EchoDue = now, time.Time{}
		c.s.Counters.MessagesReceived++
		if !c.takeToken(now) {
			c.lose(now, ConnectionEnded{Why: EndFlooded, Err: fmt.Errorf("%w: more than %d a second", ErrFlood, c.cfg.Limits.MessagesPerSecond)})
			return
		}
		c.receive(now, msg)
	}
	c.armPartial(now, progress)
}

// armPartial watches over a message that has begun and is not complete. Its
// time runs from its first octet and is not extended by further octets.
func (c *Connection) armPartial(now time.Time, progress bool) {
	held := len(c.framer.Buffered())
	switch {
	case held == 0 || c.s.Control == fsm.StateClosed:
		c.s.PartialDue = time.Time{}
	case c.s.Control == fsm.StateWaitApproval:
		c.s.PartialDue = time.Time{}
		if held > heldMaximum {
			c.lose(now, ConnectionEnded{Why: EndFlooded, Err: fmt.Errorf("%w: %d octets before it is accepted", ErrFlood, held)})
		}
	case progress || c.s.PartialDue.IsZero():
		c.s.PartialDue = now.Add(c.cfg.Timers.Of(fsm.TimerMessage))
	}
}

// SetLimits replaces the limits, for an owner that learns who the peer is only
// from StartRequested. Restore must be given the new ones.
func (c *Connection) SetLimits(now time.Time, l Limits) {
	own := *c.cfg
	own.Limits = l.withDefaults()
	c.cfg = &own
	c.s.Tokens, c.s.TokensAt = float64(c.cfg.Limits.Burst), now
}

// takeToken takes one message off the rate limit.
func (c *Connection) takeToken(now time.Time) bool {
	if d := now.Sub(c.s.TokensAt); d > 0 {
		c.s.Tokens = min(float64(c.cfg.Limits.Burst), c.s.Tokens+d.Seconds()*float64(c.cfg.Limits.MessagesPerSecond))
		c.s.TokensAt = now
	}
	if c.s.Tokens < 1 {
		return false
	}
	c.s.Tokens--
	return true
}

// receive handles one message.
func (c *Connection) receive(now time.Time, msg []byte) {
	m, err := pptp.Decode(msg)
	if errors.Is(err, pptp.ErrUnknownType) && c.s.Control != fsm.StateIdle {
		c.fault(FaultUnknownType, 0, "%v", err)
		return
	}
	if err != nil {
		// The Framer has checked all else; an unknown type as the first message
		// is no beginning of a control connection.
		c.lose(now, ConnectionEnded{Why: EndNotEstablished, Err: errors.Join(ErrNotPPTP, err)})
		return
	}
	if c.cfg.Trace {
		c.act(Trace{Message: m})
	}
	if row := fsm.RowOf(m.Type()); row.Finds == fsm.FindNothing {
		c.receiveControl(now, row, m)
	} else {
		c.receiveCall(now, row, m)
	}
}

// TransportClosed says that the TCP connection is closed or broken; err may be
// nil or io.EOF.
func (c *Connection) TransportClosed(now time.Time, err error) {
	if err == nil || errors.Is(err, io.EOF) {
		err = ErrTransportClosed
	} else {
		err = fmt.Errorf("%w: %w", ErrTransportClosed, err)
	}
	c.lose(now, ConnectionEnded{Why: EndTransport, Err: err})
}

// send encodes a message. Messages of one step travel together.
func (c *Connection) send(m pptp.Message) {
	c.s.Counters.MessagesSent++
	if n := len(c.actions); n > 0 {
		if last, ok := c.actions[n-1].(Send); ok {
			c.actions[n-1] = Send{m.Append(last.Bytes)}
			return
		}
	}
	c.act(Send{m.Append(make([]byte, 0, m.Type().Length()))})
	if c.cfg.Trace {
		c.act(Trace{Sent: true, Message: m})
	}
}

// earlier returns the earlier of two instants, of which zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// passed reports whether the instant due, if any, has come.
func passed(due, now time.Time) bool { return !due.IsZero() && !now.Before(due) }
