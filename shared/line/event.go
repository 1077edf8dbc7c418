package line

import "time"

// Call is the number of a call on its line. Zero means none.
type Call uint64

// Event is one thing that happened on a line.
type Event struct {
	Sequence uint64    // counts the events of the line from 1; Counters and Progress that were dropped leave gaps
	At       time.Time // when it happened, by the driver's clock
	Call     Call      // the call it belongs to; 0 for Up and Down
	Body     Body      // what happened; never nil
}

// Body is what happened: one of the event types of this package. Bodies are
// plain data, passed by value.
type Body interface {
	// Kind names the event in logs and on the wire.
	Kind() Kind
}

// Up: the line works and is idle.
type Up struct {
	Equipment string // what the device says it is; may be empty
}

// Down: the line does not work, and takes no call until Up.
type Down struct {
	Cause Cause
	// Retry is how long until the driver tries again; 0 if it will not, or
	// at once when something changes.
	Retry time.Duration
}

// Ringing: an incoming call waits to be answered. It comes once per call.
type Ringing struct {
	Dialed     string // called number, digits; empty if unknown
	Dialing    string // calling number, digits; empty if unknown or withheld
	Subaddress string // of the called party
	Name       string // of the caller, printable ASCII
	Withheld   bool   // the caller asked that the number be not shown
	Cadence    string // distinctive ring, as the device names it ("1", "B", ...); empty for the plain one
	Bearer     Bearer // of this call; exactly one bit
	Since      time.Time
}

// RingingStopped: a call that was never answered is over.
type RingingStopped struct {
	Cause Cause // CauseCallerGaveUp, CauseRejected, or why the line failed
}

// Answering: the line has gone off hook for the call that rang.
type Answering struct{}

// Dialing: the line has gone off hook for an outgoing call.
type Dialing struct {
	Number string
}

// Connected: the call carries data from here on.
type Connected struct {
	// RxSpeed and TxSpeed are the true speeds on the telephone line in bits
	// per second, as received and sent by this side. SpeedKnown is false when
	// the device did not tell them and they are the configured assumption.
	RxSpeed    uint32
	TxSpeed    uint32
	SpeedKnown bool
	DTESpeed   uint32  // between host and device; 0 if there is no such thing
	Bearer     Bearer  // exactly one bit
	Framing    Framing // exactly one bit
	// Modulation, ErrorControl and Compression in the spelling of the ITU
	// where there is one ("V.34", "LAPM", "V.42bis"); "none" if the device
	// says there is none, empty if it does not say.
	Modulation   string
	ErrorControl string
	Compression  string
	Raw          string // what the device said, for people
}

// Lost: a call that was answered, or was connected, is over. What had been
// received can still be read.
type Lost struct {
	Cause    Cause
	Counters Counters // final ones of the call
	// Report: the device is asked about the call, and Idle is expected to have what it says.
	Report bool
}

// DialFailed: an outgoing call did not come about.
type DialFailed struct {
	Cause Cause
}

// Idle: the line has been proved free after a call.
type Idle struct {
	// Report is what the device said about the call that is over, when asked;
	// printable ASCII of at most MaxReport octets, empty if there is none.
	Report string
}

// MaxReport is the longest Idle.Report, in octets.
const MaxReport = 1000

// Progress: something worth telling people about a call being set up. It may
// be dropped.
type Progress struct {
	Text string // printable ASCII
}

// CountersChanged: error counters of the call in progress, at most once in a
// few seconds and only if they changed. It may be dropped.
type CountersChanged struct {
	Counters Counters
}

// Recovered: the host is new to a line that is already at work; this is how
// it stands. It is the first event that such a host sees.
type Recovered struct {
	Status Status
}

// Counters are the totals of one call since it was connected. Octets are as
// the host sees them. A device that cannot count an error leaves it at 0.
type Counters struct {
	RxOctets         uint64
	TxOctets         uint64
	FramingErrors    uint64 // characters without a proper stop bit
	ParityErrors     uint64
	HardwareOverruns uint64 // lost in the UART
	BufferOverruns   uint64 // lost in a queue of the driver or the kernel
	Breaks           uint64
	Stalls           uint64 // times the device refused data for too long
}

// Kind enumerates the event types. The values are part of the contract.
type Kind uint8

// Kinds.
const (
	KindUp Kind = iota + 1
	KindDown
	KindRinging
	KindRingingStopped
	KindAnswering
	KindDialing
	KindConnected
	KindLost
	KindDialFailed
	KindIdle
	KindProgress
	KindCounters
	KindRecovered
)

var kindNames = [...]string{
	KindUp: "up", KindDown: "down", KindRinging: "ringing", KindRingingStopped: "ringing-stopped",
	KindAnswering: "answering", KindDialing: "dialing", KindConnected: "connected", KindLost: "lost",
	KindDialFailed: "dial-failed", KindIdle: "idle", KindProgress: "progress", KindCounters: "counters",
	KindRecovered: "recovered",
}

// String returns the name of the kind.
func (k Kind) String() string { return enumName(kindNames[:], int(k), "kind") }

// Droppable says whether an event of this kind may be lost when the stream is
// full.
func (k Kind) Droppable() bool { return k == KindProgress || k == KindCounters }

// Kind returns KindUp.
func (Up) Kind() Kind { return KindUp }

// Kind returns KindDown.
func (Down) Kind() Kind { return KindDown }

// Kind returns KindRinging.
func (Ringing) Kind() Kind { return KindRinging }

// Kind returns KindRingingStopped.
func (RingingStopped) Kind() Kind { return KindRingingStopped }

// Kind returns KindAnswering.
func (Answering) Kind() Kind { return KindAnswering }

// Kind returns KindDialing.
func (Dialing) Kind() Kind { return KindDialing }

// Kind returns KindConnected.
func (Connected) Kind() Kind { return KindConnected }

// Kind returns KindLost.
func (Lost) Kind() Kind { return KindLost }

// Kind returns KindDialFailed.
func (DialFailed) Kind() Kind { return KindDialFailed }

// Kind returns KindIdle.
func (Idle) Kind() Kind { return KindIdle }

// Kind returns KindProgress.
func (Progress) Kind() Kind { return KindProgress }

// Kind returns KindCounters.
func (CountersChanged) Kind() Kind { return KindCounters }

// Kind returns KindRecovered.
func (Recovered) Kind() Kind { return KindRecovered }
