package main

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	// tidyEvery is how often it is looked whether memory is to be given back.
	tidyEvery = 2 * time.Second
	// tidyAfter is after how many calls that came or went that is worth while.
	tidyAfter = 1000
	// calmCalls is how many come or go at most from one look to the next while nobody minds a collection.
	calmCalls = 20
)

// tidyMemory gives memory back to the system when a storm of calls is over, or files were read again: the collector of garbage comes every two minutes
// at the least, lets garbage grow to as much as is alive, and keeps for a while what it has found. Returns when ctx ends.
func (p *process) tidyMemory(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	var t tidiness
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if t.due(p.server.CallsTurned(), p.filesRead.Load()) {
			debug.FreeOSMemory()
		}
	}
}

// tidiness remembers what was there at the last looks: how many calls had come and gone, and how often files had been read.
type tidiness struct {
	calls, tidyCalls uint64
	files            uint64
}

// due says whether memory is to be given back now. What it is told only grows.
func (t *tidiness) due(calls, files uint64) bool {
	calm := calls-t.calls <= calmCalls
	t.calls = calls
	if !calm || calls-t.tidyCalls < tidyAfter && files == t.files {
		return false
	}
	t.tidyCalls, t.files = calls, files
	return true
}
