// Package gre is the enhanced GRE of PPTP (RFC 2637 section 4): the header codec, and per call the two halves of the
// flow state. A Receiver puts what arrives back into order and knows which acknowledgement is owed; a Sender numbers
// what leaves, carries the acknowledgements and keeps the sliding window with its adaptive time-out.
//
// The halves share nothing, so that two goroutines (or a goroutine and a lock) may own them. Two values cross between
// them, both plain numbers: the Ack of the Receiver goes to Sender.Owe, and the acknowledgement number of a packet
// received goes to Sender.Acknowledged.
//
// Everything here is pure: no clock, no socket, no lock. Neither half allocates for a packet that is in order.
// Checksum and routing of RFC 1701 are left out, as RFC 2637 forbids both. Sockets are in the package tunnel below.
package gre
