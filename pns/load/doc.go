// Package load makes calls to a PPTP server, and traffic in them: as many clients at once, or as a PAC that relays many callers over a
// few control connections. It says how fast calls are set up, why some fail, and what the tunnels carry, lose and delay. Any server
// that speaks RFC 2637 will do.
//
// There is no goroutine and no timer for a session. Each of a few shards is one event loop: it owns control connections with their calls,
// PPP links and traffic, one raw socket for the GRE packets of all of them (shared by the low bits of the Call IDs), and one heap of
// deadlines. Everything else is the pure machines below shared/.
package load
