package soak

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"trunkline.example/shared/record"
)

// trouble is what was done to a daemon, and from when to when calls may suffer by it.
type trouble struct {
	what     string
	pac, pns string   // whose calls; one of them is empty
	lines    []string // of pac; nil: all
	from, to time.Time
	lost     bool // the daemon was killed: it has no record of the calls that it had
}

func (t trouble) String() string { return t.what + " of " + t.pac + t.pns }

// over says whether it overlaps a time.
func (t trouble) over(from, to time.Time) bool { return t.from.Before(to) && t.to.After(from) }

// hits says whether a call that a PAC has recorded may have suffered.
func (t trouble) hits(r record.Record) bool {
	switch {
	case !t.over(r.Started, r.Ended):
		return false
	case t.pns != "":
		return r.PNS == t.pns
	}
	return r.Host == t.pac && (t.lines == nil || slices.Contains(t.lines, r.Line))
}

// window is a time in which a PNS took no new calls.
type window struct {
	pns      string
	from, to time.Time
}

// storm makes trouble, one at a time. It belongs to the scenario's own goroutine.
type storm struct {
	*bank
	r        *rand.Rand
	troubles []trouble
	windows  []window
	counts   map[string]int
	last     string // kind
}

// grace is how long after a trouble is over calls may still suffer.
const grace = 2 * time.Second

func (b *bank) newStorm() *storm {
	return &storm{bank: b, r: b.random(1 << 32), counts: map[string]int{}}
}

// kinds are the troubles, by the names of the table.
var kinds = map[string]func(*storm){
	"driver killed":   (*storm).killDriver,
	"pns killed":      (*storm).killServer,
	"pns restarted":   (*storm).restartServer,
	"pns stands":      (*storm).standServer,
	"pns drained":     (*storm).drainServer,
	"pac drained":     (*storm).drainPAC,
	"pac killed":      (*storm).killPAC,
	"pac restarted":   (*storm).restartPAC,
	"reloaded":        (*storm).reload,
	"line reset":      func(s *storm) { s.serve("reset") },
	"line disabled":   func(s *storm) { s.serve("disable") },
	"line busied out": func(s *storm) { s.serve("busy-out") },
}

// make makes one trouble and returns when it is over.
func (s *storm) make(kind string) {
	s.Helper()
	s.counts[kind]++
	s.last = kind
	for _, m := range s.machines() {
		m.alive()
	}
	kinds[kind](s)
}

// during takes a trouble down that goes on while f runs. What is given is the trouble but for its times; it may name its lines in f.
func (s *storm) during(t trouble, f func(*trouble)) {
	t.from = time.Now()
	f(&t)
	t.to = time.Now().Add(grace)
	s.troubles = append(s.troubles, t)
}

// pause waits for some time between two limits, in a slice for the least.
func (s *storm) pause(least, most time.Duration) {
	if *duration == 0 {
		most = least
	}
	wait := time.NewTimer(least + time.Duration(s.r.Int64N(int64(most-least)+1)))
	defer wait.Stop()
	<-wait.C
}

func (s *storm) pac() *machine    { return s.pacs[s.r.IntN(len(s.pacs))] }
func (s *storm) server() *machine { return s.servers[s.r.IntN(len(s.servers))] }

// firstChoice is a PNS that some PAC asks first.
func (s *storm) firstChoice() *machine {
	first := slices.Sorted(maps.Values(s.first()))
	name := first[s.r.IntN(len(first))]
	return s.servers[slices.IndexFunc(s.servers, func(m *machine) bool { return m.name == name })]
}

// killDriver kills a driver's process; its lines come back with the next one.
func (s *storm) killDriver() {
	m := s.pac()
	status, ok := tryRead[pacView](m, "/status")
	if !ok || len(status.Drivers) != s.drivers {
		s.Fatalf("%s has drivers %+v", m.name, status.Drivers)
	}
	n := s.r.IntN(s.drivers)
	d := status.Drivers[n]
	first := slices.Index(s.pacs, m)*s.drivers*s.bank.lines + n*s.bank.lines
	var lines []string
	for i := range s.bank.lines {
		lines = append(lines, fmt.Sprintf("line%d", first+i+1))
	}
	s.during(trouble{what: "driver killed", pac: m.name, lines: lines}, func(*trouble) {
		if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
			s.fault("%s of %s (process %d): %v", d.Name, m.name, d.PID, err)
		}
		s.await(m.name+" has its killed driver again, and its lines", idleLimit, func() string {
			now, ok := tryRead[pacView](m, "/status")
			if !ok || now.Drivers[n].PID == d.PID || now.Drivers[n].Problem != "" {
				return fmt.Sprintf("%+v", now.Drivers)
			}
			return s.down(m)
		})
	})
}

// down names a line of a PAC that is down; empty: none.
func (b *bank) down(m *machine) string {
	lines, ok := tryRead[[]lineView](m, "/lines")
	if !ok || len(lines) != b.drivers*b.lines {
		return fmt.Sprintf("%d lines", len(lines))
	}
	for _, l := range lines {
		if l.State == "down" {
			return fmt.Sprintf("%s is down: %s", l.Name, l.Cause)
		}
	}
	return ""
}

// established waits until all PACs have control connections to all PNSes.
func (s *storm) established() {
	s.Helper()
	for _, m := range s.pacs {
		s.await("control connections", idleLimit, func() string {
			status, ok := tryRead[pacView](m, "/status")
			if !ok {
				return m.name + " does not answer"
			}
			for _, n := range status.PNS {
				if !n.Established {
					return fmt.Sprintf("%s has none to %s: %s", m.name, n.Name, n.Problem)
				}
			}
			return ""
		})
	}
}

// without has a PNS take no calls between two actions, and takes that time down.
func (s *storm) without(m *machine, end, begin func()) {
	end()
	from := time.Now()
	s.pause(time.Second, 3*time.Second)
	s.windows = append(s.windows, window{m.name, from, time.Now()})
	begin()
}

func (s *storm) killServer() {
	m := s.firstChoice()
	s.during(trouble{what: "pns killed", pns: m.name, lost: true}, func(*trouble) {
		s.without(m, m.daemon.Kill, m.start)
		s.established()
	})
}

func (s *storm) restartServer() {
	m := s.firstChoice()
	s.during(trouble{what: "pns restarted", pns: m.name}, func(*trouble) {
		s.without(m, m.stop, m.start)
		s.established()
	})
}

// standServer has a PNS stand still for longer than a PAC waits for its answer.
func (s *storm) standServer() {
	m := s.server()
	s.during(trouble{what: "pns stands", pns: m.name}, func(*trouble) {
		m.daemon.Signal(syscall.SIGSTOP)
		s.pause(4*time.Second, 6*time.Second)
		m.daemon.Signal(syscall.SIGCONT)
	})
}

// drainServer is no trouble for anybody: the calls go elsewhere.
func (s *storm) drainServer() {
	m := s.firstChoice()
	drain := func(on bool) func() {
		return func() {
			if err := m.post("/drain", map[string]bool{"draining": on}); err != nil {
				s.fault("%s: drain %v: %v", m.name, on, err)
			}
		}
	}
	s.without(m, drain(true), drain(false))
}

func (s *storm) drainPAC() {
	m := s.pac()
	s.during(trouble{what: "pac drained", pac: m.name}, func(*trouble) {
		for _, on := range []bool{true, false} {
			if err := m.post("/drain", map[string]bool{"draining": on}); err != nil {
				s.fault("%s: drain %v: %v", m.name, on, err)
			}
			if on {
				s.pause(time.Second, 3*time.Second)
			}
		}
	})
}

func (s *storm) killPAC() {
	m := s.pac()
	s.during(trouble{what: "pac killed", pac: m.name, lost: true}, func(*trouble) {
		m.daemon.Kill()
		s.pause(0, 2*time.Second)
		m.start()
		s.await(m.name+" has its lines again", idleLimit, func() string { return s.down(m) })
		s.established()
	})
}

func (s *storm) restartPAC() {
	m := s.pac()
	s.during(trouble{what: "pac restarted", pac: m.name}, func(*trouble) {
		m.stop()
		m.start()
		s.await(m.name+" has its lines again", idleLimit, func() string { return s.down(m) })
		s.established()
	})
}

// reload has all daemons read their configurations again, which is no trouble for anybody.
func (s *storm) reload() {
	for _, m := range append(append([]*machine{}, s.pacs...), s.servers...) {
		m.daemon.Signal(syscall.SIGHUP)
	}
}

// serve does something to a line that takes it out of service for a while. A line with a call refuses; that is no fault.
func (s *storm) serve(action string) {
	m := s.pac()
	line := fmt.Sprintf("line%d", slices.Index(s.pacs, m)*s.drivers*s.bank.lines+s.r.IntN(s.drivers*s.bank.lines)+1)
	s.during(trouble{what: "line " + action, pac: m.name, lines: []string{line}}, func(*trouble) {
		if m.post("/line", map[string]string{"line": line, "action": action}) != nil || action == "reset" {
			return
		}
		s.pause(200*time.Millisecond, 2*time.Second)
		if err := m.post("/line", map[string]string{"line": line, "action": "enable"}); err != nil {
			s.fault("%s of %s is not enabled: %v", line, m.name, err)
		}
	})
}
