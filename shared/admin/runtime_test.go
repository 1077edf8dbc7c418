package admin

import (
	"runtime"
	"testing"
	"time"
)

func TestReadRuntime(t *testing.T) {
	runtime.GC()
	before := ReadRuntime(time.Now().Add(-time.Minute))
	if before.Uptime < 60 || before.Uptime > 90 || before.Goroutines == 0 || before.HeapLive == 0 || before.GCCycles == 0 {
		t.Errorf("%+v", before)
	}
	end := make(chan struct{})
	defer close(end)
	const goroutines, size = 50, 16 << 20
	for range goroutines {
		go func() { <-end }()
	}
	held := make([]byte, size)
	runtime.GC()
	after := ReadRuntime(time.Now())
	if after.Goroutines < before.Goroutines+goroutines || after.HeapLive < size || after.GCCycles == before.GCCycles {
		t.Errorf("%+v, before %+v", after, before)
	}
	runtime.KeepAlive(held)
}
