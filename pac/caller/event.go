package caller

import "time"

// Kind is what an Event is about.
type Kind string

// The kinds.
const (
	KindDialing  Kind = "dialing"
	KindProgress Kind = "progress"
	KindConnect  Kind = "connect"
	KindPhase    Kind = "ppp" // LCP, authentication, encryption, addresses
	KindNetwork  Kind = "network"
	KindReply    Kind = "ping"
	KindLost     Kind = "lost"
	KindProbe    Kind = "pings" // a series is over
	KindEnded    Kind = "ended" // of the link
	KindHangup   Kind = "hangup"
)

// Event is one step of a call.
type Event struct {
	At    time.Time     `json:"at"`
	Since time.Duration `json:"since"` // since dialing
	Kind  Kind          `json:"kind"`
	Text  string        `json:"text"` // for people
}
