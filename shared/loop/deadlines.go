package loop

import "time"

// Timed is something that wants to be looked at when an instant has come. It is embedded in what a shard owns; its zero
// value is in no heap.
type Timed struct {
	Owner Ticker

	at   time.Time
	slot int32 // position in the heap plus one; 0 = not in it
}

// Ticker is looked at when it is due.
type Ticker interface{ Tick(now time.Time) }

// Deadlines is a binary heap of everything timed of one shard, the earliest first: one timer for ten thousand sessions.
type Deadlines struct{ heap []*Timed }

// Set makes t due at the given instant; the zero instant takes it out.
func (d *Deadlines) Set(t *Timed, at time.Time) {
	switch {
	case at.IsZero():
		d.Drop(t)
		return
	case t.slot == 0:
		d.heap = append(d.heap, t)
		t.slot = int32(len(d.heap))
	case t.at.Equal(at):
		return
	}
	t.at = at
	if !d.up(int(t.slot - 1)) {
		d.down(int(t.slot - 1))
	}
}

// Drop takes t out; it may be out already.
func (d *Deadlines) Drop(t *Timed) {
	if t.slot == 0 {
		return
	}
	i, last := int(t.slot-1), len(d.heap)-1
	d.swap(i, last)
	d.heap[last] = nil
	d.heap = d.heap[:last]
	t.slot, t.at = 0, time.Time{}
	if i < last && !d.up(i) {
		d.down(i)
	}
}

// Next returns the earliest instant, or zero.
func (d *Deadlines) Next() time.Time {
	if len(d.heap) == 0 {
		return time.Time{}
	}
	return d.heap[0].at
}

// Pop takes out the earliest if it is due.
func (d *Deadlines) Pop(now time.Time) *Timed {
	if len(d.heap) == 0 || d.heap[0].at.After(now) {
		return nil
	}
	t := d.heap[0]
	d.Drop(t)
	return t
}

func (d *Deadlines) up(i int) (moved bool) {
	for i > 0 {
		parent := (i - 1) / 2
		if !d.heap[i].at.Before(d.heap[parent].at) {
			break
		}
		d.swap(i, parent)
		i, moved = parent, true
	}
	return moved
}

func (d *Deadlines) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(d.heap) {
			return
		}
		if child+1 < len(d.heap) && d.heap[child+1].at.Before(d.heap[child].at) {
			child++
		}
		if !d.heap[child].at.Before(d.heap[i].at) {
			return
		}
		d.swap(i, child)
		i = child
	}
}

func (d *Deadlines) swap(i, j int) {
	d.heap[i], d.heap[j] = d.heap[j], d.heap[i]
	d.heap[i].slot, d.heap[j].slot = int32(i+1), int32(j+1)
}
