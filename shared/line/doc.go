// Package line is the contract between a concentrator and whatever drives its
// telephone lines: analog modems, ISDN terminal adapters, virtual lines. It
// holds interfaces and plain data only, so that a driver may run in the same
// process or in another one without either side noticing.
//
// # The life of a line
//
// A line is in exactly one State at a time and says so by its events alone;
// Status.Apply folds the events of one line into its state and refuses a
// sequence that the contract does not allow.
//
//	          Up                Ringing              Answering
//	down ----------> idle ------------------> ringing ---------> answering
//	 ^                 | ^                       |                  |  |
//	 | Down            | | Idle                  | RingingStopped   |  | Connected
//	 | (from any       | +------- releasing <----+                  |  v
//	 |  state without  |             ^  ^  ^-------- Lost ----------+ connected
//	 |  a call, and    | Dialing     |  +----------- Lost ------------+  ^
//	 |  from           v             |                                   |
//	 |  releasing)  dialing ---------+ DialFailed                        |
//	                   +------------------------- Connected -------------+
//
// Idle to ringing: somebody calls. Nothing is answered yet; the host decides
// and says Answer or Reject. The event comes once per call, when caller and
// called number are known or can no longer be expected. Ringing that ends by
// itself, or is rejected, ends with RingingStopped.
//
// Answer and Dial lead through answering or dialing to Connected, or to Lost
// (answered, but no connection came of it) or DialFailed.
//
// Whatever ends a call, the event that says so (RingingStopped, Lost or
// DialFailed) comes exactly once, at the moment the call is over, and leaves
// the line releasing. It is idle again, and Idle says so, only when the driver
// has made sure that the line is on hook and obeys commands: a line that
// reports Idle takes the next call. A line that cannot be freed, or that
// vanishes, reports Down instead of Idle (after the event that ended its call)
// and Up when it works again.
//
// # Calls
//
// Every call on a line has a Call number, given by the line, never zero, never
// reused while the line is open and growing from call to call. Events and
// commands carry it, so that a command meant for a call that is over cannot
// reach its successor: it fails with ErrNoCall.
//
// # Commands
//
// A command returns as soon as the line has taken or refused it; what comes of
// it is told by events. Commands may be given from any goroutine. Shutdown
// alone waits for its effect. Cancelling the context of a command abandons the
// wait for its acceptance, nothing else: the command may still be carried out.
//
// A Service takes the line down for a while. Its events tell what comes of it:
// Down with CauseMaintenance, then Up, or Down with the reason why not.
//
// # Data
//
// Read and Write are the octets, or on a synchronous line the frames, of the
// call that is connected. Line states their rules. They belong to one call at
// a time: the host has stopped reading and writing the old call before it says
// Answer or Dial again, and so no octet of one caller can reach another.
//
// # Processes
//
// Everything that crosses this interface, errors included, is plain data with
// a code of its own. A driver that lives in another process and dies is seen as
// Lost with CauseDriver for a call in progress, then Down with CauseDriver.
package line
