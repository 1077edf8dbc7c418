package line

import "time"

const (
	// EventCapacity is the number of events a line holds for its reader.
	EventCapacity = 64
	// callReserve is the most events that one call, and the failure and
	// return of the line that may follow, have to say beyond the first:
	// answering, connected, lost, idle, down, and the last down.
	callReserve = 8
)

// Queue is the sending end of a line's event stream, with the policy that Line
// demands. It is owned by the goroutine that owns the line; only Events may be
// called from elsewhere.
//
// Before Ringing, Dialing or Up the owner asks Admit. Everything else that may
// not be dropped then finds room by construction.
type Queue struct {
	events  chan Event
	next    uint64
	dropped uint64
	closed  bool
}

// NewQueue returns an empty queue.
func NewQueue() *Queue { return &Queue{events: make(chan Event, EventCapacity), next: 1} }

// Events returns the receiving end.
func (q *Queue) Events() <-chan Event { return q.events }

// Admit says whether there is room for a call, or for a line that comes up,
// with all that may follow.
func (q *Queue) Admit() bool { return !q.closed && cap(q.events)-len(q.events) > callReserve }

// Send posts an event and says whether it was taken. Droppable ones leave the
// reserve alone. It never blocks.
func (q *Queue) Send(now time.Time, call Call, body Body) bool {
	if q.closed {
		return false
	}
	e := Event{Sequence: q.next, At: now, Call: call, Body: body}
	q.next++
	if body.Kind().Droppable() && !q.Admit() {
		q.dropped++
		return false
	}
	select {
	case q.events <- e:
		return true
	default:
		q.dropped++
		return false
	}
}

// Dropped returns how many events were dropped.
func (q *Queue) Dropped() uint64 { return q.dropped }

// Close ends the stream after what was sent.
func (q *Queue) Close() {
	if !q.closed {
		q.closed = true
		close(q.events)
	}
}
