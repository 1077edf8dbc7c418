package exchange

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/exchange/office"
)

// calls brings up n calls between phones and answering lines, all on terminals,
// and returns the ports of callers and answerers.
func calls(t testing.TB, n, rate int, unpaced bool) (e *Exchange, ports [][2]*os.File) {
	t.Helper()
	cfg := quick(t.TempDir(), n, n)
	for i := range cfg.Office.Lines {
		l := &cfg.Office.Lines[i]
		l.Transmit, l.Receive, l.Modem.Unpaced = rate, rate, unpaced
	}
	e = running(t, cfg)
	for i := range n {
		pac, answers := open(t, cfg.Dir, fmt.Sprintf("line%d", i+1))
		phone, dials := open(t, cfg.Dir, fmt.Sprintf("phone%d", i+1))
		pac.ask("ATE0S0=1", "OK\r\n")
		phone.ask("ATE0", "OK\r\n")
		phone.say("ATDT1000\r")
		phone.hear("CONNECT ")
		phone.hear("\r\n")
		pac.hear("CONNECT ")
		pac.hear("\r\n")
		if len(pac.got)+len(phone.got) > 0 {
			t.Fatalf("octets before the first: %q, %q", pac.got, phone.got)
		}
		ports = append(ports, [2]*os.File{dials, answers})
	}
	return e, ports
}

// Eight calls at once carry their octets, each its own, both ways.
func TestEightCalls(t *testing.T) {
	const size = 30000
	_, ports := calls(t, 8, office.Unlimited, true)
	var all sync.WaitGroup
	for i, pair := range ports {
		for side := range 2 {
			data := make([]byte, size)
			for k := range data {
				data[k] = byte(k*(i+2) + side)
			}
			all.Go(func() {
				if _, err := pair[side].Write(data); err != nil {
					t.Errorf("call %d: write: %v", i, err)
				}
			})
			all.Go(func() {
				got := make([]byte, size)
				if _, err := io.ReadFull(pair[1-side], got); err != nil || !bytes.Equal(got, data) {
					t.Errorf("call %d: %v, or other octets", i, err)
				}
			})
		}
	}
	all.Wait()
}

// BenchmarkEightSaturatedLines has eight calls at 115200 bit/s on the line, both
// ways full, between terminals, in real time. cpu is the share of one core that
// the exchange and the test's own readers and writers take together.
func BenchmarkEightSaturatedLines(b *testing.B) {
	_, ports := calls(b, 8, 115200, true)
	var all sync.WaitGroup
	var mu sync.Mutex
	carried := 0
	for _, pair := range ports {
		for side := range 2 {
			f := pair[side]
			if err := f.SetDeadline(time.Time{}); err != nil {
				b.Fatal(err)
			}
			all.Go(func() {
				for data := make([]byte, 1000); ; {
					if _, err := f.Write(data); err != nil {
						return
					}
				}
			})
			all.Go(func() {
				for data := make([]byte, 4096); ; {
					n, err := f.Read(data)
					if err != nil {
						return
					}
					mu.Lock()
					carried += n
					mu.Unlock()
				}
			})
		}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	<-tick.C // fill the buffers
	mu.Lock()
	before := carried
	mu.Unlock()
	used, began := cpu(b), time.Now()
	for b.Loop() {
		<-tick.C
	}
	took := time.Since(began).Seconds()
	b.ReportMetric(100*(cpu(b)-used).Seconds()/took, "cpu%")
	mu.Lock()
	b.ReportMetric(float64(carried-before)/took/16, "octets/s/direction")
	mu.Unlock()
	for _, pair := range ports {
		for _, f := range pair {
			if err := f.SetDeadline(time.Unix(1, 0)); err != nil {
				b.Error(err)
			}
		}
	}
	all.Wait()
}

// cpu returns the time this process has computed.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Call after call with lost carriers, unplugged ports and clients that come and
// go leaves no descriptor behind.
func TestChurn(t *testing.T) {
	dir := t.TempDir()
	e := running(t, quick(dir, 1, 1))
	pac, f := open(t, dir, "line1")
	clocal(t, f, true)
	pac.ask("ATE0S0=1S10=1", "OK\r\n")
	descriptors := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	before := 0
	for i := range 12 {
		phone, port := open(t, dir, "phone1")
		// What a client writes in the moment in which it opens the port may still be taken for the last one's.
		status(t, e, "attached", func(s office.Status) bool { return s.Lines[1].Attached })
		clocal(t, port, false)
		phone.ask("ATE0S10=1", "OK\r\n")
		phone.ask("ATDT1000", "CONNECT 33600\r\n")
		pac.hear("CONNECT 33600\r\n")
		if i%3 == 0 {
			if err := e.Unplug("phone1"); err != nil {
				t.Fatal(err)
			}
		} else if err := e.Cut("phone1"); err != nil {
			t.Fatal(err)
		}
		pac.hear("NO CARRIER\r\n")
		hungUp(t, port)
		port.Close()
		status(t, e, "idle", func(s office.Status) bool { return !s.Lines[1].Attached && len(s.Calls) == 0 })
		if i == 2 {
			before = descriptors()
		}
	}
	// The watcher opens a terminal for a moment now and then.
	for end := time.Now().Add(limit); descriptors() > before; {
		if time.Now().After(end) {
			t.Fatalf("%d descriptors after three calls, %d after twelve", before, descriptors())
		}
		runtime.Gosched()
	}
}
