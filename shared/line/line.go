package line

import "context"

// ContractVersion counts incompatible changes of this package. A driver
// states in Info the version it was built for.
const ContractVersion = 2

// Driver opens the lines of one kind. Its methods are safe for concurrent use.
type Driver interface {
	// Info says who the driver is and what it can do. It is constant for the
	// life of the process and does not block.
	Info() Info

	// Open checks the section and opens its lines. It does not wait for the
	// devices: a line whose device is missing or silent is returned all the
	// same and stays down, as its events tell. An error (ErrConfiguration)
	// means that the section is unusable, and then no line is open. ctx
	// bounds Open itself, not the lines, which live until their Shutdown.
	Open(ctx context.Context, section Section) ([]Line, error)
}

// Info describes a driver.
type Info struct {
	Name         string // short and stable, for example "modem"
	Version      string // of the driver, for people
	Contract     uint32 // ContractVersion it was built for
	Capabilities Capabilities
}

// Capabilities is what the lines of a driver can do. It is the truth about
// optional behaviour: a command that the capabilities exclude fails with
// ErrUnsupported.
type Capabilities struct {
	Answer       bool // takes incoming calls
	Reject       bool // Reject ends the ringing for the caller; otherwise the line only stops caring
	Dial         bool // makes outgoing calls
	CallerNumber bool // may report Ringing.Dialing
	CalledNumber bool // may report Ringing.Dialed from the line itself, not only from configuration
	Counters     bool // reports error counters of the hardware
	Service      bool // its lines can be reset, tested and made busy
	// Recover: the lines need no host to go on. A connected call keeps its
	// state while nobody reads events or data (data waits, by back-pressure),
	// so a driver process may keep its lines while the host is replaced. The
	// first event a new host sees of such a line is Recovered.
	Recover  bool
	Bearers  Bearer  // bearers that some line may have
	Framings Framing // framings that some line may have
}

// Section is the part of the configuration that belongs to a driver.
type Section struct {
	Name string // of the section, unique among the sections given to one host
	File string // where the text comes from, for error messages; may be empty
	Line int    // number of lines in File before the text; 0 if unknown
	Text []byte // TOML; its keys are the driver's own and are checked by it strictly
}

// Bearer is a set of bearer kinds; the bits are those of RFC 2637 section 2.1.
type Bearer uint32

// Bearers.
const (
	BearerAnalog  Bearer = 1
	BearerDigital Bearer = 2
)

// Framing is a set of framing kinds; the bits are those of RFC 2637 section
// 2.1. It says what Read and Write carry.
type Framing uint32

// Framings.
const (
	// FramingAsync: Read and Write carry octets of an asynchronous stream.
	// The host does the framing of RFC 1662 section 4 (octet-stuffed).
	FramingAsync Framing = 1
	// FramingSync: each Read and each Write is one whole frame, without
	// flags, stuffing and frame check sequence.
	FramingSync Framing = 2
)

// Identity names a line for as long as its configuration stands.
type Identity struct {
	Name            string // stable and unique within the host
	Device          string // what it is plugged into, for people; empty for none
	PhysicalChannel uint32 // for RFC 2637 messages
	Number          string // its own telephone number; empty if unknown
	Bearers         Bearer
	Framings        Framing
	MinimumBPS      uint32 // the slowest connection it can make, in bits per second; 0: unknown
	MaximumBPS      uint32 // the fastest; 0: unknown
}

// Line is one telephone line. Identity, Events and the commands are safe for
// concurrent use. One goroutine may read while another writes, but two must
// not read, nor two write, at once.
type Line interface {
	Identity() Identity

	// Events is the one event stream of the line; every call returns the same
	// channel and it has one reader. It is bounded (EventCapacity) and no
	// event of the line's life is ever dropped: a line whose reader has fallen
	// behind takes no new call, and does not report itself up, until there is
	// room for all that such a call may have to say. Counters and Progress
	// are dropped when there is no room. The last event is Down with
	// CauseShutdown; then the channel is closed.
	Events() <-chan Event

	// Answer takes the call that rings. ErrNoCall: it does not ring any more.
	Answer(ctx context.Context, call Call) error

	// Reject refuses the call that rings, telling the network why if it can
	// be told. Without Capabilities.Reject the caller hears it ring on.
	Reject(ctx context.Context, call Call, cause Cause) error

	// Dial starts an outgoing call and returns its number, which the events
	// will carry. ErrBusy: the line is not idle; ErrDown: it does not work;
	// ErrInvalid: the request cannot be carried out by any line of this kind
	// (a number with forbidden characters, a bearer it does not have).
	Dial(ctx context.Context, request DialRequest) (Call, error)

	// Hangup ends the call in whatever state it is: a ringing one as Reject
	// does. Reading and writing end at once, Lost or DialFailed with
	// CauseHangup (RingingStopped with CauseRejected) follows, then Idle.
	// ErrNoCall: that call is over already.
	Hangup(ctx context.Context, call Call) error

	// Service has the line do something for its operator. ErrBusy: a call is
	// in progress; ErrInvalid: there is no such service.
	Service(ctx context.Context, service Service) error

	// Shutdown hangs up whatever goes on, frees the device and returns when
	// that is done, nil then. If ctx ends first the device is closed at once,
	// without courtesy, and the error of ctx is returned; nothing of the line
	// is left in either case. The second and every later Shutdown does the
	// same wait and is otherwise without effect.
	Shutdown(ctx context.Context) error

	// Read returns what came from the far end of the connected call. It
	// blocks until there is at least one octet and returns what there is, at
	// most len(p). On a synchronous line it returns one frame; a frame longer
	// than p is an error (ErrInvalid) and is discarded.
	//
	// A call that ends, from either side, first yields what had been received
	// by then, and then 0, io.EOF for every Read until the next Answer or Dial
	// is taken. Reads that begin when no call was ever connected since then
	// return 0, ErrNotConnected at once; they do not wait for a connection. A
	// blocked Read is freed by the end of the call and by Shutdown (ErrClosed
	// when the line is gone). There is no deadline and never 0, nil.
	// p is the caller's again when Read returns.
	Read(p []byte) (int, error)

	// Write sends to the far end of the connected call, in order. It blocks
	// while the line takes nothing (back-pressure: flow control, speed), and
	// returns when all of p has been handed to the device, which may be before
	// it has been sent. It fails with the number of octets taken and
	// ErrNotConnected when no call is connected or the call ends meanwhile,
	// ErrStalled when the device took nothing at all for so long that the
	// driver gives up (the call goes on and the stall is counted), ErrClosed
	// after Shutdown. There is no deadline; the end of the call frees a
	// blocked Write. On a synchronous line p is one frame. p is not kept.
	Write(p []byte) (int, error)
}

// DialRequest is an outgoing call. The zero value of a field means no wish.
type DialRequest struct {
	Number     string  // digits, and what else the network understands (*, #, comma, W, ...)
	Subaddress string  // RFC 2637 section 2.7
	Bearer     Bearer  // acceptable bearers
	Framing    Framing // acceptable framings
	// MinimumBPS and MaximumBPS bound the speed of the connection in bits
	// per second. A connection outside them ends as DialFailed with
	// CauseNotAllowed.
	MinimumBPS uint32
	MaximumBPS uint32
}
