package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"trunkline.example/shared/measure"
	"trunkline.example/test/daemon"
	"trunkline.example/test/netns"
	"trunkline.example/test/watch"
)

// A pns alone is kept at full load by clients that speak PPTP: hundreds of sessions full of pings and datagrams, while others come and go, a third of
// them without a word, and its configuration is read again and again. No session fails, no ping is lost, and the daemon holds what it held after the
// first minute, under load and when it is quiet again.
func TestDirect(t *testing.T) {
	s := newSoak(t)
	d := newDirect(s)
	warm, work := 3*time.Second, 5*time.Second
	if *duration > 0 {
		warm, work = time.Minute, *duration
	}
	d.load(warm, 1)
	d.awaitQuiet()
	first := s.hold([]held{d.pns.held()})
	s.say("it is known what pns holds after %v of load", warm)
	d.load(work, 2)
	d.awaitQuiet()
	s.compare(first, []held{d.pns.held()})
	d.judgeLoaded()
	d.books()
	d.pns.daemon.Stop()
	if err := d.pns.daemon.Err(); err != nil {
		s.fault("pns ended with %v", err)
	}
	s.sayings()
}

// direct is a pns, and a network of clients.
type direct struct {
	*soak
	pns     *machine
	clients *netns.Space
	samples []watch.Figures // of the last load

	started, up int // calls so far
}

const (
	directServer = "198.18.0.1"
	directInner  = "10.97.0.1"
	directPort   = "5001"
	// directPool is small, as pns remembers every address that it has leased: all are in the first minute.
	directPool = "[pool]\nranges = [\"10.97.0.0/22\"]\nrest = \"1s\"\n"
)

// loads are what runs at one time: pings, whose replies make the next ones, so that they take what processor time there is; and datagrams at a rate.
// Each has its network of clients.
var loads = map[string][]string{
	"198.19.0.0/17": {"--sessions", "64", "--traffic", "echo", "--window", "4", "--size", "1400", "--timeout", "60s",
		"--churn", "20", "--life", "5s", "--cut", "0.3"},
	"198.19.128.0/17": {"--sessions", "8", "--traffic", "both", "--datagrams", "50", "--size", "600", "--timeout", "60s", "--responder", directInner + ":" + directPort,
		"--churn", "2", "--life", "5s", "--cut", "0.3"},
}

func newDirect(s *soak) *direct {
	s.Helper()
	d := &direct{soak: s, clients: netns.New(s)}
	space := netns.New(s)
	space.Veth("veth0", directServer+"/30", d.clients, "veth1", "198.18.0.2/30")
	for network := range loads {
		space.Run("ip", "route", "add", network, "via", "198.18.0.2")
		d.clients.Run("ip", "route", "add", "local", network, "dev", "lo")
	}
	config := fmt.Sprintf("[[listener]]\naddress = \"%s:1723\"\n%s[users]\nfile = %q\n[admin]\nsocket = %q\n[records]\nfile = %q\n[log]\nformat = \"json\"\n", directServer, directPool,
		s.write("users.toml", fmt.Sprintf("[[user]]\nname = \"soak\"\npassword = %q\n", password)), filepath.Join(s.dir, "pns.sock"), filepath.Join(s.dir, "pns.jsonl"))
	d.pns = newMachine(s, space, "pns", "pns", filepath.Join(s.dir, "pns.sock"), "run", "--config", s.write("pns.toml", config))
	d.pns.start()
	d.generator("respond", space, "respond", directInner+":"+directPort)
	return d
}

// generator starts `pns load`.
func (d *direct) generator(name string, space *netns.Space, args ...string) *daemon.Daemon {
	d.Helper()
	return daemon.Start(d, daemon.Options{Space: space, Program: filepath.Join(bin, "pns"), Args: append([]string{"load"}, args...), Env: environment, Input: password + "\n",
		Log: filepath.Join(d.dir, "load-"+name+".log"), Kept: true})
}

// load runs all loads for a time, and takes samples of what pns holds meanwhile.
func (d *direct) load(howLong time.Duration, round uint64) {
	d.Helper()
	running := map[string]*daemon.Daemon{}
	for network, args := range loads {
		name := fmt.Sprintf("%d-%s", round, network[:len("198.19.0")])
		running[network] = d.generator(name, d.clients, append([]string{directServer, "--json", "--source", network, "--user", "soak", "--duration", howLong.String(),
			"--seed", fmt.Sprint(d.seed + round)}, args...)...)
	}
	d.sample(howLong, running)
	for network, g := range running {
		var r measure.Report
		<-g.Done()
		if err := json.Unmarshal([]byte(g.Log()), &r); err != nil {
			d.Fatalf("pns load from %s: %v, %v\n%s", network, g.Err(), err, g.Log())
		}
		if g.Err() != nil || !r.OK() || r.Traffic == nil || r.Traffic.ComeAndGo == nil {
			d.fault("pns load from %s: %v: %+v", network, g.Err(), r)
			continue
		}
		c, come := r.Traffic, r.Traffic.ComeAndGo
		d.started, d.up = d.started+r.Started+come.Started, d.up+r.Up+come.Up
		d.say("from %s: %d sessions held, %d came and went, %d of these without a word; up %.0f Mbit/s, down %.0f Mbit/s, lost %d and %d", network, r.Up, come.Up, come.Cut,
			c.Up.Mbps, c.Down.Mbps, c.Up.Lost, c.Down.Lost)
		if come.Up == 0 || c.Down.Received == 0 || c.Up.Received == 0 || c.RoundTrip != nil && c.Down.Lost > 0 {
			d.fault("from %s: %+v, come and gone %+v", network, *c, *come)
		}
	}
}

const (
	sampleEvery = time.Second
	tellEvery   = time.Minute
)

// sample looks at pns until a load has ended, and has it read its configuration again now and then.
func (d *direct) sample(howLong time.Duration, running map[string]*daemon.Daemon) {
	d.Helper()
	d.samples = nil
	look := time.NewTicker(sampleEvery)
	defer look.Stop()
	tell := time.NewTicker(tellEvery)
	defer tell.Stop()
	process := d.pns.held().process
	ended := make(chan struct{})
	go func() {
		for _, g := range running {
			<-g.Done()
		}
		close(ended)
	}()
	for began := time.Now(); ; {
		select {
		case <-ended:
			return
		case <-tell.C:
			f := d.samples[len(d.samples)-1]
			d.say("%d descriptors, %d goroutines, %d MiB resident, %d MiB live", f.Descriptors, f.Goroutines, f.Resident>>20, f.HeapLive>>20)
		case <-look.C:
			ctx, cancel := context.WithTimeout(context.Background(), askLimit)
			f, err := process.Look(ctx)
			cancel()
			if err != nil {
				d.fault("under load: %v", err)
			} else if time.Since(began) < howLong { // then the calls end
				d.samples = append(d.samples, f)
			}
			if len(d.samples)%reloadEvery == 1 {
				d.pns.daemon.Signal(syscall.SIGHUP)
			}
		}
	}
}

// reloadEvery is after how many samples pns reads its configuration again.
const reloadEvery = 10

// What pns may hold more at the end of its load than at its beginning, on the average: calls come and go at random.
const (
	loadedDescriptors = 40
	loadedGoroutines  = 16
	loadedResident    = residentLimit
)

// judgeLoaded compares the samples of the first tenth of the load, when all calls are up, with those of the last.
func (d *direct) judgeLoaded() {
	d.Helper()
	if *duration == 0 {
		return // a few seconds: most of it is the beginning
	}
	part := len(d.samples) / 10
	if part < 10 {
		d.Fatalf("only %d samples under load: it takes at least two minutes", len(d.samples))
	}
	first, last := means(d.samples[part:2*part]), means(d.samples[len(d.samples)-part:])
	d.say("under load, at first and at last: %d and %d descriptors, %d and %d goroutines, %d and %d MiB resident", first.Descriptors, last.Descriptors, first.Goroutines, last.Goroutines,
		first.Resident>>20, last.Resident>>20)
	for _, text := range watch.Growth(first, last, watch.Limits{Descriptors: loadedDescriptors, Goroutines: loadedGoroutines, HeapLive: loadedResident, Resident: loadedResident}) {
		d.fault("under load: %s", text)
	}
}

// means are the averages of what is judged.
func means(all []watch.Figures) (m watch.Figures) {
	for _, f := range all {
		m.Resident += f.Resident
		m.Descriptors += f.Descriptors
		m.Goroutines += f.Goroutines
		m.HeapLive += f.HeapLive
	}
	n := len(all)
	return watch.Figures{Resident: m.Resident / int64(n), Descriptors: m.Descriptors / n, Goroutines: m.Goroutines / uint64(n), HeapLive: m.HeapLive / uint64(n)}
}

// awaitQuiet waits until pns has nothing of a call any more.
func (d *direct) awaitQuiet() {
	d.Helper()
	d.await("pns without calls", idleLimit, func() string {
		type view struct {
			serverView
			Sources int
		}
		v, ok := tryRead[view](d.pns, "/status")
		switch {
		case !ok:
			return "it does not answer"
		case v.Calls+v.HalfOpen+v.Connections+v.Sources+v.Pool.Leased != 0:
			return fmt.Sprintf("%+v", v)
		}
		return ""
	})
}

// restartTimer is that of PPP by default. If it has run out on a busy machine, both ends may have asked twice, and have agreed on the encryption twice: what
// was under way meanwhile has the keys of the first time.
const restartTimer = 3 * time.Second

// books compares what pns has counted and recorded with what the clients have. Calls that were being set up when all ended may have been none to it.
func (d *direct) books() {
	d.Helper()
	v, ok := tryRead[serverView](d.pns, "/status")
	records := d.readRecords(d.pns)
	if !ok || len(records) != v.CallsEnded || v.RecordsLost != 0 || v.CallsEnded < d.up || v.CallsEnded > d.started {
		d.fault("pns has counted %d calls and recorded %d, and lost %d records; the clients began %d, of which %d came up", v.CallsEnded, len(records), v.RecordsLost, d.started, d.up)
	}
	var ids []string
	undecrypted := uint64(0)
	for _, r := range records {
		ids = append(ids, r.ID)
		if r.Connected.Sub(r.Started) < restartTimer {
			undecrypted += r.Errors.Undecrypted
		}
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != len(records) || undecrypted != 0 {
		d.fault("%d records with %d names; %d packets could not be decrypted", len(records), n, undecrypted)
	}
}
