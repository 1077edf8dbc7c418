package control

import (
	"math/rand/v2"
	"testing"
	"time"

	"trunkline.example/shared/pptp/fsm"
)

// What is found at once among many calls is what a look through all of them finds, whatever comes and goes, and with Call IDs that
// two calls have.
func TestCallTable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for _, ids := range []int{1 << 16, 200} { // of 200 several calls have the same
		var table callTable
		var now = epoch
		for range 4000 {
			own := uint16(random.IntN(300) + 1)
			call := table.get(own)
			switch {
			case call == nil:
				call = &CallState{Call: Call{Role: fsm.RolePAC, Direction: fsm.Incoming, State: fsm.StateWaitReply, PACCallID: own}}
				table.insert(call)
				table.setDue(call, &call.Due, now)
			case random.IntN(8) == 0:
				table.remove(own)
				continue
			case !call.Call.Identified:
				call.Call.setTheirs(uint16(random.IntN(ids)))
				call.Call.State = fsm.StateEstablished
				table.identified(call)
				table.setDue(call, &call.Due, time.Time{})
			default:
				table.setDue(call, &call.WANErrorsDue, now.Add(time.Duration(random.IntN(3))*time.Second))
			}
			now = now.Add(time.Millisecond)
			checkTable(t, &table, random)
		}
	}
}

func checkTable(t *testing.T, table *callTable, random *rand.Rand) {
	t.Helper()
	var due time.Time
	halfOpen := 0
	for _, call := range table.list {
		due = earlier(due, earlier(call.Due, call.WANErrorsDue))
		if call.Call.State != fsm.StateEstablished {
			halfOpen++
		}
	}
	if got := table.due(); !got.Equal(due) {
		t.Fatalf("due at %v, want %v", got, due)
	}
	if got := table.halfOpen(); got != halfOpen {
		t.Fatalf("%d half open, want %d", got, halfOpen)
	}
	probe := uint16(random.IntN(1 << 16))
	if len(table.list) > 0 {
		probe, _ = table.list[random.IntN(len(table.list))].Call.Theirs()
	}
	for _, role := range []fsm.Role{fsm.RolePAC, fsm.RolePNS} {
		var want *CallState
		for _, call := range table.list {
			if id, known := call.Call.Theirs(); known && id == probe && call.Call.Role == role {
				want = call
				break
			}
		}
		if got := table.byTheirs(role, probe); got != want {
			t.Fatalf("as %v, Call ID %d finds %+v, want %+v", role, probe, got, want)
		}
	}
}
