package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"trunkline.example/test/daemon"
	"trunkline.example/test/netns"
)

// bank is what the lab has: pns, an exchange, and pac on its lines, on one machine.
type bank struct {
	*run
	dir                string
	lines              int
	space              *netns.Space
	pns, pac, exchange *daemon.Daemon
}

const (
	user         = "alice"
	password     = "Passw0rd"
	innerAddress = "10.97.0.1" // of pns inside the tunnels
	lanServer    = "198.18.0.1"
)

// writeFile puts a file that only we may read into a directory.
func (r *run) writeFile(dir, name, text string) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	return path
}

// pnsConfig is the configuration of pns: as the defaults have it, with what is said in extra, and all files in dir.
func (r *run) pnsConfig(dir, extra string, users ...string) string {
	var all strings.Builder
	for _, u := range users {
		fmt.Fprintf(&all, "[[user]]\nname = %q\npassword = %q\n", u, password)
	}
	return r.writeFile(dir, "pns.toml", fmt.Sprintf(`%s
[users]
file = %q
[admin]
socket = %q
[records]
file = %q
`, extra, r.writeFile(dir, "users.toml", all.String()), filepath.Join(dir, "pns.sock"), filepath.Join(dir, "pns-calls.jsonl")))
}

// newBank starts all of it, with so many lines and phones of a rate in bit/s, configured as in the lab.
func newBank(r *run, lines, rate int) *bank {
	b := &bank{run: r, dir: r.TempDir(), lines: lines, space: netns.New(r)}
	b.pns = r.daemon(b.space, "pns", "run", "--config", r.pnsConfig(b.dir, `
[[listener]]
address = "127.0.0.2:1723"
[[pac]]
name = "pac"
address = ["127.0.0.1"]
authentication = ["ms-chapv2", "chap-md5", "pap"]
encryption = "preferred"
`, user))
	b.exchange = r.daemon(b.space, "pac", "exchange", "--dir", b.ports(), "--lines", fmt.Sprint(lines), "--phones", fmt.Sprint(lines), "--rate", fmt.Sprint(rate))
	var devices []string
	for i := range lines {
		devices = append(devices, fmt.Sprintf("%s/line%d", b.ports(), i+1))
	}
	b.pac = r.daemon(b.space, "pac", "run", "--config", r.writeFile(b.dir, "pac.toml", b.pacConfig(devices)))
	b.awaitIdle()
	return b
}

func (b *bank) ports() string  { return filepath.Join(b.dir, "lines") }
func (b *bank) socket() string { return filepath.Join(b.dir, "pac.sock") }

// awaitIdle waits until every line is idle and pac has its control connection.
func (b *bank) awaitIdle() {
	b.eventually("the lines are not idle, or there is no control connection", 150*time.Second, func() bool {
		var lines []struct{ State string }
		var status struct {
			PNS []struct{ Established bool }
		}
		b.ask(&lines, "pac", "lines", "--json", "--admin", b.socket())
		b.ask(&status, "pac", "status", "--json", "--admin", b.socket())
		idle := 0
		for _, l := range lines {
			if l.State == "idle" {
				idle++
			}
		}
		return idle == b.lines && len(status.PNS) == 1 && status.PNS[0].Established
	})
}

// pids are the processes of the bank by the names that the table has for them.
func (b *bank) pids() map[string]int {
	return map[string]int{"pac": b.pac.PID(), "pac's driver": b.driver(), "pns": b.pns.PID(), "exchange": b.exchange.PID()}
}

// driver is the process of pac's driver.
func (b *bank) driver() int {
	var drivers []struct{ PID int }
	b.ask(&drivers, "pac", "drivers", "--json", "--admin", b.socket())
	if len(drivers) != 1 {
		b.Fatalf("pac has %d drivers", len(drivers))
	}
	return drivers[0].PID
}

// counted is what pac tells of a call, as far as it is looked at.
type counted struct {
	Line     string
	Counters struct {
		In          float64 `json:"line_octets_in"`
		Out         float64 `json:"line_octets_out"`
		FCSErrors   int     `json:"fcs_errors"`
		LineDropped int     `json:"line_dropped"`
		Stalled     int     `json:"stalled"`
		Lost        int     `json:"lost"`
	}
}

// calls are the counters of the calls by line.
func (b *bank) calls() map[string]counted {
	var all []counted
	b.ask(&all, "pac", "calls", "--json", "--admin", b.socket())
	calls := map[string]counted{}
	for _, c := range all {
		calls[c.Line] = c
	}
	return calls
}

// caller is one `pac caller`.
type caller struct {
	*daemon.Daemon
	r *run
}

// step is a line that a caller prints; the last one, without kind, is the result.
type step struct {
	Kind      string        `json:"kind"`
	Since     time.Duration `json:"since"`
	FirstPing time.Duration `json:"first_ping"`
	Encrypted bool          `json:"encrypted"`
	FCSErrors int           `json:"fcs_errors"`
}

// call starts a caller on a phone (from 1).
func (b *bank) call(phone int, args ...string) caller {
	port := filepath.Join(b.ports(), fmt.Sprintf("phone%d", phone))
	return caller{b.start(b.space, password+"\n", "pac", append([]string{"caller", "1000", "--json", "--user", user, "--port", port}, args...)...), b.run}
}

func (c caller) steps() (all []step) {
	for line := range strings.Lines(c.Log()) {
		var s step
		if json.Unmarshal([]byte(line), &s) == nil {
			all = append(all, s)
		}
	}
	return all
}

// first is when the first step of a kind was.
func (c caller) first(kind string) (since time.Duration, ok bool) {
	for _, s := range c.steps() {
		if s.Kind == kind {
			return s.Since, true
		}
	}
	return 0, false
}

// await waits for a step of the kind.
func (c caller) await(kind string) {
	c.r.eventually("a caller has not come as far as "+kind, 60*time.Second, func() bool {
		select {
		case <-c.Done():
			c.r.Fatalf("a caller has ended: %v\n%s", c.Err(), c.Log())
		default:
		}
		_, ok := c.first(kind)
		return ok
	})
}

// finish waits for the caller's end and returns its result.
func (c caller) finish() step {
	select {
	case <-c.Done():
	case <-time.After(60 * time.Second):
		c.r.Fatalf("a caller does not end:\n%s", c.Log())
	}
	all := c.steps()
	if c.Err() != nil || len(all) == 0 || all[len(all)-1].Kind != "" {
		c.r.Fatalf("a caller failed: %v\n%s", c.Err(), c.Log())
	}
	return all[len(all)-1]
}

// hangup asks all callers to hang up, and waits for their ends.
func (b *bank) hangup(all []caller) {
	for _, c := range all {
		c.Signal(syscall.SIGINT)
	}
	for _, c := range all {
		<-c.Done()
	}
	b.awaitIdle()
}
