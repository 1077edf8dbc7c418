package command

import (
	"bytes"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"trunkline.example/shared/admin"
)

// drained serves a daemon whose calls end one by one as they are asked for; with undone, somebody undrains it meanwhile.
func drained(t *testing.T, calls int, undone bool) (run func(args ...string) (string, int)) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "pns.sock")
	server := admin.NewServer(admin.ServerOptions{Socket: socket})
	var mu sync.Mutex
	state, asked := admin.DrainState{Calls: calls}, 0
	server.Drained(func(draining bool) {
		mu.Lock()
		defer mu.Unlock()
		state.Draining = draining
	}, func() admin.DrainState {
		mu.Lock()
		defer mu.Unlock()
		if asked++; asked > 1 {
			state.Calls--
			state.Draining = state.Draining && !undone
		}
		return state
	})
	stop, err := server.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop() })
	return func(args ...string) (string, int) {
		drain, undrain := Drain("pns")
		root := Root("pns", "a daemon", drain, undrain)
		var printed bytes.Buffer
		root.SetArgs(append(args, "--admin="+socket))
		root.SetOut(&printed)
		err := root.ExecuteContext(t.Context())
		return printed.String(), ExitStatus(&printed, "pns", err)
	}
}

func TestDrain(t *testing.T) {
	run := drained(t, 2, false)
	if out, status := run("drain"); status != StatusDone || !strings.Contains(out, "refused") || !strings.Contains(out, "2") {
		t.Errorf("drain: status %d: %s", status, out)
	}
	if out, status := run("drain", "--wait"); status != StatusDone || !strings.Contains(out, "0") {
		t.Errorf("drain --wait: status %d: %s", status, out)
	}
	if out, status := run("undrain", "--json"); status != StatusDone || !strings.Contains(out, `"draining": false`) && !strings.Contains(out, `"draining":false`) {
		t.Errorf("undrain: status %d: %s", status, out)
	}
}

// A wait for the last call ends when new calls are taken again.
func TestDrainUndone(t *testing.T) {
	run := drained(t, 5, true)
	_, status := run("drain", "--wait")
	if status != StatusFailed {
		t.Errorf("status %d", status)
	}
}
