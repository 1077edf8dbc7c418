// Package pptp encodes and decodes the fifteen control messages of the
// Point-to-Point Tunneling Protocol (RFC 2637 section 2) and cuts the octet
// stream of a control connection into messages.
//
// It knows layouts, lengths, codes and names. What a message means, who may
// send it and when is the business of the packages fsm and control.
//
// Every message is a struct with the RFC's name and field names. Reserved
// fields are kept, so a message that was decoded encodes to the same octets.
// Two names differ from the RFC on purpose: a Call ID is named by who assigned
// it (PACCallID, PNSCallID), because "Call ID" and "Peer's Call ID" mean
// opposite things in different messages.
//
// Values are not judged here: a result code outside its list, an odd
// capability or a reserved field that is not zero decodes well, because real
// peers send all of these. Lengths, the magic cookie and the message type are
// judged, because without them the stream has lost its framing.
//
// The package is pure. Nothing in it is safe for concurrent use.
package pptp
