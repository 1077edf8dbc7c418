package line

import "fmt"

// State is where a line is in its life; see the package comment. The zero
// State is StateDown.
type State uint8

// States.
const (
	StateDown State = iota
	StateIdle
	StateRinging
	StateAnswering
	StateDialing
	StateConnected
	StateReleasing // the call is over, the line not yet proved free
	StateClosed    // shut down
)

var stateNames = [...]string{
	StateDown: "down", StateIdle: "idle", StateRinging: "ringing", StateAnswering: "answering",
	StateDialing: "dialing", StateConnected: "connected", StateReleasing: "releasing", StateClosed: "closed",
}

// String returns the name of the state.
func (s State) String() string { return enumName(stateNames[:], int(s), "state") }

// MarshalText returns the name of the state.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts what MarshalText produced.
func (s *State) UnmarshalText(text []byte) error {
	n, err := enumValue(stateNames[:], string(text), "state")
	*s = State(n)
	return err
}

// Status is a line's state as its events tell it: fold every event of a line
// into the zero Status with Apply. It is plain data. Not safe for concurrent
// use.
type Status struct {
	State     State
	Sequence  uint64 // of the last event applied
	LastCall  Call   // highest call number seen
	Call      Call   // call in progress or being cleared; 0 when idle or down
	Incoming  bool   // Call is an incoming one
	Equipment string
	Cause     Cause     // why the line is down, or why the last call ended
	Ringing   Ringing   // of Call, if it is an incoming one
	Number    string    // dialed, if Call is an outgoing one
	Connected Connected // of Call, once connected
	Counters  Counters  // of Call; of the last call after its end
}

// TransitionError is an event that the contract does not allow where the line
// stood.
type TransitionError struct {
	State State // before the event
	Call  Call  // in progress before the event
	Event Event
}

// Error says what came where.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("line: event %d %s of call %d in state %s of call %d", e.Event.Sequence, e.Event.Body.Kind(), e.Event.Call, e.State, e.Call)
}

// Apply folds the next event in. An event that the contract does not allow is
// reported as a *TransitionError and folded in all the same, as far as it
// makes sense, so that a reader can go on with a faulty driver.
func (s *Status) Apply(e Event) error {
	ok := e.Sequence > s.Sequence && s.allows(e)
	var err error
	if !ok {
		err = &TransitionError{State: s.State, Call: s.Call, Event: e}
	}
	s.Sequence = max(s.Sequence, e.Sequence)
	s.LastCall = max(s.LastCall, e.Call)
	s.fold(e)
	return err
}

// allowed lists for each kind the states in which it may come.
var allowed = [...][]State{
	KindUp:             {StateDown},
	KindDown:           {StateDown, StateIdle, StateReleasing},
	KindRinging:        {StateIdle},
	KindRingingStopped: {StateRinging},
	KindAnswering:      {StateRinging},
	KindDialing:        {StateIdle},
	KindConnected:      {StateAnswering, StateDialing},
	KindLost:           {StateAnswering, StateConnected},
	KindDialFailed:     {StateDialing},
	KindIdle:           {StateReleasing},
	KindProgress:       {StateRinging, StateAnswering, StateDialing, StateConnected, StateReleasing},
	KindCounters:       {StateConnected},
	KindRecovered:      {StateDown},
}

func (s *Status) allows(e Event) bool {
	kind := e.Body.Kind()
	if int(kind) >= len(allowed) || !stateIn(s.State, allowed[kind]) {
		return false
	}
	switch kind {
	case KindUp, KindDown:
		return e.Call == 0
	case KindRecovered:
		return s.Sequence == 0
	case KindRinging, KindDialing:
		return e.Call > s.LastCall
	}
	return e.Call == s.Call
}

func stateIn(s State, set []State) bool {
	for _, one := range set {
		if s == one {
			return true
		}
	}
	return false
}

func (s *Status) fold(e Event) {
	switch b := e.Body.(type) {
	case Up:
		s.State, s.Equipment, s.Cause, s.Call = StateIdle, b.Equipment, Cause{}, 0
	case Down:
		s.State, s.Cause, s.Call = StateDown, b.Cause, 0
		if b.Cause.Code == CauseShutdown {
			s.State = StateClosed
		}
	case Ringing:
		s.begin(e.Call, true, StateRinging)
		s.Ringing = b
	case Dialing:
		s.begin(e.Call, false, StateDialing)
		s.Number = b.Number
	case Answering:
		s.State = StateAnswering
	case Connected:
		s.State, s.Connected = StateConnected, b
	case RingingStopped:
		s.State, s.Cause = StateReleasing, b.Cause
	case DialFailed:
		s.State, s.Cause = StateReleasing, b.Cause
	case Lost:
		s.State, s.Cause, s.Counters = StateReleasing, b.Cause, b.Counters
	case Idle:
		s.State, s.Call = StateIdle, 0
	case CountersChanged:
		s.Counters = b.Counters
	case Recovered:
		sequence := s.Sequence
		*s = b.Status
		s.Sequence = sequence
	}
}

func (s *Status) begin(call Call, incoming bool, state State) {
	*s = Status{State: state, Sequence: s.Sequence, LastCall: s.LastCall, Call: call, Incoming: incoming, Equipment: s.Equipment}
}
