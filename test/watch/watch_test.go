package watch

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/admin"
)

// watched is this process, with a status as the daemons have it.
func watched(t *testing.T) *Process {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	s := admin.NewServer(admin.ServerOptions{Socket: socket})
	started := time.Now()
	s.Get("/status", func(context.Context, *admin.Request) (any, error) {
		return map[string]any{"runtime": admin.ReadRuntime(started)}, nil
	})
	stop, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return New("test", os.Getpid(), socket)
}

func limited(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// What is held is found, each by its name, and no more once it is given back.
func TestCompare(t *testing.T) {
	p := watched(t)
	first, err := p.Settle(limited(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if first.Resident == 0 || first.Descriptors == 0 || first.Goroutines == 0 || first.HeapLive == 0 || first.HeapLive > 1<<40 || first.GCCycles < 2 || first.Uptime <= 0 {
		t.Errorf("%+v", first)
	}
	limits := Limits{Descriptors: 2, Goroutines: 4, HeapLive: 4 << 20, Resident: 1 << 40}
	held := make([]byte, 32<<20)
	end := make(chan struct{})
	for range 20 {
		go func() { <-end }()
	}
	var sockets []net.Listener
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, l)
	}
	_, grown, err := p.Compare(limited(t, 3*time.Second), first, limits)
	text := strings.Join(grown, "\n")
	if err != nil || len(grown) != 3 || !strings.Contains(text, " descriptors, ") || !strings.Contains(text, " goroutines, ") || !strings.Contains(text, " octets of live heap, ") {
		t.Errorf("%v: %s", err, text)
	}
	if !strings.HasPrefix(text, "test (process ") || !strings.Contains(text, " at first: ") || !strings.Contains(text, " are allowed") {
		t.Error(text)
	}
	runtime.KeepAlive(held)
	held = nil
	close(end)
	for _, l := range sockets {
		_ = l.Close()
	}
	if now, grown, err := p.Compare(limited(t, time.Minute), first, limits); err != nil || len(grown) > 0 {
		t.Errorf("after all was given back: %v, %q, %+v, at first %+v", err, grown, now, first)
	}
}

// What a daemon still gives back while it is looked at is no growth.
func TestCompareWaits(t *testing.T) {
	p := watched(t)
	first, err := p.Settle(limited(t, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	for range 20 {
		go func() { <-end }()
	}
	asked := 0
	ask := p.ask
	p.ask = func(ctx context.Context) (admin.Runtime, error) {
		if asked++; asked == 500 {
			close(end)
		}
		return ask(ctx)
	}
	if _, grown, err := p.Compare(limited(t, time.Minute), first, Limits{Descriptors: 4, Goroutines: 4, HeapLive: 8 << 20}); err != nil || len(grown) > 0 {
		t.Errorf("%v, %q", err, grown)
	}
	if asked < 500 {
		t.Errorf("it was asked %d times only", asked)
	}
}

func TestGrowth(t *testing.T) {
	first := Figures{Resident: 1000, Descriptors: 10, Children: 1, Goroutines: 20, HeapLive: 500}
	if got := Growth(first, first, Limits{}); len(got) > 0 {
		t.Errorf("no growth: %q", got)
	}
	now := Figures{Resident: 1200, Descriptors: 12, Children: 2, Goroutines: 25, HeapLive: 600}
	if got := Growth(first, now, Limits{Descriptors: 2, Children: 1, Goroutines: 5, HeapLive: 100, Resident: 200}); len(got) > 0 {
		t.Errorf("within the limits: %q", got)
	}
	if got := Growth(first, now, Limits{Descriptors: 1, Goroutines: 4, HeapLive: 99, Resident: 199}); len(got) != 5 || got[1] != "2 child processes, 1 at first: 1 more, 0 are allowed" {
		t.Errorf("%q", got)
	}
	if got := Growth(first, now, Limits{Descriptors: 2, Children: 1, Goroutines: 5, HeapLive: 100}); len(got) > 0 {
		t.Errorf("resident memory was judged: %q", got)
	}
}

// A process without a status, and one that is not there.
func TestWithoutStatus(t *testing.T) {
	f, err := New("driver", os.Getpid(), "").Settle(t.Context())
	if err != nil || f.Resident == 0 || f.Descriptors == 0 || f.Goroutines != 0 || f.HeapLive != 0 {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := New("pac", 1<<30, "").Settle(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "pac (process 1073741824): ") {
		t.Error(err)
	}
	if _, err := New("pac", os.Getpid(), filepath.Join(t.TempDir(), "none")).Settle(t.Context()); err == nil || !strings.Contains(err.Error(), "is not running") {
		t.Error(err)
	}
}
