package lineplugin

import (
	"context"
	"os"
	"sync"
	"time"
)

// keepEnv tells a driver that it is to outlive its host, and for how long it waits for the next one (time.ParseDuration).
const keepEnv = "TRUNKLINE_DRIVER_KEEP"

// patience is how long this process waits for its next host; 0: not at all.
func patience() time.Duration {
	d, err := time.ParseDuration(os.Getenv(keepEnv))
	if err != nil {
		return 0
	}
	return d
}

// hosts is the place of the one host that may have the lines' data. While it is free, and the driver is to outlive its host, the time runs
// after which nobody is waited for any more.
type hosts struct {
	place    chan struct{} // has an element while a host is there
	patience time.Duration // 0: for ever
	abandon  func()

	mu    sync.Mutex
	timer *time.Timer
}

func newHosts(patience time.Duration, abandon func()) *hosts {
	return &hosts{place: make(chan struct{}, 1), patience: patience, abandon: abandon}
}

// enter waits until the last host is gone for good.
func (h *hosts) enter(ctx context.Context) error {
	select {
	case h.place <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.timer.Stop()
	}
	return nil
}

// leave makes room for the next host.
func (h *hosts) leave() {
	<-h.place
	h.wait()
}

// wait lets the time run, if no host is there.
func (h *hosts) wait() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.patience == 0 || len(h.place) > 0 {
		return
	}
	if h.timer != nil {
		h.timer.Stop()
	}
	h.timer = time.AfterFunc(h.patience, func() {
		if len(h.place) == 0 {
			h.abandon()
		}
	})
}
