package trace

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options bound a trace. Zero fields mean the defaults.
type Options struct {
	SnapLength int           // octets kept of a packet with the headers made up for it. Default: all
	Duration   time.Duration // Default DefaultDuration
	Octets     int64         // of the file, but for the few of its end. Default DefaultOctets
	Secrets    bool          // as on the wire: not blanked
	By         string        // the program, for the file's header
}

const (
	// DefaultDuration is how long a trace runs at most, unless told otherwise.
	DefaultDuration = time.Hour
	// DefaultOctets is how large its file gets at most, unless told otherwise.
	DefaultOctets = 100 << 20
	// LongestDuration is the most that may be asked for.
	LongestDuration = 7 * 24 * time.Hour

	queueOctets  = 4 << 20 // that may wait to be written
	queueRecords = 16 << 10
	recordCost   = 64 // octets that one counts besides its data

	// afterwards is how long a trace of a call goes on after the call's end: its last message and acknowledgement come then.
	afterwards = time.Second
)

// kind is what a record is.
type kind uint8

const (
	kindControl kind = iota
	kindGRE
	kindFrame
	kindEvent
)

// record is what waits to be written.
type record struct {
	at            time.Time
	kind          kind
	sent          bool
	local, remote netip.AddrPort
	sequence, ack uint32 // of a control message
	data          []byte
	source        string
	dropped       uint64 // of its source, before it
}

// Sources are the interfaces of the file; those with other names are lines.
const (
	network = "\x00pptp"
	events  = "\x00events"
)

// Trace is one trace.
type Trace struct {
	hub     *Hub
	id      string
	scope   Scope
	options Options
	started time.Time

	wanted atomic.Pointer[map[greKey]bool] // of its legs
	wake   chan struct{}

	mu      sync.Mutex
	legs    []*legState
	streams map[uint64]*stream // by Connection.ID
	queue   []record
	waiting int // octets in queue
	lost    map[string]*loss
	ending  string    // why it ends; empty: it does not yet
	endsAt  time.Time // with ending
}

// loss counts what of a source has found no room.
type loss struct{ all, fresh uint64 }

// Summary is what a trace has come to.
type Summary struct {
	Packets uint64 `json:"packets"` // in the file, events among them
	Octets  int64  `json:"octets"`  // of the file
	Dropped uint64 `json:"dropped"` // packets for which there was no room in the queue
	Reason  string `json:"reason"`  // why it has ended
}

func newTrace(now time.Time, h *Hub, id string, s Scope, o Options) *Trace {
	if o.Duration <= 0 {
		o.Duration = DefaultDuration
	}
	o.Duration = min(o.Duration, LongestDuration)
	if o.Octets <= 0 {
		o.Octets = DefaultOctets
	}
	return &Trace{
		hub: h, id: id, scope: s, options: o, started: now, wake: make(chan struct{}, 1),
		streams: map[uint64]*stream{}, lost: map[string]*loss{},
	}
}

// Cancel ends a trace that is not run.
func (t *Trace) Cancel() { t.hub.remove(t) }

// Until is when the trace ends at the latest.
func (t *Trace) Until() time.Time { return t.started.Add(t.options.Duration + afterwards) }

// push queues a record, or counts it as lost. data is copied. The caller holds mu.
func (t *Trace) push(source string, r record, data []byte) {
	l := t.lost[source]
	if l == nil {
		l = &loss{}
		t.lost[source] = l
	}
	if len(t.queue) >= queueRecords || t.waiting+len(data)+recordCost > queueOctets {
		l.all++
		l.fresh++
		return
	}
	r.data, r.source, r.dropped = bytes.Clone(data), source, l.fresh
	l.fresh = 0
	t.waiting += len(data) + recordCost
	t.queue = append(t.queue, r)
	t.rouse()
}

// rouse has Run look.
func (t *Trace) rouse() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *Trace) frame(now time.Time, line string, sent bool, frame []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.push(line, record{kind: kindFrame, at: now, sent: sent}, frame)
}

// event takes what has happened, in words, after whom it concerns.
func (t *Trace) event(now time.Time, a About, text string) {
	if a.Line != "" {
		text = a.Line + ": " + text
	} else if a.Call != "" {
		text = "call " + a.Call + ": " + text
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.push(events, record{kind: kindEvent, at: now}, []byte(printable(text)))
}

// printable keeps what peers say from being more than text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffd' {
			return '?'
		}
		return r
	}, s)
}

// stop ends the trace.
func (t *Trace) stop(why string) { t.endAt(t.started, why) }

// over ends a trace of a call a moment after the call.
func (t *Trace) over(now time.Time, why string) {
	if t.scope.Call != "" {
		t.endAt(now.Add(afterwards), "the call is over: "+why)
	}
}

// endAt has Run return at that time, unless it does so earlier.
func (t *Trace) endAt(at time.Time, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ending == "" || at.Before(t.endsAt) {
		t.ending, t.endsAt = why, at
	}
	t.rouse()
}

// take takes what waits, and says when and why the trace ends.
func (t *Trace) take(into []record) (queue []record, at time.Time, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	queue, t.queue, t.waiting = t.queue, into[:0], 0
	return queue, t.endsAt, t.ending
}

// Run writes the trace until it ends: by Stop, with its call, when a bound is reached, or when ctx ends. The error is that of writing. It must
// be called once.
func (t *Trace) Run(ctx context.Context, w io.Writer) (Summary, error) {
	defer t.hub.remove(t)
	out := newFile(w, t.options)
	if err := out.begin(); err != nil {
		return out.summary, fmt.Errorf("trace: %w", err)
	}
	t.endAt(t.started.Add(t.options.Duration), "its time is up")
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var queue []record
	for why := ""; why == ""; {
		var at time.Time
		var ending string
		clear(queue)
		queue, at, ending = t.take(queue)
		full, err := out.write(queue)
		switch {
		case err != nil:
			return out.summary, fmt.Errorf("trace: %w", err)
		case full:
			why = "its file is as large as it may be"
		case !time.Now().Before(at):
			why = ending
		case ctx.Err() != nil:
			why = "it was broken off"
		}
		if why != "" {
			out.summary.Reason = why
			break
		}
		timer.Reset(time.Until(at))
		select {
		case <-t.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	if err := out.end(t.started, time.Now(), t.losses()); err != nil {
		return out.summary, fmt.Errorf("trace: %w", err)
	}
	return out.summary, nil
}

// losses returns how many packets of each source were lost.
func (t *Trace) losses() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := map[string]uint64{}
	for source, l := range t.lost {
		all[source] = l.all
	}
	return all
}
