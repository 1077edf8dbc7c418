// Package tunnel carries the enhanced GRE packets of package gre over IP: a Socket is a raw IP socket of protocol 47
// bound to one local address, read and written in batches; a Mux hands the packets that arrive to the calls they belong
// to, and only those that come from the address that owns the call.
//
// Conn is what both the Socket and the in-memory network of package gretest are. Addresses are netip.Addr everywhere, IPv4
// ones never in their IPv6-mapped form. A link-local IPv6 address has the name of its interface as its zone, all others have none.
//
// Nothing here knows a call's state: order and acknowledgements are package gre's.
package tunnel
