// Package dataplane moves IP packets between enhanced GRE (RFC 2637 section 4) and the TUN device of pns.
//
// The way in: a batch of GRE packets from the raw socket of one local address; per packet one look-up by
// (remote address, own Call ID), reordering, PPP header, MPPE, source check, TCP MSS; then one batched write to the TUN.
// The way out: a batch from the TUN; per packet one look-up by destination, MPPE and the GRE header under the send
// lock of that one session; then one batched send. Nothing on either way allocates, logs, reads a clock per packet or takes a lock that
// sessions share. Frames that are not data go to the session's owner (a shard of pns) by a bounded inbox.
//
// The owner of a session publishes what the data plane may do by Entry.Open and takes it back by Entry.Close; all the
// rest of an Entry (sequence numbers, keys in motion, counters) belongs to the data plane.
package dataplane
