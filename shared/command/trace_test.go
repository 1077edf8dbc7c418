package command

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/trace"
	"trunkline.example/test/capture"
)

// traced serves a daemon with a call "1", in which a password passes as soon as it is traced, and then what the test wants.
func traced(t *testing.T, then func(*trace.Hub), stopper ...*func()) (run func(ctx context.Context, args ...string) (out, log string, status int)) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "pac.sock")
	server := admin.NewServer(admin.ServerOptions{Socket: socket})
	hub := new(trace.Hub)
	server.Traced(hub, func(_ context.Context, r admin.TraceRequest) (*trace.Trace, error) {
		if r.Call != "1" {
			return nil, admin.NotFound("no call %q", r.Call)
		}
		one, err := hub.Start(time.Now(), r.ID, trace.Scope{Call: "1"}, r.Options())
		hub.Frame(time.Now(), trace.About{Line: "line1", Call: "1"}, true, []byte("\xc0\x23\x01\x01\x00\x0c\x03bob\x03pwd"))
		if then != nil {
			then(hub)
		}
		return one, err
	})
	stop, err := server.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for _, s := range stopper {
		*s = stop
	}
	return func(ctx context.Context, args ...string) (string, string, int) {
		root := Root("pac", "a daemon", Trace("pac", TraceCall, TraceLine))
		var out, log bytes.Buffer
		root.SetArgs(append([]string{"trace", "--admin=" + socket}, args...))
		root.SetOut(&out)
		root.SetErr(&log)
		status := ExitStatus(&log, "pac", root.ExecuteContext(ctx))
		return out.String(), log.String(), status
	}
}

func TestTrace(t *testing.T) {
	run := traced(t, func(hub *trace.Hub) { hub.Over(time.Now(), trace.About{Call: "1"}, "bye") })
	for _, secrets := range []bool{false, true} {
		file := filepath.Join(t.TempDir(), "call.pcapng")
		args := []string{"--call=1", "-w", file}
		if secrets {
			args = append(args, "--secrets")
		}
		out, log, status := run(t.Context(), args...)
		if status != StatusDone || out != "" || !strings.Contains(log, "Ctrl-C") || !strings.Contains(log, "2 packets") || !strings.Contains(log, "the call is over: bye") {
			t.Errorf("status %d: %s, %s", status, out, log)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := capture.ReadTrace(data)
		if err != nil || len(f.Packets) != 2 || bytes.Contains(f.Packets[0].Data, []byte("pwd")) != secrets {
			t.Errorf("secrets %v: %+v, %v", secrets, f, err)
		}
		if _, log, status := run(t.Context(), args...); status != StatusUsage || !strings.Contains(log, "exists") {
			t.Errorf("a file that is there: status %d, %s", status, log)
		}
	}
}

// Ctrl-C ends the trace in an orderly way; it goes to standard output by default.
func TestTraceInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	run := traced(t, func(*trace.Hub) { interrupt() })
	out, log, status := run(ctx, "--call=1")
	if status != StatusDone || !strings.Contains(log, "it was stopped") {
		t.Errorf("status %d: %s", status, log)
	}
	f, err := capture.ReadTrace([]byte(out))
	if err != nil || len(f.Packets) != 1 || !f.Interfaces[0].Counted {
		t.Errorf("%+v, %v", f, err)
	}
}

// A daemon that stops ends its traces, in as orderly a way.
func TestTraceOfADaemonThatStops(t *testing.T) {
	var stop func()
	ended := make(chan struct{})
	run := traced(t, func(*trace.Hub) {
		go func() {
			stop()
			close(ended)
		}()
	}, &stop)
	out, log, status := run(t.Context(), "--call=1")
	<-ended
	if f, err := capture.ReadTrace([]byte(out)); status != StatusDone || err != nil || len(f.Packets) != 1 || !f.Interfaces[0].Counted {
		t.Errorf("status %d, %s: %+v, %v", status, log, f, err)
	}
}

func TestTraceUsage(t *testing.T) {
	run := traced(t, nil)
	file := filepath.Join(t.TempDir(), "none.pcapng")
	for _, c := range []struct {
		args   string
		status int
		says   string
	}{
		{"", StatusUsage, "one of --call, --line"},
		{"--call=1 --line=line1", StatusUsage, "one of --call, --line"},
		{"--peer=192.0.2.1", StatusUsage, "--peer"},
		{"--call=1 now", StatusUsage, "now"},
		{"--call=1 --duration=0", StatusUsage, "more than nothing"},
		{"--call=1 --size=0", StatusUsage, "more than nothing"},
		{"--call=1 --snaplen=1", StatusFailed, "at least 64"},
		{"--call=2", StatusFailed, `no call "2"`},
	} {
		out, log, status := run(t.Context(), append(strings.Fields(c.args), "-w", file)...)
		if status != c.status || out != "" || !strings.Contains(log, c.says) {
			t.Errorf("%s: status %d: %s%s", c.args, status, out, log)
		}
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a trace that could not be has left a file")
	}
	if _, log, status := run(t.Context(), "--call=1", "-w", filepath.Join(file, "x")); status != StatusFailed {
		t.Errorf("a file that cannot be: status %d: %s", status, log)
	}
}
