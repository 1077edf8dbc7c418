// Package aaa decides who may log in to the network server: a Backend is asked for each attempt. The one here is a
// users file; RADIUS is another one behind the same interface.
package aaa

import (
	"context"
	"net/netip"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/ppp/auth"
)

// Backend knows users. Safe for concurrent use.
type Backend interface {
	// Authenticate judges one attempt. It may block until ctx ends, so it is never called from a shard's loop. It always
	// gives an Answer: trouble in the backend itself is a refusal with Trouble set.
	Authenticate(ctx context.Context, r Request) Answer
}

// String is how the users file writes the limit.
func (r Rate) String() string { return conf.BitRate{PerSecond: r.PerSecond}.String() }

// Request is an attempt to log in with what is known of the call.
type Request struct {
	auth.Attempt
	Peer     netip.Addr // the other end of the control connection: the client's address, or the PAC's
	Listener string     // name of the listener
	PAC      string     // name of the configured PAC; empty for clients of their own
	Session  uint64     // number of the session
	Dialed   string     // number called; dial-in calls
	Dialing  string     // number calling; dial-in calls
}

// Rates are the limits of a user's sessions: of IP packets from the client, and to it.
type Rates struct{ In, Out Rate }

// Filter is the name of the packet filter of a user's sessions; "" is none.
type Filter struct {
	Own  bool // the user's; otherwise what is configured holds
	Name string
}

// Rate is a limit in bits per second; 0 is no limit.
type Rate struct {
	Own       bool // the user's; otherwise what is configured holds
	PerSecond int64
}

// Answer is a Verdict with what the server itself needs to know about the user.
type Answer struct {
	auth.Verdict       // User is the account's name as the backend spells it
	Sessions     int   // sessions that the user may have at a time; 0 means the configured default
	Rates        Rates // that hold for the user's sessions
	Filter       Filter
	Routes       []netip.Prefix // networks behind the user
	Trouble      error          // the backend could not decide: an operator must act
}
