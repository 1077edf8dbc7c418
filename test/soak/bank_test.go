package soak

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"trunkline.example/test/netns"
)

// shape is how much of everything there is.
type shape struct {
	pacs, drivers, lines, servers int // drivers of each pac, lines of each driver
}

func (h shape) all() int { return h.pacs * h.drivers * h.lines }

// bank is a telephone exchange, PACs on its lines, and PNSes that each PAC reaches over a network of its own.
type bank struct {
	*soak
	shape
	space    *netns.Space // of the exchange and the PACs
	exchange *machine
	pacs     []*machine
	servers  []*machine

	mu     sync.Mutex
	orders []order // to hang up, that were given to PACs
}

const (
	password   = "Passw0rd"
	huntNumber = "1000"
)

// lineNumber and phoneNumber are the exchange's, counted from 0.
func lineNumber(i int) string  { return fmt.Sprint(1001 + i) }
func phoneNumber(i int) string { return fmt.Sprint(2001 + i) }
func phoneUser(i int) string   { return fmt.Sprintf("phone%d", i+1) }

func newBank(s *soak, h shape) *bank {
	s.Helper()
	b := &bank{soak: s, shape: h, space: netns.New(s)}
	ports := filepath.Join(s.dir, "lines")
	b.exchange = newMachine(s, b.space, "exchange", "pac", filepath.Join(ports, "exchange.sock"), "exchange", "--dir", ports,
		"--lines", fmt.Sprint(h.all()), "--phones", fmt.Sprint(h.all()), "--rate", "57600", "--training", "300ms", "--log-format", "json", "--seed", fmt.Sprint(s.seed))
	b.exchange.launch()
	for i := range h.servers {
		b.servers = append(b.servers, b.newServer(i))
		b.servers[i].launch()
	}
	b.exchange.daemon.AwaitReady()
	for i := range h.pacs {
		b.pacs = append(b.pacs, b.newPAC(i, ports))
		b.pacs[i].launch()
	}
	for _, m := range b.machines() {
		if m != b.exchange {
			m.daemon.AwaitReady()
		}
	}
	b.awaitIdle("at the start")
	return b
}

// machines are all of them.
func (b *bank) machines() []*machine {
	return append(append([]*machine{b.exchange}, b.servers...), b.pacs...)
}

// serverAddress is that of a PNS on its network, pacAddress that of a PAC there.
func serverAddress(server int) string   { return fmt.Sprintf("198.18.%d.1", server+1) }
func pacAddress(server, pac int) string { return fmt.Sprintf("198.18.%d.%d", server+1, 11+pac) }

func (b *bank) newServer(i int) *machine {
	b.Helper()
	name := fmt.Sprintf("pns%d", i+1)
	space := netns.New(b)
	space.Veth("veth0", serverAddress(i)+"/24", b.space, fmt.Sprintf("to%d", i+1), fmt.Sprintf("198.18.%d.2/24", i+1))
	var users, text strings.Builder
	for n := range b.all() {
		fmt.Fprintf(&users, "[[user]]\nname = %q\npassword = %q\n", phoneUser(n), password)
	}
	fmt.Fprintf(&text, "name = %q\n[users]\nfile = %q\n[admin]\nsocket = %q\n[records]\nfile = %q\n[log]\nformat = \"json\"\n", name,
		b.write(name+".users.toml", users.String()), filepath.Join(b.dir, name+".sock"), filepath.Join(b.dir, name+".jsonl"))
	fmt.Fprintf(&text, "[pool]\nranges = [\"10.97.%d.0/24\"]\nserver = \"10.97.%d.1\"\nrest = \"1s\"\n[network]\ninterface = \"trunk%d\"\n", i, i, i)
	for n := range b.shape.pacs {
		b.space.Run("ip", "addr", "add", pacAddress(i, n)+"/24", "dev", fmt.Sprintf("to%d", i+1))
		fmt.Fprintf(&text, "[[pac]]\nname = \"pac%d\"\naddress = [%q]\nauthentication = [\"ms-chapv2\", \"chap-md5\", \"pap\"]\nencryption = \"preferred\"\n", n+1, pacAddress(i, n))
	}
	return newMachine(b.soak, space, name, "pns", filepath.Join(b.dir, name+".sock"), "run", "--config", b.write(name+".toml", text.String()))
}

// connectLimit is how long a PAC's line waits for the carrier of a caller who has hung up while it rang.
const connectLimit = 8 * time.Second

// newPAC configures a PAC. Every second one takes its PNSes in order, each beginning with another one; the others by load.
func (b *bank) newPAC(i int, ports string) *machine {
	b.Helper()
	name := fmt.Sprintf("pac%d", i+1)
	var text strings.Builder
	refused := []string{"ring-out", "busy"}[i/2%2]
	fmt.Fprintf(&text, "name = %q\nrefused = %q\n[admin]\nsocket = %q\n[records]\nfile = %q\n[log]\nformat = \"json\"\n[timers]\nreconnect = \"200ms\"\nwan_errors = \"1s\"\nconnect = %q\n",
		name, refused, filepath.Join(b.dir, name+".sock"), filepath.Join(b.dir, name+".jsonl"), connectLimit)
	var order []string
	for n := range b.shape.servers {
		fmt.Fprintf(&text, "[[pns]]\nname = \"pns%d\"\naddress = \"%s:1723\"\nlocal = %q\nweight = %d\n", n+1, serverAddress(n), pacAddress(n, i), 1+(n+i)%3)
		order = append(order, fmt.Sprintf("\"pns%d\"", (n+i)%b.shape.servers+1))
	}
	fmt.Fprintf(&text, "[[route]]\npns = [%s]\norder = %q\n", strings.Join(order, ", "), []string{"listed", "load"}[i%2])
	for d := range b.drivers {
		fmt.Fprintf(&text, "[[driver]]\nname = \"bank%d\"\nkind = \"modem\"\n[driver.options]\nconnect_speed = \"line\"\n%s", d+1, modemOptions)
		for n := range b.lines {
			line := (i*b.drivers+d)*b.lines + n
			fmt.Fprintf(&text, "[[driver.options.line]]\nname = \"line%d\"\ndevice = \"%s/line%d\"\nnumber = %q\n", line+1, ports, line+1, lineNumber(line))
		}
	}
	return newMachine(b.soak, b.space, name, "pac", filepath.Join(b.dir, name+".sock"), "run", "--config", b.write(name+".toml", text.String()))
}

// first are the PNSes that PACs ask first, by the names of those that have an order.
func (b *bank) first() map[string]string {
	first := map[string]string{}
	for i, m := range b.pacs {
		if i%2 == 0 {
			first[m.name] = b.servers[i%len(b.servers)].name
		}
	}
	return first
}

// lineView is what pac tells of a line, as far as it is looked at; the others likewise.
type lineView struct {
	Name, State, Cause string
	Since              time.Time
	Calls              int
	Call               *callView
}

type callView struct{ Line, Dialing, PNS string }

type driverView struct {
	Name     string
	PID      int
	Restarts int
	Problem  string
}

type pacView struct {
	PNS []struct {
		Name, Problem string
		Established   bool
		Calls         int
	}
	Drivers []driverView
}

type serverView struct {
	Calls       int
	HalfOpen    int `json:"half_open"`
	Connections int
	CallsEnded  int `json:"calls_ended"`
	RecordsLost int `json:"records_lost"`
	Pool        struct{ Leased int }
}

// notIdle says what of a PAC is not as it is without calls; empty: nothing.
func (b *bank) notIdle(m *machine) string {
	lines, ok := tryRead[[]lineView](m, "/lines")
	status, also := tryRead[pacView](m, "/status")
	if !ok || !also {
		return m.name + " does not answer"
	}
	if len(lines) != b.drivers*b.lines {
		return fmt.Sprintf("%s has %d lines of %d", m.name, len(lines), b.drivers*b.lines)
	}
	for _, l := range lines {
		if l.State != "idle" || l.Call != nil {
			return fmt.Sprintf("%s of %s is %s since %v (%s), call %+v", l.Name, m.name, l.State, time.Since(l.Since).Round(time.Millisecond), l.Cause, l.Call)
		}
	}
	for _, n := range status.PNS {
		if !n.Established || n.Calls != 0 {
			return fmt.Sprintf("%s and its %s: established %v (%s), %d calls", m.name, n.Name, n.Established, n.Problem, n.Calls)
		}
	}
	return ""
}

// serverBusy does so for a PNS.
func (b *bank) serverBusy(m *machine) string {
	v, ok := tryRead[serverView](m, "/status")
	sessions, also := tryRead[[]any](m, "/sessions")
	switch {
	case !ok || !also:
		return m.name + " does not answer"
	case v.Calls != 0 || v.HalfOpen != 0 || len(sessions) != 0 || v.Pool.Leased != 0 || v.RecordsLost != 0 || v.Connections != b.shape.pacs:
		return fmt.Sprintf("%s has %+v and %d sessions; there are %d PACs", m.name, v, len(sessions), b.shape.pacs)
	}
	return ""
}

// idleLimit is how long it may take until all lines are idle: a line that lost its driver, and a control connection its server, come back well
// within it.
const idleLimit = 2 * time.Minute

// awaitIdle waits until no daemon has a call, and every line and control connection is up.
func (b *bank) awaitIdle(when string) {
	b.Helper()
	for _, m := range b.pacs {
		b.await(when+", lines idle and control connections up", idleLimit, func() string { return b.notIdle(m) })
	}
	for _, m := range b.servers {
		b.await(when+", no calls", idleLimit, func() string { return b.serverBusy(m) })
	}
}

// stop ends all daemons, those that use others first, and looks at what they leave.
func (b *bank) stop() {
	b.Helper()
	for _, group := range [][]*machine{b.pacs, b.servers, {b.exchange}} {
		for _, m := range group {
			m.daemon.Signal(syscall.SIGTERM)
		}
		for _, m := range group {
			m.daemon.AwaitEnd()
			if err := m.daemon.Err(); err != nil {
				b.fault("%s ended with %v", m.name, err)
			}
		}
	}
	spaces := []*netns.Space{b.space}
	for _, m := range b.servers {
		spaces = append(spaces, m.space)
		if links := m.space.Run("ip", "-o", "link"); strings.Contains(links, ": trunk") {
			b.fault("%s has left its interface behind:\n%s", m.name, links)
		}
		if rules := m.space.Run("nft", "list", "ruleset"); strings.Contains(rules, "trunkline") {
			b.fault("%s has left its nftables table behind:\n%s", m.name, rules)
		}
	}
	for _, space := range spaces {
		left, err := exec.Command("ip", "netns", "pids", space.Name).Output()
		if err != nil || len(left) > 0 {
			b.fault("processes left in %s: %q, %v", space.Name, left, err)
		}
	}
}
