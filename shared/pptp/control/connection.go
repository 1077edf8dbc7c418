package control

import (
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// Connection is the machine of one control connection. It is owned by one
// loop and not safe for concurrent use.
type Connection struct {
	cfg     Config
	s       State
	actions []Action
}

// New returns a machine for a TCP connection that has just opened. An
// originator's first action is the Start-Control-Connection-Request.
func New(now time.Time, cfg Config) *Connection {
	return &Connection{cfg: cfg}
}

// Actions returns what has to be done since the last call, in order. The slice
// is the owner's.
func (c *Connection) Actions() []Action {
	a := c.actions
	c.actions = nil
	return a
}

// Deadline returns when Tick wants to be called, zero for never.
func (c *Connection) Deadline() time.Time { return time.Time{} }

// Tick does what is due at now; it does nothing when early.
func (c *Connection) Tick(now time.Time) {}

// Receive takes octets from the TCP connection, split in any way. It keeps
// nothing of b.
func (c *Connection) Receive(now time.Time, b []byte) {}

// TransportClosed says that the TCP connection is closed or broken; err may be
// nil or io.EOF.
func (c *Connection) TransportClosed(now time.Time, err error) {}

// ApproveStart accepts the control connection after StartRequested.
func (c *Connection) ApproveStart(now time.Time) error { return nil }

// RefuseStart refuses the control connection after StartRequested: with
// ControlNotAuthorized, ControlAlreadyExists or ControlGeneralError (then code
// says more).
func (c *Connection) RefuseStart(now time.Time, result pptp.ControlResult, code pptp.ErrorCode) error {
	return nil
}

// Stop ends the control connection in an orderly way. All calls end at once;
// Close follows when the peer has answered or its time is up.
func (c *Connection) Stop(now time.Time, reason pptp.StopReason) {}

// Abandon closes the connection without another word: for the loser of a
// collision (Wins) and for a connection that its owner has no more use for.
func (c *Connection) Abandon(now time.Time, err error) {}

// Probe asks for a sign of life at once and closes the connection if there is
// none within the Probe time. It is meant for the moment when a second
// connection comes from the same address.
func (c *Connection) Probe(now time.Time) {}

// OfferIncoming (as PAC) offers a ringing line to the PNS and returns the Call
// ID of the new call. IncomingAccepted or CallEnded follows.
func (c *Connection) OfferIncoming(now time.Time, offer IncomingOffer) (own uint16, err error) {
	return 0, ErrNotEstablished
}

// AnswerIncoming (as PNS) answers IncomingOffered. If it accepts,
// IncomingConnected or CallEnded follows; if it refuses, CallEnded.
func (c *Connection) AnswerIncoming(now time.Time, own uint16, answer IncomingAnswer) error {
	return ErrUnknownCall
}

// ConfirmIncoming (as PAC) says that the accepted incoming call is up.
func (c *Connection) ConfirmIncoming(now time.Time, own uint16, line LineConnected) error {
	return ErrUnknownCall
}

// RequestOutgoing (as PNS) asks the PAC to place a call and returns the Call ID
// of the new call. OutgoingConnected or CallEnded follows.
func (c *Connection) RequestOutgoing(now time.Time, request OutgoingRequest) (own uint16, err error) {
	return 0, ErrNotEstablished
}

// AnswerOutgoing (as PAC) answers OutgoingRequested: the call is up, or, with
// CallEnded following, it is not.
func (c *Connection) AnswerOutgoing(now time.Time, own uint16, answer OutgoingAnswer) error {
	return ErrUnknownCall
}

// ClearCall (as PNS) asks the PAC to end a call; before an incoming call is
// answered it refuses it. CallEnded follows. Doing it twice is no error.
func (c *Connection) ClearCall(now time.Time, own uint16) error { return ErrUnknownCall }

// DisconnectCall (as PAC) ends a call in any state, or confirms that a call is
// down after ClearRequested. CallEnded follows.
func (c *Connection) DisconnectCall(now time.Time, own uint16, d Disconnect) error {
	return ErrUnknownCall
}

// EndCall ends a call in the way its role has: DisconnectCall for a PAC,
// ClearCall for a PNS (then d is not used).
func (c *Connection) EndCall(now time.Time, own uint16, d Disconnect) error { return ErrUnknownCall }

// SetLinkInfo (as PNS) tells the PAC the ACCMs of an established call.
func (c *Connection) SetLinkInfo(now time.Time, own uint16, sendACCM, receiveACCM uint32) error {
	return ErrUnknownCall
}

// NotifyWANErrors (as PAC) tells the PNS the error counters of an established
// call, cumulative since its start. It may be called at any rate: what has not
// changed is not sent, and the rest at most once in the WANErrors time, the
// latest value winning.
func (c *Connection) NotifyWANErrors(now time.Time, own uint16, e pptp.WANErrors) error {
	return ErrUnknownCall
}

// Call returns what is known of a call.
func (c *Connection) Call(own uint16) (Call, bool) { return Call{}, false }

// Calls returns all calls in ascending order of our Call IDs.
func (c *Connection) Calls() []Call { return nil }

// Status returns the state of the control connection: established or not.
func (c *Connection) Status() fsm.State { return c.s.Control }

// Peer returns what the peer said of itself.
func (c *Connection) Peer() Identity { return c.s.Peer }

// Counters returns what was counted so far.
func (c *Connection) Counters() Counters { return c.s.Counters }

// State returns a deep copy of all mutable state. Actions must have been taken
// before: they are not part of it.
func (c *Connection) State() State { return c.s }

// Restore returns a Connection that goes on from s. cfg must be the one of the
// original, and cfg.CallIDs must know the Call IDs in use.
func Restore(cfg Config, s State) (*Connection, error) { return &Connection{cfg: cfg, s: s}, nil }
