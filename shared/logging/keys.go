package logging

// Field keys. One thing has one key, in both daemons, so that a log can be searched for a call or a user.
const (
	KeyPeer       = "peer"        // address of the other end of a control connection
	KeyControl    = "ctl"         // number of a control connection, unique in the life of a process
	KeyPACCallID  = "pac_call_id" // Call ID that the PAC assigned
	KeyPNSCallID  = "pns_call_id" // Call ID that the PNS assigned
	KeyCallSerial = "call_serial" // Call Serial Number
	KeyCall       = "call"        // identifier of a call as call records have it
	KeyLine       = "line"        // stable name of a line
	KeyDriver     = "driver"      // name of a line driver
	KeyUser       = "user"        // name that logged in, or tried to
	KeySession    = "session"     // number of a PPP session, unique in the life of a process
	KeyListener   = "listener"    // name of the listener a connection came in by
	KeyPAC        = "pac"         // name of the configured PAC a connection belongs to
	KeySite       = "site"        // name of the configured site that is called
	KeyPNS        = "pns"         // name of the configured PNS a call goes to
	KeyAddress    = "address"     // address leased to a client
	KeyFrom       = "from"        // state left
	KeyTo         = "to"          // state entered
	KeyEvent      = "event"       // what made a machine move
	KeyMessage    = "msg"         // control message, as its Summary says it
	KeyResult     = "result"      // Result Code
	KeyErrorCode  = "error_code"  // General Error Code
	KeyCause      = "cause"       // Cause Code, or why a call ended
	KeyDialed     = "dialed"      // number that was called
	KeyDialing    = "dialing"     // number that calls
	KeySpeed      = "speed"       // connect speed in bit/s
	KeyDuration   = "duration"    // of a call or session
	KeyOctetsIn   = "octets_in"   // received from the client
	KeyOctetsOut  = "octets_out"  // sent to the client
	KeyDropped    = "dropped"     // packets or frames not passed on
	KeyProtocol   = "protocol"    // authentication protocol or PPP protocol number
	KeyReason     = "reason"      // why something was refused or ended, for people
	KeyFile       = "file"        // path of a file
	KeyInterface  = "interface"   // name of a network interface
	KeyCount      = "count"       // how many of what the message says
	KeyAttempt    = "attempt"     // how many tries so far
	KeyWarning    = "warning"     // text of something an operator should look at
	KeyVersion    = "version"     // of a program
	KeyLimit      = "limit"       // the configured limit that was reached
	KeyEncryption = "encryption"  // what was agreed on for the data
)
