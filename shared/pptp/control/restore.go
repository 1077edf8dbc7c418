package control

import (
	"errors"
	"fmt"
	"slices"

	"trunkline.example/shared/pptp/fsm"
)

// ErrBadState is returned by Restore for a State that no Connection can have.
var ErrBadState = errors.New("bad state of a control connection")

// State returns a deep copy of all mutable state. Actions must have been taken
// before: they are not part of it.
func (c *Connection) State() State {
	s := State{Partial: slices.Clone(c.framer.Buffered()), Calls: make([]CallState, 0, len(c.calls.list)), OwnState: c.s}
	for _, call := range c.calls.list {
		s.Calls = append(s.Calls, *call)
	}
	return s
}

// Restore returns a Connection that goes on from s. cfg must be the one of the
// original, and cfg.CallIDs must know the Call IDs in use. It fails with
// ErrBadState.
func Restore(cfg Config, s State) (*Connection, error) { return NewPlan(cfg).Restore(s, cfg.CallIDs) }

// Restore is Restore of a connection of the plan.
func (p *Plan) Restore(s State, ids Allocator) (*Connection, error) {
	c := &Connection{cfg: p, ids: ids, s: s.OwnState}
	if !slices.Contains(fsm.StatesOf(fsm.Control), s.Control) {
		return nil, fmt.Errorf("%w: control connection in %v", ErrBadState, s.Control)
	}
	if s.Due.IsZero() && fsm.WaitOf(fsm.Control, s.Control) != fsm.TimerNone {
		return nil, fmt.Errorf("%w: control connection waits in %v without end", ErrBadState, s.Control)
	}
	if s.Control != fsm.StateEstablished && len(s.Calls) > 0 {
		return nil, fmt.Errorf("%w: %d calls in %v", ErrBadState, len(s.Calls), s.Control)
	}
	for i := range s.Calls {
		call := s.Calls[i]
		own := call.Call.Own()
		role, direction := call.Call.Role, call.Call.Direction
		switch {
		case role != fsm.RolePAC && role != fsm.RolePNS || direction != fsm.Incoming && direction != fsm.Outgoing:
			return nil, fmt.Errorf("%w: call %d: %v, %v", ErrBadState, own, role, direction)
		case call.Call.State == fsm.StateIdle || !slices.Contains(fsm.StatesOf(call.Call.machine()), call.Call.State):
			return nil, fmt.Errorf("%w: call %d: %v of %v", ErrBadState, own, call.Call.State, call.Call.machine())
		case call.Due.IsZero() && fsm.WaitOf(call.Call.machine(), call.Call.State) != fsm.TimerNone:
			return nil, fmt.Errorf("%w: call %d waits in %v without end", ErrBadState, own, call.Call.State)
		case c.calls.get(own) != nil:
			return nil, fmt.Errorf("%w: two calls %d", ErrBadState, own)
		}
		c.calls.insert(&call)
	}
	c.calls.stale = true
	c.framer.Feed(s.Partial)
	return c, nil
}
