package lineplugin

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/line"
)

func init() { roles["serve-echo"] = serveEcho }

// serveEcho serves as many lines as its argument says, each of which gives back what it is sent.
func serveEcho(args []string) {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		panic(err)
	}
	Serve(echoDriver(n))
}

type echoDriver int

func (echoDriver) Info() line.Info {
	return line.Info{Name: "echo", Contract: line.ContractVersion, Capabilities: line.Capabilities{Dial: true, Bearers: line.BearerAnalog, Framings: line.FramingAsync}}
}

func (d echoDriver) Open(context.Context, line.Section) (all []line.Line, err error) {
	for i := range int(d) {
		l := &echoLine{name: fmt.Sprint("echo", i), queue: line.NewQueue()}
		l.changed = sync.NewCond(&l.mu)
		l.queue.Send(time.Now(), 0, line.Up{})
		all = append(all, l)
	}
	return all, nil
}

// echoLine is connected once and for all by Dial. It is no model of a line.
type echoLine struct {
	line.Line // nil: what is not defined below is not called
	name      string

	mu      sync.Mutex
	changed *sync.Cond
	queue   *line.Queue
	data    []byte
	closed  bool
}

func (l *echoLine) Identity() line.Identity {
	return line.Identity{Name: l.name, Bearers: line.BearerAnalog, Framings: line.FramingAsync}
}

func (l *echoLine) Events() <-chan line.Event { return l.queue.Events() }

func (l *echoLine) Dial(_ context.Context, r line.DialRequest) (line.Call, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue.Send(time.Now(), 1, line.Dialing{Number: r.Number})
	l.queue.Send(time.Now(), 1, line.Connected{RxSpeed: 115200, TxSpeed: 115200, Bearer: line.BearerAnalog, Framing: line.FramingAsync})
	return 1, nil
}

func (l *echoLine) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.data) == 0 {
		if l.closed {
			return 0, line.ErrClosed
		}
		l.changed.Wait()
	}
	n := copy(p, l.data)
	l.data = l.data[n:]
	return n, nil
}

func (l *echoLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data = append(l.data, p...)
	l.changed.Signal()
	return len(p), nil
}

func (l *echoLine) Shutdown(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.changed.Signal()
		l.queue.Send(time.Now(), 0, line.Down{Cause: line.Cause{Code: line.CauseShutdown}})
		l.queue.Close()
	}
	return nil
}

const (
	boundaryLines = 256
	boundaryTime  = 5 * time.Second
	// boundaryPiece octets every boundaryStep are 115,200 bit/s.
	boundaryPiece = 115
	boundaryStep  = 10 * time.Millisecond
)

// cpu is the processor time of this process, and of a driver's.
func cpu(b *testing.B, driver int) time.Duration {
	b.Helper()
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", driver))
	if err != nil {
		b.Fatal(err)
	}
	fields := statFields(string(stat))
	const user, system = 14, 15
	var ticks int64
	for _, n := range []int{user, system} {
		v, err := strconv.ParseInt(fields[n-stateField], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += v
	}
	return time.Duration(own.Utime.Nano()+own.Stime.Nano()) + time.Duration(ticks)*10*time.Millisecond
}

// BenchmarkBoundary is 256 lines full both ways at 115,200 bit/s, in a driver's process that echoes: how long a piece takes there and back, and
// what both processes need of a core. Each run takes five seconds.
func BenchmarkBoundary(b *testing.B) {
	command, err := Self("echo", "serve-echo", fmt.Sprint(boundaryLines))
	if err != nil {
		b.Fatal(err)
	}
	d, err := Load(b.Context(), command, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() })
	lines, err := d.Open(b.Context(), line.Section{Name: "echo"})
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range lines {
		<-l.Events()
		if _, err := l.Dial(b.Context(), line.DialRequest{Number: "1"}); err != nil {
			b.Fatal(err)
		}
		<-l.Events()
		<-l.Events()
	}
	for range b.N {
		before, began := cpu(b, d.Status().PID), time.Now()
		trips := echoes(b, lines)
		used, took := cpu(b, d.Status().PID)-before, time.Since(began)
		slices.Sort(trips)
		b.ReportMetric(trips[len(trips)/2].Seconds()*1e3, "ms-median")
		b.ReportMetric(trips[len(trips)*99/100].Seconds()*1e3, "ms-p99")
		b.ReportMetric(used.Seconds()/took.Seconds(), "cores")
		b.ReportMetric(float64(len(trips))*boundaryPiece/took.Seconds()/float64(len(lines)), "octets/s-line")
	}
}

// echoes sends pieces on all lines for a time and returns how long each took there and back.
func echoes(b *testing.B, lines []line.Line) (trips []time.Duration) {
	var mu sync.Mutex
	var all sync.WaitGroup
	began := time.Now()
	for i, l := range lines {
		sent := int(boundaryTime / boundaryStep)
		all.Go(func() {
			tick := time.NewTicker(boundaryStep)
			defer tick.Stop()
			time.Sleep(time.Duration(i) * boundaryStep / time.Duration(len(lines))) // not all at one moment
			piece := make([]byte, boundaryPiece)
			for range sent {
				<-tick.C
				binary.BigEndian.PutUint64(piece, uint64(time.Since(began)))
				if _, err := l.Write(piece); err != nil {
					b.Error(err)
					return
				}
			}
		})
		all.Go(func() {
			var own []time.Duration
			piece := make([]byte, boundaryPiece)
			for range sent {
				if _, err := io.ReadFull(l, piece); err != nil {
					b.Error(err)
					return
				}
				own = append(own, time.Since(began)-time.Duration(binary.BigEndian.Uint64(piece)))
			}
			mu.Lock()
			defer mu.Unlock()
			trips = append(trips, own...)
		})
	}
	all.Wait()
	return trips
}
