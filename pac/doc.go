// Package pac is the PPTP access concentrator: it supervises lines, offers their calls to network servers and relays the calls
// that are taken.
//
// Who owns what: a goroutine per line (lineOwner) owns the line's state and its call, if there is one; a goroutine per network
// server (network) keeps the control connection up, and the control connection itself is owned by its driver
// (shared/pptp/control). They reach each other by bounded mailboxes. A call's data path is a relay.Relay.
package pac
