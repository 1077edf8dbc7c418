// Package measure is what the load generators (`pns load`, `pac caller --load`) have in common: what is counted of calls and of the packets in
// them, the report that comes of it, for programs and for people, and the line that tells on a terminal how far a run is.
//
// Nothing here is safe for concurrent use.
package measure
