// Package hdlc is PPP in HDLC-like framing on asynchronous lines (RFC 1662): a Deframer turns the octets of a line
// into frames, a Framer turns frames into octets, with an async control character map (ACCM) for each direction, and a Detector
// says whether the far end of a line speaks PPP at all.
//
// What it knows of a frame's inside is only what framing needs: LCP packets are sent as if nothing had been
// negotiated (RFC 1662 section 7). Bit-synchronous framing, FCS-32 and the null FCS are left out.
//
// Everything here is pure: no clock, no line. A value belongs to one goroutine at a time.
package hdlc
