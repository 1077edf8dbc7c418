package trace

import (
	"io"
	"maps"
	"runtime"
	"slices"
	"time"

	"trunkline.example/shared/blank"
	"trunkline.example/shared/pcapng"
)

// pieceSize is how many octets are written at once, about.
const pieceSize = 64 << 10

// file is a trace as it is written.
type file struct {
	w          io.Writer
	options    Options
	buf        []byte
	made       []byte            // a packet with what is made up for it
	interfaces map[string]*count // by source
	id         uint16            // of IP
	summary    Summary
}

// count is an interface of the file.
type count struct {
	number  int
	packets uint64
}

func newFile(w io.Writer, o Options) *file {
	return &file{w: w, options: o, interfaces: map[string]*count{}}
}

// begin writes what stands at the beginning.
func (f *file) begin() error {
	section := pcapng.Section{System: runtime.GOOS, Application: f.options.By, Comment: "Secrets are blanked with asterisks."}
	if f.options.Secrets {
		section.Comment = "Secrets are as they were on the wire."
	}
	f.buf = section.Append(f.buf)
	f.interfaceOf(network)
	f.interfaceOf(events)
	return f.flush()
}

// interfaceOf returns the interface of a source; the first use writes its description.
func (f *file) interfaceOf(source string) *count {
	if c := f.interfaces[source]; c != nil {
		return c
	}
	i := pcapng.Interface{Link: pcapng.LinkPPPDirection, SnapLength: f.options.SnapLength, Name: source, Description: "serial side of the line, without flags and FCS"}
	switch source {
	case network:
		i.Link, i.Name = pcapng.LinkRaw, "pptp"
		i.Description = "control messages and GRE; IP and TCP headers are made up, but for addresses and ports"
	case events:
		i.Link, i.Name, i.SnapLength, i.Description = pcapng.LinkUpperPDU, "events", 0, "what has happened, in words"
	}
	c := &count{number: len(f.interfaces)}
	f.interfaces[source] = c
	f.buf = i.Append(f.buf)
	return c
}

// write writes records, and says that there is no room for more in the file.
func (f *file) write(all []record) (full bool, err error) {
	for i := range all {
		f.add(&all[i])
		if f.summary.Octets+int64(len(f.buf)) >= f.options.Octets {
			full = true
			break
		}
		if len(f.buf) >= pieceSize {
			if err := f.flush(); err != nil {
				return false, err
			}
		}
	}
	return full, f.flush()
}

// add appends one record.
func (f *file) add(r *record) {
	c := f.interfaceOf(r.source)
	p := pcapng.Packet{Interface: c.number, Time: r.at, Direction: pcapng.Received, Dropped: r.dropped}
	if r.sent {
		p.Direction = pcapng.Sent
	}
	from, to := r.remote, r.local
	if r.sent {
		from, to = to, from
	}
	f.id++
	b, hidden := f.made[:0], false
	switch r.kind {
	case kindControl:
		b = appendTCP(b, from, to, r.sequence, r.ack, r.data, f.id)
	case kindGRE:
		hidden = !f.options.Secrets && blank.Packet(r.data)
		b = appendGRE(b, from.Addr(), to.Addr(), r.data, f.id)
	case kindFrame:
		hidden = !f.options.Secrets && blank.Frame(r.data)
		direction := byte(0)
		if r.sent {
			direction = 1
		}
		b = append(append(b, direction), r.data...)
	case kindEvent:
		p.Direction, p.Comment = 0, string(r.data)
		b = appendText(b, p.Comment)
	}
	if hidden {
		p.Comment = "secrets are blanked"
	}
	p.Data, p.Length = b, len(b)
	if n := f.options.SnapLength; n > 0 && n < len(b) && r.kind != kindEvent {
		p.Data = b[:n]
	}
	f.buf, f.made = p.Append(f.buf), b
	c.packets++
	f.summary.Packets++
}

// end writes the statistics.
func (f *file) end(began, ended time.Time, lost map[string]uint64) error {
	for source := range lost {
		f.interfaceOf(source)
	}
	sources := slices.SortedFunc(maps.Keys(f.interfaces), func(a, b string) int { return f.interfaces[a].number - f.interfaces[b].number })
	for _, source := range sources {
		c := f.interfaces[source]
		s := pcapng.Statistics{Interface: c.number, Start: began, End: ended, Received: c.packets + lost[source], Dropped: lost[source]}
		if source == network {
			s.Comment = "the trace has ended: " + f.summary.Reason
		}
		f.summary.Dropped += lost[source]
		f.buf = s.Append(f.buf)
	}
	return f.flush()
}

// flush writes what is there.
func (f *file) flush() error {
	if len(f.buf) == 0 {
		return nil
	}
	n, err := f.w.Write(f.buf)
	f.summary.Octets += int64(n)
	f.buf = f.buf[:0]
	return err
}
