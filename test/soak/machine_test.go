package soak

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"trunkline.example/shared/admin"
	"trunkline.example/test/daemon"
	"trunkline.example/test/netns"
)

// machine is a daemon that may be killed, stopped and started again. The scenario's own goroutine does that.
type machine struct {
	s       *soak
	name    string // in its configuration as well
	program string // pac or pns
	args    []string
	space   *netns.Space
	socket  string
	client  *admin.Client
	daemon  *daemon.Daemon
	starts  int
}

func newMachine(s *soak, space *netns.Space, name, program, socket string, args ...string) *machine {
	return &machine{s: s, name: name, program: program, args: args, space: space, socket: socket, client: admin.NewClient(name, socket)}
}

// environment of the daemons: collections of garbage come at less of it, so that what is alive is found sooner; and the race detector does not
// have them rest for a second at their ends.
var environment = []string{"GOGC=25", "GORACE=atexit_sleep_ms=0"}

// launch starts it; it is not ready yet.
func (m *machine) launch() {
	m.s.Helper()
	m.starts++
	log := filepath.Join(m.s.dir, fmt.Sprintf("%s.%d.log", m.name, m.starts))
	m.daemon = daemon.Start(m.s, daemon.Options{
		Space: m.space, Program: filepath.Join(bin, m.program), Args: m.args, Env: environment, Log: log, Kept: true,
	})
}

// start starts it and waits until it is ready.
func (m *machine) start() {
	m.s.Helper()
	m.launch()
	m.daemon.AwaitReady()
}

// stop ends it in an orderly way.
func (m *machine) stop() {
	m.s.Helper()
	m.daemon.Stop()
	if err := m.daemon.Err(); err != nil {
		m.s.fault("%s ended with %v", m.name, err)
	}
}

// alive ends the scenario if a daemon has ended by itself: nothing that follows would tell more.
func (m *machine) alive() {
	m.s.Helper()
	select {
	case <-m.daemon.Done():
		log := m.daemon.Log()
		m.s.Fatalf("%s has ended by itself: %v; its last words:\n%s", m.name, m.daemon.Err(), log[max(len(log)-4000, 0):])
	default:
	}
}

// askLimit is how long a daemon may take for an answer on a busy machine.
const askLimit = 30 * time.Second

// get asks the daemon; whoever asks decides what an error means, as the daemon may be on its way down.
func (m *machine) get(path string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	return m.client.Get(ctx, path, into)
}

// post has the daemon do something.
func (m *machine) post(path string, body any) error {
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	return m.client.Post(ctx, path, body, nil)
}

// tryRead is get for those who look again later.
func tryRead[T any](m *machine, path string) (v T, ok bool) {
	return v, m.get(path, &v) == nil
}
