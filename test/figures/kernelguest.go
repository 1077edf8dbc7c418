package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"trunkline.example/shared/measure"
	"trunkline.example/test/daemon"
	"trunkline.example/test/netns"
	"trunkline.example/test/output"
)

const (
	guestName   = "figures-guest" // argument 0 of the process that measures in the guest
	guestReport = "report.json"
	guestDir    = "/xchg"

	guestServer = "198.18.0.1"
	guestClient = "198.18.0.2"
	streamTime  = 5 * time.Second
	floodSize   = 64 // octets of an IP packet's UDP payload
	guestRounds = 3  // of what goals are about
)

// insideGuest is the process that measures in the guest. It returns its exit status.
func insideGuest() int {
	var o options
	err := json.Unmarshal([]byte(os.Args[1]), &o)
	if err == nil {
		binDir = guestDir
		result := measureSection(section{measure: func(r *run) { measureServers(r, o) }})
		var report []byte
		if report, err = json.Marshal(message{Result: result}); err == nil {
			err = os.WriteFile(filepath.Join(guestDir, guestReport), report, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		return 1
	}
	return 0
}

// pair is two namespaces joined by a cable: the server's and the client's.
type pair struct {
	*run
	server, client *netns.Space
}

// measureServers measures the bare cable and each server with and without MPPE.
func measureServers(r *run, o options) {
	p := &pair{r, netns.New(r), netns.New(r)}
	p.server.Veth("veth0", guestServer+"/24", p.client, "veth1", guestClient+"/24")
	rounds := guestRounds
	if o.Quick {
		rounds = 1
	}
	p.streams("bare cable", guestServer, guestClient, o, 1)
	p.floods("bare cable", guestServer, guestClient, o, false, func() string { return guestClient })
	for _, s := range []contender{
		{name: "pptpd", start: p.pptpd, setUp: true},
		{name: kernelsOwn, start: p.kernelServer},
		{name: "pns", start: p.pnsServer, setUp: true, lossFree: true},
	} {
		p.encrypted(s, rounds, o)
		p.inClear(s, o)
	}
}

// contender is a server that is measured in the guest.
type contender struct {
	name     string
	start    func(mppe bool) *daemon.Daemon
	setUp    bool // whether it is asked how fast it sets up calls
	lossFree bool // and the most without a loss: losses are the death of pptpd's tunnel
}

// kernelsOwn is the Linux kernel's PPTP and MPPE at the server's end too, as accel-ppp has it: no program takes part in what is carried.
const kernelsOwn = "Linux at both ends"

// encrypted measures one server with MPPE.
func (p *pair) encrypted(s contender, rounds int, o options) {
	what := s.name + ", MPPE-128"
	server := s.start(true)
	hangUp, address := p.connect(true)
	p.pings(what)
	p.streams(what, innerAddress, address, o, rounds)
	p.floods(what, innerAddress, address, o, s.lossFree, func() string {
		hangUp()
		hangUp, address = p.connect(true)
		return address
	})
	hangUp()
	if s.setUp {
		p.setUps(s.name)
	}
	server.Stop()
}

// inClear measures one server without MPPE.
func (p *pair) inClear(s contender, o options) {
	server := s.start(false)
	hangUp, address := p.connect(false)
	p.streams(s.name+", in clear", innerAddress, address, o, 1)
	hangUp()
	server.Stop()
}

// pnsServer starts pns.
func (p *pair) pnsServer(mppe bool) *daemon.Daemon {
	encryption := "required"
	if !mppe {
		encryption = "none"
	}
	return p.daemon(p.server, "pns", "run", "--config", p.pnsConfig(p.TempDir(), `
[[listener]]
address = "`+guestServer+`:1723"
encryption = "`+encryption+`"
[limits]
half_open_calls_per_source = 512
connections_per_source = 512
`, user))
}

// pptpd starts pptpd, with one pppd for each call.
func (p *pair) pptpd(mppe bool) *daemon.Daemon {
	dir := p.TempDir()
	options := p.writeFile(dir, "options", strings.Join(p.pppd(mppe, "nologfd"), "\n")+"\n")
	config := p.writeFile(dir, "pptpd.conf", "listen "+guestServer+"\nlocalip "+innerAddress+"\nremoteip 10.97.1.1-200\nconnections 200\noption "+options+"\n")
	return p.startProgram(p.server, nil, "", "pptpd", "--fg", "--conf", config)
}

// kernelServer starts pppd for one call at a time, with the kernel's PPTP.
func (p *pair) kernelServer(mppe bool) *daemon.Daemon {
	// The words of each of pptpd's lines, as a command line has them.
	args := strings.Fields(strings.Join(p.pppd(mppe, "plugin "+guestDir+"/kpptp.so", "kpptp-listen "+guestServer, innerAddress+":10.97.1.1",
		"nodetach", "noipv6", "nodeflate", "persist", "holdoff 1", "maxfail 0"), " "))
	return p.startProgram(p.server, nil, "", "pppd", args...)
}

// pppd writes pppd's files of secrets for a server, and returns its options, one a line, those given after those that all have.
func (p *pair) pppd(mppe bool, more ...string) []string {
	secrets := fmt.Sprintf("%s * %s *\n", user, password)
	for name, text := range map[string]string{"chap-secrets": secrets, "pap-secrets": secrets, "options": ""} {
		if err := os.WriteFile("/etc/ppp/"+name, []byte(text), 0o600); err != nil {
			p.Fatal(err)
		}
	}
	encryption := "require-mppe-128"
	if !mppe {
		encryption = "nomppe"
	}
	return append([]string{encryption, "name pptpd", "auth", "refuse-pap", "refuse-chap", "refuse-mschap", "require-mschap-v2", "nobsdcomp", "novj", "novjccomp",
		"mtu 1400", "mru 1400"}, more...)
}

// connect makes a call with pppd on the kernel's PPTP. It returns how to end it, and the client's address.
func (p *pair) connect(mppe bool) (hangUp func(), address string) {
	args := []string{"plugin", guestDir + "/kpptp.so", "kpptp-server", guestServer, "nodetach", "noauth", "noipv6", "nobsdcomp", "nodeflate", "novj",
		"user", user, "password", password, "unit", "0", "mtu", "1400", "mru", "1400"}
	if mppe {
		args = append(args, "require-mppe-128")
	} else {
		args = append(args, "nomppe")
	}
	var x *daemon.Daemon
	// pptpd listens a moment after it was started.
	p.eventually("pppd has made no call", time.Minute, func() bool {
		if x == nil {
			x = p.startProgram(p.client, nil, "", "pppd", args...)
		}
		select {
		case <-x.Done():
			if !strings.Contains(x.Log(), "refused") {
				p.Fatalf("pppd has ended: %v\n%s", x.Err(), x.Log())
			}
			x = nil
			return false
		default:
		}
		out, _ := exec.Command("ip", "-n", p.client.Name, "-4", "-o", "addr", "show", "dev", "ppp0").Output()
		route, _ := exec.Command("ip", "-n", p.client.Name, "-4", "route", "show", "dev", "ppp0").Output()
		if fields := strings.Fields(string(out)); len(fields) > 3 && len(route) > 0 {
			address = fields[3]
		}
		return address != ""
	})
	return func() {
		x.Signal(syscall.SIGTERM)
		<-x.Done()
	}, address
}

// ways are the two directions between the ends.
type way struct {
	name     string
	from, to *netns.Space
	address  string
}

func (p *pair) ways(server, client string) []way {
	return []way{{"up", p.client, p.server, server}, {"down", p.server, p.client, client}}
}

// streams measures TCP between the ends.
func (p *pair) streams(what, server, client string, o options, rounds int) {
	for _, w := range p.ways(server, client) {
		var megabits []float64
		for range rounds {
			megabits = append(megabits, p.stream(w.from, w.to, w.address, o.time(streamTime)))
		}
		p.add(what+": TCP "+w.name, median(megabits), "Mbit/s", "median of %d, %s to %s", rounds, digits(quantile(megabits, 0)), digits(quantile(megabits, 1)))
	}
}

// floods measures small packets. A tunnel that is dead after a flood is made anew; one that is not is asked, if lossless says so, for the highest rate
// without a loss, which may be more than what arrives of a flood: that takes the time of those who carry it.
func (p *pair) floods(what, server, client string, o options, lossless bool, again func() string) {
	for i := range p.ways(server, client) {
		w := p.ways(server, client)[i]
		howLong := o.time(floodTime)
		got, sent := p.offer(w, 0, howLong)
		note := fmt.Sprintf("%s of %s offered", digits(rate(got, howLong)/1e3), digits(rate(sent, howLong)/1e3))
		most := rate(got, howLong)
		switch {
		case !p.alive(server):
			note += "; DEAD afterwards"
			client = again()
		case lossless:
			note += "; alive afterwards"
			most = max(most, p.lossFree(what, w, rate(sent, howLong), o.time(guestSearch)))
		default:
			note += "; alive afterwards"
		}
		p.add(what+": "+small(w.name), most/1e3, "kpackets/s", "the most that arrived; of a flood %s", note)
	}
}

// iperf is what iperf3 prints, as far as it is looked at.
type iperf struct {
	Error string
	End   struct {
		Received struct {
			BitsPerSecond float64 `json:"bits_per_second"`
		} `json:"sum_received"`
		Sum struct {
			Seconds float64
			Packets float64
			Lost    float64 `json:"lost_packets"`
		}
	}
}

// iperf3 runs it between two namespaces.
func (p *pair) iperf3(from, to *netns.Space, address string, howLong time.Duration, args ...string) (r iperf) {
	server := p.startProgram(to, nil, "", "iperf3", "--server", "--one-off", "--bind", address)
	args = append([]string{"--client", address, "--json", "--connect-timeout", "3000", "--time", fmt.Sprint(max(int(howLong.Seconds()), 1))}, args...)
	var out []byte
	p.eventually("iperf3 does not connect", time.Minute, func() bool { // the server listens a moment after it was started
		out, _ = from.Command(context.Background(), "iperf3", args...).Output() // says 0 even where it has failed
		if r = (iperf{}); json.Unmarshal(out, &r) == nil && r.Error == "" {
			return true
		}
		select {
		case <-server.Done():
			p.Fatalf("iperf3 %q:\n%s\n%s", args, out, server.Log())
		default:
		}
		return false
	})
	<-server.Done()
	return r
}

// stream is how many Mbit/s one TCP connection carries.
func (p *pair) stream(from, to *netns.Space, address string, howLong time.Duration) float64 {
	return p.iperf3(from, to, address, howLong, "--omit", "1").End.Received.BitsPerSecond / 1e6
}

// alive says whether the client's pings are answered.
func (p *pair) alive(address string) bool {
	return p.client.Command(context.Background(), "ping", "-q", "-c", "3", "-i", "0.2", "-w", "5", address).Run() == nil
}

// guestStorms are how many calls are set up in the guest at one time, and of how many in all; of pns so many times as many, since the first ones
// wait for code that the emulator has not yet translated.
var guestStorms = []struct{ atOnce, calls, more int }{{1, 10, 10}, {16, 48, 10}, {128, 128, 3}}

// setUps tells how fast calls are set up.
func (p *pair) setUps(name string) {
	for _, s := range guestStorms {
		calls := s.calls
		if name == "pns" {
			calls *= s.more
		}
		cmd := p.client.Command(context.Background(), filepath.Join(binDir, "pns"), "load", guestServer, "--user", user, "--users", "1",
			"--sessions", fmt.Sprint(calls), "--at-once", fmt.Sprint(s.atOnce), "--limit", "30s", "--json")
		cmd.Stdin = strings.NewReader(password + "\n")
		out, _ := cmd.Output() // status 1 if a call failed, which the report tells
		var got measure.Report
		if err := json.Unmarshal(out, &got); err != nil {
			p.Errorf("pns load printed %v:\n%s", err, out)
			return
		}
		p.add(name+": "+setUp(s.atOnce), got.SetUp.PerSecond, "calls/s", "%d of %d failed; median %s ms, p99 %s ms",
			got.Failed, calls, digits(got.SetUp.Latency.Median), digits(got.SetUp.Latency.P99))
	}
}

// pings tells the round trip.
func (p *pair) pings(what string) {
	var out output.Buffer
	cmd := p.client.Command(context.Background(), "ping", "-q", "-c", "200", "-i", "0.01", innerAddress)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		p.Errorf("ping: %v\n%s", err, out.String())
		return
	}
	var least, average, most, deviation float64
	_, after, _ := strings.Cut(out.String(), "mdev = ")
	if n, _ := fmt.Sscanf(after, "%f/%f/%f/%f", &least, &average, &most, &deviation); n != 4 {
		p.Errorf("ping printed\n%s", out.String())
		return
	}
	p.add(what+": ping", average*1e3, "µs", "mean of 200, %s to %s", digits(least*1e3), digits(most*1e3))
}
