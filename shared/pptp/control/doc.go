// Package control owns one PPTP control connection with all its calls (RFC
// 2637 sections 2 and 3).
//
// Connection is a pure machine: octets and commands go in with the time,
// actions come out. It reads no clock, starts no goroutine and calls nobody
// back, so one loop can own ten thousand of them. After every input the owner
// takes Actions and performs them in order, and arms one timer for Deadline:
//
//	c := control.New(now, cfg)
//	c.Receive(now, octets)                  // from TCP
//	for _, a := range c.Actions() { ... }   // Send to TCP, the rest is news
//	wake me at c.Deadline(), then c.Tick(now)
//
// Runner does this for a net.Conn with a goroutine of its own.
//
// A call is named by the Call ID that we assigned, whatever our role in it.
// Both roles occur on one connection. As a PAC the owner says OfferIncoming,
// ConfirmIncoming, AnswerOutgoing, DisconnectCall, NotifyWANErrors; as a PNS
// RequestOutgoing, AnswerIncoming, ClearCall, SetLinkInfo. EndCall ends a call
// in either role. Every call the owner has heard of is ended by exactly one
// CallEnded, also when TCP dies; after CallEnded its Call ID means nothing.
//
// All mutable state is in State, which can be encoded and restored elsewhere.
//
// What the peer does wrong without harming the framing (an unknown Call ID, a
// message in the wrong state or role, an unknown type) is ignored and reported
// by Misbehaved. Lost framing, a flood of messages, half a message that never
// ends, and no beginning in time are reported so too, and close the connection;
// silence later closes it.
package control
