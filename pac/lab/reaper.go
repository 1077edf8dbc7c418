package lab

import (
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// reaper waits for all children of process 1: those that it started itself, and the orphans that it inherits, such as drivers of a pac
// that was killed. Nobody else may wait for any. Safe for concurrent use.
type reaper struct {
	mu       sync.Mutex
	children map[int]chan<- unix.WaitStatus // started here
}

func newReaper() *reaper { return &reaper{children: map[int]chan<- unix.WaitStatus{}} }

// start starts a command, whose standard files must be *os.File, and tells how it ended.
func (r *reaper) start(cmd *exec.Cmd) (<-chan unix.WaitStatus, error) {
	r.mu.Lock() // until the child is known; a program that cannot be executed is waited for by Start itself
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan unix.WaitStatus, 1)
	r.children[cmd.Process.Pid] = ended
	return ended, nil
}

// reapInterval is how often the reaper looks even if no signal has come.
const reapInterval = time.Second

// run waits for children as they end, until done is closed.
func (r *reaper) run(done <-chan struct{}) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	tick := time.NewTicker(reapInterval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-died:
		case <-tick.C:
		}
		for r.one() {
		}
	}
}

// one buries one dead process; false: there is none.
func (r *reaper) one() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status unix.WaitStatus
	pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
	if err != nil || pid <= 0 {
		return err == unix.EINTR
	}
	if ended, ok := r.children[pid]; ok {
		delete(r.children, pid)
		ended <- status
	}
	return true
}
