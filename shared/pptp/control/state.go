package control

import (
	"time"

	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/fsm"
)

// State is the whole mutable state of a Connection as plain data; it can be
// encoded by encoding/gob and encoding/json.
type State struct {
	Partial []byte      // octets received that are not processed yet
	Calls   []CallState // in ascending order of our Call IDs
	OwnState
}

// OwnState is what a Connection knows besides what its parts do.
type OwnState struct {
	Control fsm.State
	Due     time.Time // when the time in this state is up; zero for none
	Peer    Identity
	Version pptp.ProtocolVersion // in use, or asked for in wait_approval
	Reason  pptp.StopReason      // that we gave in the Stop request

	Heard          time.Time // when the last whole message came
	EchoDue        time.Time // an Echo-Request is unanswered and must be by then; zero if none is
	EchoIdentifier uint32    // of the last Echo-Request; they count up
	EchoAnswered   uint32    // of the last Echo-Reply

	PartialDue time.Time // when the message that has begun must be complete; zero if none is begun

	// NamesRightly is set once the peer has named a call in a
	// Call-Disconnect-Notify or Call-Clear-Request as the RFC wants.
	NamesRightly bool

	Tokens   float64 // messages the peer may send at once, as of TokensAt
	TokensAt time.Time

	Counters Counters
}

// CallState is the state of one call.
type CallState struct {
	Call     Call
	Due      time.Time // when the time in its state is up; zero for none
	Reported bool      // CallEnded has been reported, the call lingers

	WANErrors     pptp.WANErrors // last counters the owner gave
	WANErrorsSent time.Time      // when counters were last sent, zero for never
	WANErrorsDue  time.Time      // when the counters must be sent; zero if nothing is held back
}

// Counters count what happened on a connection.
type Counters struct {
	MessagesReceived uint64
	MessagesSent     uint64
	Misbehaved       uint64 // faults of the peer
	CallsReceived    uint64 // offered or requested by the peer, refused ones included
	CallsPlaced      uint64 // offered or requested by us
}
