package line

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

var bodies = []Body{Up{}, Down{}, Ringing{}, RingingStopped{}, Answering{}, Dialing{}, Connected{}, Lost{}, DialFailed{}, Idle{}, Progress{}, CountersChanged{}, Recovered{}}

var states = []State{StateDown, StateIdle, StateRinging, StateAnswering, StateDialing, StateConnected, StateReleasing, StateClosed}

// transitions is the contract's table: for each state the next one for each
// event that it allows.
var transitions = map[State]map[Kind]State{
	StateDown:      {KindUp: StateIdle, KindDown: StateDown, KindRecovered: StateConnected},
	StateIdle:      {KindRinging: StateRinging, KindDialing: StateDialing, KindDown: StateDown},
	StateRinging:   {KindRingingStopped: StateReleasing, KindAnswering: StateAnswering, KindProgress: StateRinging},
	StateAnswering: {KindConnected: StateConnected, KindLost: StateReleasing, KindProgress: StateAnswering},
	StateDialing:   {KindConnected: StateConnected, KindDialFailed: StateReleasing, KindProgress: StateDialing},
	StateConnected: {KindLost: StateReleasing, KindCounters: StateConnected, KindProgress: StateConnected},
	StateReleasing: {KindIdle: StateIdle, KindDown: StateDown, KindProgress: StateReleasing},
	StateClosed:    {},
}

func callFor(k Kind, current Call) Call {
	switch k {
	case KindUp, KindDown, KindRecovered:
		return 0
	case KindRinging, KindDialing:
		return current + 1
	}
	return current
}

func TestEveryStateAndEvent(t *testing.T) {
	for _, state := range states {
		for _, body := range bodies {
			s := Status{State: state, Sequence: 7, LastCall: 3, Call: 3}
			if body.Kind() == KindRecovered {
				s.Sequence, body = 0, Recovered{Status{State: StateConnected, Sequence: 99}}
			}
			err := s.Apply(Event{Sequence: s.Sequence + 1, Call: callFor(body.Kind(), 3), Body: body})
			want, ok := transitions[state][body.Kind()]
			if ok != (err == nil) {
				t.Errorf("%v in state %v: %v", body.Kind(), state, err)
			}
			if ok && s.State != want {
				t.Errorf("%v in state %v leads to %v instead of %v", body.Kind(), state, s.State, want)
			}
			var te *TransitionError
			if err != nil && (!errors.As(err, &te) || te.State != state || !strings.Contains(err.Error(), state.String())) {
				t.Errorf("error %v", err)
			}
		}
	}
}

func TestWrongCallAndSequence(t *testing.T) {
	s := Status{State: StateRinging, Sequence: 7, LastCall: 3, Call: 3}
	if s.Apply(Event{Sequence: 8, Call: 2, Body: Answering{}}) == nil {
		t.Error("an event of another call was accepted")
	}
	s = Status{State: StateIdle, Sequence: 7, LastCall: 3}
	if s.Apply(Event{Sequence: 8, Call: 3, Body: Ringing{}}) == nil {
		t.Error("a call number was accepted twice")
	}
	s = Status{State: StateIdle, Sequence: 7, LastCall: 3}
	if s.Apply(Event{Sequence: 7, Call: 4, Body: Ringing{}}) == nil {
		t.Error("a sequence number was accepted twice")
	}
	if s.State != StateRinging {
		t.Error("a wrong event was not folded in")
	}
}

func TestRandomEventsNeverPanic(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	var s Status
	for i := range 20000 {
		_ = s.Apply(Event{Sequence: uint64(i), Call: Call(r.Uint64N(4)), Body: bodies[r.IntN(len(bodies))]})
		if s.State > StateClosed {
			t.Fatalf("seed %d: state %v", seed, s.State)
		}
	}
}

func TestStatusEncodes(t *testing.T) {
	var s Status
	for i, e := range []Event{{Body: Up{Equipment: "x"}}, {Call: 1, Body: Ringing{Dialing: "5", Bearer: BearerAnalog, Since: time.Unix(5, 0).UTC()}},
		{Call: 1, Body: Answering{}}, {Call: 1, Body: Connected{RxSpeed: 33600, Raw: "CONNECT"}}, {Call: 1, Body: CountersChanged{Counters{FramingErrors: 2}}}} {
		e.Sequence = uint64(i + 1)
		if err := s.Apply(e); err != nil {
			t.Fatal(err)
		}
	}
	var viaGob, viaJSON Status
	var buffer bytes.Buffer
	if err := gob.NewEncoder(&buffer).Encode(s); err != nil {
		t.Fatal(err)
	}
	if err := gob.NewDecoder(&buffer).Decode(&viaGob); err != nil || !reflect.DeepEqual(s, viaGob) {
		t.Errorf("gob: %v %+v", err, viaGob)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &viaJSON); err != nil || !reflect.DeepEqual(s, viaJSON) {
		t.Errorf("json: %v %+v", err, viaJSON)
	}
	next := Status{}
	if err := next.Apply(Event{Sequence: 1, Body: Recovered{viaGob}}); err != nil || next.State != StateConnected {
		t.Errorf("recovered: %v %v", err, next.State)
	}
	if err := next.Apply(Event{Sequence: 2, Call: 1, Body: Lost{}}); err != nil || next.State != StateReleasing {
		t.Errorf("lost after recovery: %v %v", err, next.State)
	}
}
