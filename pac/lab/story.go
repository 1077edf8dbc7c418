package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"trunkline.example/shared/record"
)

// event is one step of a call, or something else that people should see.
type event struct {
	at    time.Time
	line  string // name of the line or phone that it is about; empty: none
	who   string // said it
	text  string
	style style
	begin bool // a call of the line begins: its time counts from here, or from since
	since time.Time
}

// style is how much an event matters.
type style uint8

const (
	plain style = iota
	mark        // the steps that a call is known by
	warn
)

// entry is one line of a daemon's log.
type entry map[string]any

func (e entry) text(key string) string {
	switch v := e[key].(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprint(v)
	}
}

// story makes events of what the lab's processes say, and knows which of it belongs to which line. Not safe for concurrent use.
type story struct {
	names    map[string]string    // number to name of line or phone
	sessions map[string]string    // session of pns to line
	logins   map[string]string    // session of pns to authentication protocol
	dialing  map[string]time.Time // phone whose call has not rung yet to when it dialed
}

func newStory() *story {
	return &story{names: map[string]string{}, sessions: map[string]string{}, logins: map[string]string{}, dialing: map[string]time.Time{}}
}

// learn takes the numbers in.
func (s *story) learn(d book) {
	for _, l := range d.Lines {
		s.names[l.Number] = l.Name
	}
}

// log is what a line of a daemon's log tells; nothing, for what people need not see.
func (s *story) log(daemon string, line []byte) []event {
	var e entry
	if json.Unmarshal(line, &e) != nil || e["message"] == nil {
		return []event{{at: time.Now(), who: daemon, text: string(line), style: warn}} // a panic, perhaps
	}
	at, err := time.Parse(time.RFC3339Nano, e.text("time"))
	if err != nil {
		at = time.Now()
	}
	var events []event
	switch daemon {
	case "exchange":
		events = s.exchange(at, e)
	case "pac":
		events = s.pac(e)
	case "pns":
		events = s.pns(e)
	}
	if events == nil && (e.text("level") == "warn" || e.text("level") == "error") {
		events = []event{{line: e.text("line"), text: rest(e), style: warn}}
	}
	for i := range events {
		events[i].at, events[i].who = at, daemon
	}
	return events
}

// rest is an entry that is not known, as it is.
func rest(e entry) string {
	text := e.text("message")
	for _, key := range []string{"reason", "cause", "error", "warning", "detail", "user", "peer", "file"} {
		if v := e.text(key); v != "" {
			text += ", " + key + ": " + v
		}
	}
	return text
}

// plainLog is a line of a daemon's log for people: the time of day, the message, what goes with it. What is no JSON is left as it is.
func plainLog(line string) string {
	var e entry
	if json.Unmarshal([]byte(line), &e) != nil || e["message"] == nil {
		return line
	}
	var b strings.Builder
	if at, err := time.Parse(time.RFC3339Nano, e.text("time")); err == nil {
		b.WriteString(at.Format("15:04:05.000 "))
	}
	b.WriteString(e.text("message"))
	for _, key := range slices.Sorted(maps.Keys(e)) {
		switch key {
		case "time", "level", "message":
		default:
			fmt.Fprintf(&b, " %s=%s", key, e.text(key))
		}
	}
	return b.String()
}

func (s *story) exchange(at time.Time, e entry) []event {
	line, from := e.text("line"), e.text("dialing")
	switch e.text("message") {
	case "line rings":
		v := event{line: line, text: fmt.Sprintf("rings: %s has dialed %s", from, e.text("dialed")), begin: true, since: at}
		if dialed, ok := s.dialing[from]; ok {
			v.since = dialed
			delete(s.dialing, from)
		}
		return []event{v}
	case "call connected":
		text := fmt.Sprintf("carrier: %s, %s/%s bit/s", e.text("modulation"), e.text("forward_rate"), e.text("backward_rate"))
		if e["error_control"] == true {
			text += ", error control"
		}
		return []event{{line: line, text: text}}
	case "call ended":
		return []event{{line: line, text: fmt.Sprintf("carrier gone: %s octets from %s, %s to it", e.text("forward_octets"), from, e.text("backward_octets"))}}
	case "call ended before it was connected":
		return []event{{line: line, text: from + " has hung up before it was connected"}}
	}
	return nil
}

func (s *story) pac(e entry) []event {
	line := e.text("line")
	if e["driver"] != nil { // the driver's own words: what it says of a line, pac says as well
		if line != "" {
			return []event{}
		}
		return nil
	}
	switch e.text("message") {
	case "ringing":
		return []event{{line: line, style: mark, text: fmt.Sprintf("RING: called %s, calling %s; asking pns", e.text("dialed"), e.text("dialing"))}}
	case "call accepted, answering":
		return []event{{line: line, text: fmt.Sprintf("pns takes the call (Call IDs %s, %s): answering", e.text("pac_call_id"), e.text("pns_call_id"))}}
	case "call not taken", "call not answered":
		return []event{{line: line, style: warn, text: e.text("message") + ": " + e.text("reason")}}
	case "connected":
		text := fmt.Sprintf("%s: %s bit/s from the caller, %s to the caller", e.text("text"), e.text("receive_speed"), e.text("speed"))
		for _, key := range []string{"modulation", "error_control", "compression"} {
			if v := e.text(key); v != "" {
				text += ", " + v
			}
		}
		return []event{{line: line, style: mark, text: text}}
	case "the network server clears the call":
		return []event{{line: line, text: "pns clears the call"}}
	case "line idle":
		return []event{{line: line, text: "the line is idle"}}
	}
	return nil
}

func (s *story) pns(e entry) []event {
	session := e.text("session")
	line := s.sessions[session]
	switch e.text("message") {
	case "call started":
		line = s.lineOf(e.text("dialed"))
		s.sessions[session] = line
		return []event{{line: line, text: fmt.Sprintf("offered by %s: accepted", e.text("pac"))}}
	case "link up":
		s.logins[session] = e.text("protocol")
		return []event{{line: line, style: mark, text: fmt.Sprintf("LCP: open; MRU %s, the caller's %s; authentication %s", e.text("mru"), e.text("peer_mru"), e.text("protocol"))}}
	case "logged in":
		return []event{{line: line, style: mark, text: fmt.Sprintf("authentication: %s, %q has logged in", s.logins[session], e.text("user"))}}
	case "login refused":
		return []event{{line: line, style: warn, text: fmt.Sprintf("authentication: %s, %q is refused: %s", s.logins[session], e.text("user"), e.text("reason"))}}
	case "session up":
		return []event{
			{line: line, style: mark, text: encryption(e.text("encryption"))},
			{line: line, style: mark, text: fmt.Sprintf("addresses: the caller is %s, pns is %s; MTU %s", e.text("address"), innerPNS, e.text("mtu"))},
		}
	case "network down":
		return []event{{line: line, text: "network down: " + e.text("reason")}}
	case "call ended": // its record tells more
		delete(s.sessions, session)
		delete(s.logins, session)
		return []event{}
	}
	return nil
}

// encryption names MPPE first, as the other steps begin with their name.
func encryption(agreed string) string {
	if !strings.Contains(agreed, "MPPE") {
		return "MPPE: none, the data are in clear"
	}
	return "MPPE: " + agreed
}

// lineOf is the line with a number; several numbers may lead to it, so it is not always known.
func (s *story) lineOf(number string) string { return s.names[number] }

// step is what the caller tells.
type step struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	Text string    `json:"text"`
}

// caller is what a step of the built-in caller at a phone tells.
func (s *story) caller(phone string, c step) []event {
	v := event{at: c.At, line: phone, who: "caller", text: c.Text}
	switch c.Kind {
	case "dialing":
		s.dialing[phone] = c.At
		v.begin, v.since, v.style = true, c.At, mark
	case "ping":
		v.text, v.style = "ping: "+c.Text, mark
	case "pings":
		v.text = "pings: " + c.Text
	case "lost":
		v.text, v.style = "ping lost: "+c.Text, warn
	case "network":
		v.text = "network " + c.Text
	case "ended":
		v.text = "PPP has ended: " + c.Text
	case "ppp":
		return nil // pns tells it too
	}
	return []event{v}
}

// record is what a call record tells: the counters at hang-up.
func (s *story) record(r record.Record) []event {
	line := r.Line
	if line == "" {
		line = s.lineOf(r.Dialed)
	}
	text := counters(r.OctetsIn, r.PacketsIn, r.OctetsOut, r.PacketsOut, faults(r.Errors))
	why := fmt.Sprintf("hang-up: after %.2f s, by %s: %s", r.Seconds, ender(r), r.Cause)
	if r.Connected.IsZero() {
		why = fmt.Sprintf("hang-up: never up, by %s: %s", ender(r), r.Cause)
	}
	if r.Reason != "" && !strings.HasPrefix(r.Reason, r.Cause) {
		why += " (" + r.Reason + ")"
	}
	return []event{{at: r.Ended, line: line, who: r.Daemon, style: mark, text: text}, {at: r.Ended, line: line, who: r.Daemon, text: why}}
}

// ender is who ended a call.
func ender(r record.Record) string {
	switch r.EndedBy {
	case record.SideClient:
		return "the caller"
	case record.SidePeer:
		return map[string]string{"pac": "pns", "pns": "pac"}[r.Daemon]
	case record.SideSelf:
		return r.Daemon
	}
	return "the " + string(r.EndedBy)
}

// counters have one form and one point of view for all who count.
func counters(octetsFrom, packetsFrom, octetsTo, packetsTo uint64, faults string) string {
	return fmt.Sprintf("counters: from the caller %6d octets %4d packets, to the caller %6d octets %4d packets; %s",
		octetsFrom, packetsFrom, octetsTo, packetsTo, faults)
}

// faults names the errors that were counted.
func faults(e record.Errors) string {
	var all []string
	for _, f := range []struct {
		n    uint64
		name string
	}{
		{e.FCS, "bad FCS"}, {e.Framing, "framing errors"}, {e.Overruns, "overruns"}, {e.Aborts, "aborted"}, {e.Lost, "lost"}, {e.Late, "late"},
		{e.Undecrypted, "not decrypted"}, {e.Dropped, "dropped"}, {e.Filtered, "filtered"},
	} {
		if f.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", f.n, f.name))
		}
	}
	if len(all) == 0 {
		return "no errors"
	}
	return strings.Join(all, ", ")
}
