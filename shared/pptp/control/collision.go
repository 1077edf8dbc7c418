package control

import "net/netip"

// Wins decides a collision (RFC 2637 section 3.1.3): both ends have opened a
// control connection to each other at the same time. The connection opened by
// the end with the higher address, compared as an unsigned number, stays. ours
// and theirs are the two addresses of the TCP connections. The loser calls
// Abandon on the connection it opened and answers the other; the winner waits
// for the reply on its own and for the close of the other.
//
// ok is false if there is nothing to compare: equal addresses, or of different
// families. Behind NAT both ends may believe to have won, or to have lost; an
// originator whose connections both die must retry after a random delay.
// Windows does not know the rule.
func Wins(ours, theirs netip.Addr) (won, ok bool) {
	ours, theirs = ours.Unmap(), theirs.Unmap()
	if !ours.IsValid() || !theirs.IsValid() || ours.BitLen() != theirs.BitLen() {
		return false, false
	}
	order := ours.Compare(theirs)
	return order > 0, order != 0
}
