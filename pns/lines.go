package pns

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/callstats"
	"trunkline.example/shared/pptp/control"
)

// LineErrors are the counters of WAN-Error-Notify (RFC 2637 section 2.14), of a call or of all calls of a line.
type LineErrors struct {
	CRC              uint64 `json:"crc"`
	Framing          uint64 `json:"framing"`
	HardwareOverruns uint64 `json:"hardware_overruns"`
	BufferOverruns   uint64 `json:"buffer_overruns"`
	Timeouts         uint64 `json:"timeouts"`
	Alignment        uint64 `json:"alignment"`
}

func lineErrors(e pptp.WANErrors) LineErrors {
	return LineErrors{
		CRC: uint64(e.CRCErrors), Framing: uint64(e.FramingErrors), HardwareOverruns: uint64(e.HardwareOverruns),
		BufferOverruns: uint64(e.BufferOverruns), Timeouts: uint64(e.TimeoutErrors), Alignment: uint64(e.AlignmentErrors),
	}
}

// add counts a call's errors to a line's.
func (e *LineErrors) add(o LineErrors) {
	e.CRC += o.CRC
	e.Framing += o.Framing
	e.HardwareOverruns += o.HardwareOverruns
	e.BufferOverruns += o.BufferOverruns
	e.Timeouts += o.Timeouts
	e.Alignment += o.Alignment
}

// LineInfo is what is known of a PAC's line, or channel, from the calls on it that have ended.
type LineInfo struct {
	PAC       string     `json:"pac"`     // configured name
	Channel   uint32     `json:"channel"` // Physical Channel ID
	Calls     uint64     `json:"calls"`
	Errors    LineErrors `json:"errors"`
	LastEnded time.Time  `json:"last_ended"`
	LastCause string     `json:"last_cause"` // the line's own word where the PAC's statistics have it
}

// lineKey names a line.
type lineKey struct {
	pac     string
	channel uint32
}

// mostLines bounds the lines that are remembered; beyond it, the one whose last call ended first is forgotten.
const mostLines = 4096

// lineBook remembers lines. Safe for concurrent use.
type lineBook struct {
	mu    sync.Mutex
	lines map[lineKey]*LineInfo
}

// ended counts a call that has ended on a line.
func (b *lineBook) ended(key lineKey, now time.Time, errors LineErrors, why control.Ending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lines[key]
	if l == nil {
		b.makeRoom()
		l = &LineInfo{PAC: key.pac, Channel: key.channel}
		b.lines[key] = l
	}
	l.Calls++
	l.Errors.add(errors)
	l.LastEnded, l.LastCause = now, why.String()
	if far, ok := callstats.Parse(why.Statistics); ok && far.Cause != "" {
		l.LastCause = far.Cause
	}
}

func (b *lineBook) makeRoom() {
	if b.lines == nil {
		b.lines = make(map[lineKey]*LineInfo)
	}
	if len(b.lines) < mostLines {
		return
	}
	var oldest lineKey
	var since time.Time
	for key, l := range b.lines {
		if since.IsZero() || l.LastEnded.Before(since) {
			oldest, since = key, l.LastEnded
		}
	}
	delete(b.lines, oldest)
}

// list returns the lines by PAC and channel.
func (b *lineBook) list() []LineInfo {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]LineInfo, 0, len(b.lines))
	for _, l := range b.lines {
		all = append(all, *l)
	}
	slices.SortFunc(all, func(x, y LineInfo) int {
		return cmp.Or(admin.CompareNames(x.PAC, y.PAC), cmp.Compare(x.Channel, y.Channel))
	})
	return all
}

// Lines lists the PACs' lines on which calls have ended since the start.
func (s *Server) Lines() []LineInfo { return s.lines.list() }
