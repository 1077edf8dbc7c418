package control

import (
	"cmp"
	"math/bits"
	"slices"
	"time"

	"trunkline.example/shared/pptp/fsm"
)

// callTable holds the calls of a connection in ascending order of our Call
// IDs, and knows the next instant one of them cares about. The zero value is
// empty.
type callTable struct {
	list    []*CallState
	pending []*CallState // those of list that have an instant, in the same order: all that are not established, and few others
	next    time.Time    // earliest Due or WANErrorsDue; not valid if stale
	stale   bool

	theirs  map[theirsKey]*CallState // calls whose other Call ID is known; nil until there are many
	doubles bool                     // two calls have had the same, so that theirs is not to be trusted
}

// theirsKey is how the other end names a call.
type theirsKey struct {
	role fsm.Role // ours
	id   uint16
}

// fewCalls are looked through faster than they are kept in a map, and with less memory.
const fewCalls = 64

func (t *callTable) search(own uint16) (int, bool) { return search(t.list, own) }

// search finds the place of our Call ID own in calls in ascending order.
func search(calls []*CallState, own uint16) (int, bool) {
	return slices.BinarySearchFunc(calls, own, func(c *CallState, own uint16) int {
		return cmp.Compare(c.Call.Own(), own)
	})
}

// get returns the call with our Call ID own, or nil.
func (t *callTable) get(own uint16) *CallState {
	if i, ok := t.search(own); ok {
		return t.list[i]
	}
	return nil
}

func (t *callTable) insert(call *CallState) {
	i, _ := t.search(call.Call.Own())
	t.list = slices.Insert(t.list, i, call)
	t.note(call)
	t.identified(call)
}

// identified notes that the other end's Call ID may have become known.
func (t *callTable) identified(call *CallState) {
	id, known := call.Call.Theirs()
	if t.theirs == nil || !known || t.get(call.Call.Own()) != call {
		return
	}
	key := theirsKey{call.Call.Role, id}
	if other := t.theirs[key]; other != nil && other != call {
		t.doubles = true
		return
	}
	t.theirs[key] = call
}

// note puts the call among those that have an instant, or takes it out.
func (t *callTable) note(call *CallState) {
	i, in := search(t.pending, call.Call.Own())
	switch has := !call.Due.IsZero() || !call.WANErrorsDue.IsZero(); {
	case has && !in:
		t.pending = slices.Insert(t.pending, i, call)
	case in && !has:
		t.pending = slices.Delete(t.pending, i, i+1)
	}
	if len(t.pending) == 0 {
		t.pending = nil
	}
}

func (t *callTable) remove(own uint16) {
	if i, ok := t.search(own); ok {
		call := t.list[i]
		if id, known := call.Call.Theirs(); known && t.theirs[theirsKey{call.Call.Role, id}] == call {
			delete(t.theirs, theirsKey{call.Call.Role, id})
		}
		t.list = slices.Delete(t.list, i, i+1)
		t.stale = true
	}
	if i, ok := search(t.pending, own); ok {
		t.pending = slices.Delete(t.pending, i, i+1)
	}
	if len(t.list) == 0 {
		t.list, t.theirs, t.doubles = nil, nil, false
	}
}

// all returns the calls in a slice that stays as it is while the table changes.
func (t *callTable) all() []*CallState { return slices.Clone(t.list) }

// setDue changes one of the instants of a call; field points into it.
func (t *callTable) setDue(call *CallState, field *time.Time, due time.Time) {
	if !field.IsZero() && !field.After(t.next) {
		t.stale = true
	}
	*field = due
	t.next = earlier(t.next, due)
	if t.get(call.Call.Own()) == call { // and not one that is refused
		t.note(call)
	}
}

// due returns the earliest instant of all calls, zero if there is none.
func (t *callTable) due() time.Time {
	if t.stale {
		t.next, t.stale = time.Time{}, false
		for _, call := range t.pending {
			t.next = earlier(t.next, earlier(call.Due, call.WANErrorsDue))
		}
	}
	return t.next
}

// waiting returns the calls that have an instant, in a slice that stays as it
// is while the table changes.
func (t *callTable) waiting() []*CallState { return slices.Clone(t.pending) }

// halfOpen counts the calls that are on their way to established. Each of them
// waits for something until some instant.
func (t *callTable) halfOpen() (n int) {
	for _, call := range t.pending {
		switch call.Call.State {
		case fsm.StateEstablished, fsm.StateWaitDisconnect, fsm.StateWaitHangUp:
		default:
			n++
		}
	}
	return n
}

// byTheirs returns the call in which we have the given role and the other end
// the given Call ID, or nil.
func (t *callTable) byTheirs(role fsm.Role, id uint16) *CallState {
	if len(t.list) > fewCalls && !t.doubles {
		if t.theirs == nil {
			t.theirs = make(map[theirsKey]*CallState, 2*fewCalls)
			for _, call := range t.list {
				t.identified(call)
			}
		}
		if !t.doubles {
			return t.theirs[theirsKey{role, id}]
		}
	}
	for _, call := range t.list {
		if theirs, known := call.Call.Theirs(); known && theirs == id && call.Call.Role == role {
			return call
		}
	}
	return nil
}

// clearedUnnamed returns the one call that we have asked a PAC to clear before it
// has told its Call ID, or nil. The Call-Disconnect-Notify that ends it names it
// by that ID. If it is about another call that has ended the mistake does no harm:
// the PAC has been told to clear this one, and we have no more use for it.
func (t *callTable) clearedUnnamed() *CallState {
	var only *CallState
	for _, call := range t.list {
		if call.Call.Role != fsm.RolePNS || call.Call.State != fsm.StateWaitDisconnect || call.Call.Identified {
			continue
		}
		if only != nil {
			return nil
		}
		only = call
	}
	return only
}

// byGuess finds the call that a Call-Disconnect-Notify or Call-Clear-Request
// means which names it wrongly, or nil if that is not certain. accel-ppp puts
// the receiver's Call ID there instead of its own, and until August 2026 with
// swapped octets. A PAC may also disconnect an outgoing call it has not replied
// about, so that its Call ID is not known; then the call is meant if the
// connection never had another (onlyOne), for a message about one that has ended
// may still be on its way.
func (t *callTable) byGuess(role fsm.Role, id uint16, onlyOne bool) *CallState {
	if call := t.get(id); call != nil && call.Call.Role == role {
		return call
	}
	var only *CallState
	for _, call := range t.list {
		if call.Call.Role != role {
			continue
		}
		if only != nil {
			return nil
		}
		only = call
	}
	if only == nil {
		return nil
	}
	swapped := bits.ReverseBytes16(id)
	theirs, known := only.Call.Theirs()
	if !known && role == fsm.RolePNS && onlyOne || known && swapped == theirs || swapped == only.Call.Own() {
		return only
	}
	return nil
}
