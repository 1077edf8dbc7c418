package dataplane

import (
	"time"

	"trunkline.example/shared/gre"
)

// Frames sends control frames: those that come up together leave together, by one system call. It belongs to one goroutine.
type Frames struct {
	out     egress
	waiting []waitingFrame
	memory  []byte // of them, each with room for GRE in front
}

// waitingFrame is a packet in memory: room for a GRE header, then the frame.
type waitingFrame struct {
	entry      *Entry
	start, end int
}

const (
	// framesTogether is how many frames leave together at most.
	framesTogether = laneLength
	// frameMemory is what is kept of the memory for them, in octets; only answers to the largest frames take more.
	frameMemory = 64 << 10
)

// NewFrames makes a sender for one goroutine.
func (p *Plane) NewFrames() *Frames { return &Frames{out: p.newEgress(0)} }

// Send has a frame leave with the next Flush, regardless of the peer's window. It is complete but for GRE, and is not kept. Frames leave in
// the order in which they are given.
func (f *Frames) Send(e *Entry, frame []byte) {
	if len(frame) > gre.MaxPayload {
		return
	}
	start := len(f.memory)
	f.memory = append(f.memory, make([]byte, gre.MaxHeader)...)
	f.memory = append(f.memory, frame...)
	f.waiting = append(f.waiting, waitingFrame{e, start, len(f.memory)})
	if len(f.waiting) == framesTogether {
		f.Flush()
	}
}

// FlushOf is Flush if any of the frames is for that call: what is about to be done with it comes after them.
func (f *Frames) FlushOf(e *Entry) {
	for i := range f.waiting {
		if f.waiting[i].entry == e {
			f.Flush()
			return
		}
	}
}

// Flush sends what is waiting. Frames of a call that has been removed are dropped.
func (f *Frames) Flush() {
	if len(f.waiting) == 0 {
		return
	}
	g := &f.out
	g.now = time.Now()
	for _, w := range f.waiting {
		if w.entry.removed.Load() {
			continue
		}
		g.take(w.entry)
		g.control(w.entry, f.memory[w.start:w.end])
	}
	g.flush()
	clear(f.waiting)
	f.waiting, f.memory = f.waiting[:0], f.memory[:0]
	if cap(f.memory) > frameMemory {
		f.memory = nil
	}
}

// control numbers a control frame, which has gre.MaxHeader octets of room in front, and queues it. The entry's out lock is held.
func (g *egress) control(e *Entry, buf []byte) {
	out := &e.out
	out.sender.Owe(g.now, gre.Ack(e.owed.Load()))
	h := out.sender.NextUrgent(g.now, len(buf)-gre.MaxHeader)
	if h.HasAck {
		e.acked.Store(uint64(gre.AckOf(h.Ack)))
	}
	start := gre.MaxHeader - h.Len()
	h.Put(buf[start:])
	out.count.frames++
	g.queue(e, buf[start:])
}
