package lineplugin

import (
	"context"
	"sync"

	"trunkline.example/shared/line"
)

// tracking is a driver that remembers its lines, so that the process can free them at its end.
type tracking struct {
	line.Driver
	mu    sync.Mutex
	lines []line.Line
}

func (t *tracking) Open(ctx context.Context, section line.Section) ([]line.Line, error) {
	lines, err := t.Driver.Open(ctx, section)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, lines...)
	return lines, err
}

// free shuts all lines down.
func (t *tracking) free() {
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), freeLimit)
	defer cancel()
	var all sync.WaitGroup
	for _, l := range t.lines {
		all.Go(func() { _ = l.Shutdown(ctx) })
		all.Go(func() {
			for range l.Events() { // a line whose events nobody takes could not end
			}
		})
	}
	all.Wait()
}
