package control

import "errors"

// What commands answer when they cannot be obeyed. Nothing has changed then.
var (
	ErrNotEstablished = errors.New("control connection is not established")
	ErrUnknownCall    = errors.New("no such call")
	ErrWrongRole      = errors.New("the command belongs to the other role")
	ErrWrongState     = errors.New("the state does not admit the command")
	ErrTooManyCalls   = errors.New("too many calls on the control connection")
	ErrNoCallID       = errors.New("no Call ID is free")
)

// What can be wrong when a connection ends (ConnectionEnded.Err, Close.Err),
// besides the pptp decoder's errors and what TransportClosed was given.
var (
	ErrTimeOut         = errors.New("control connection was not established in time")
	ErrNotDecided      = errors.New("whether to accept the control connection was not decided in time")
	ErrRefused         = errors.New("control connection was refused")
	ErrNotPPTP         = errors.New("peer did not begin with a Start message")
	ErrSilent          = errors.New("peer is silent: Echo-Request not answered")
	ErrHalfMessage     = errors.New("a control message was begun and not finished in time")
	ErrFlood           = errors.New("peer sends too many messages")
	ErrTransportClosed = errors.New("TCP connection was closed without a Stop request")
)
