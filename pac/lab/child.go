package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	tailLines  = 8       // of a child's last words that are kept
	longestLog = 1 << 16 // octets of a line that are looked at
	drainLimit = 2 * time.Second
)

// child is one process of the lab.
type child struct {
	name  string
	limit time.Duration // for an orderly end
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended and all that it wrote has been read
	how   unix.WaitStatus
	said  sync.WaitGroup // its readers

	mu       sync.Mutex
	tail     []string
	stopping bool
}

// command is how a child is started.
type command struct {
	name  string
	path  string
	args  []string
	input string            // its standard input, less than a pipe holds
	dir   string            // where it runs
	env   []string          // beside the lab's environment
	limit time.Duration     // for an orderly end
	line  func(line []byte) // takes each line that it writes to standard error, and to standard output if out is nil
	out   func(line []byte) // takes each line of its standard output, which is then no part of its last words
}

// spawn starts a child.
func (r *reaper) spawn(c command) (*child, error) {
	k := &child{name: c.name, limit: c.limit, done: make(chan struct{})}
	k.cmd = exec.Command(c.path, c.args...)
	k.cmd.Dir, k.cmd.Env = c.dir, environment(c.env...)
	in, err := input(c.input)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	k.cmd.Stdin = in
	stderr, err := k.listen(func(line []byte) {
		k.keep(string(line))
		if c.line != nil {
			c.line(line)
		}
	})
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	k.cmd.Stdout, k.cmd.Stderr = stderr, stderr
	if c.out != nil {
		stdout, err := k.listen(c.out)
		if err != nil {
			return nil, err
		}
		defer stdout.Close()
		k.cmd.Stdout = stdout
	}
	ended, err := r.start(k.cmd)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	go func() {
		k.how = <-ended
		k.drain()
		close(k.done)
	}()
	return k, nil
}

// drain waits for the readers, but not for long: a grandchild that lives on may hold the pipe.
func (k *child) drain() {
	read := make(chan struct{})
	go func() {
		k.said.Wait()
		close(read)
	}()
	limit := time.NewTimer(drainLimit)
	defer limit.Stop()
	select {
	case <-read:
	case <-limit.C:
	}
}

// input is a file from which the text can be read.
func input(text string) (*os.File, error) {
	if text == "" {
		return os.Open(os.DevNull)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(w, text)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// listen makes a pipe and passes on the lines that come through it.
func (k *child) listen(each func([]byte)) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	k.said.Go(func() {
		defer r.Close()
		b := bufio.NewReaderSize(r, longestLog)
		for {
			line, more, err := b.ReadLine()
			if err != nil {
				return
			}
			line = bytes.Clone(line)
			for more && err == nil {
				_, more, err = b.ReadLine()
			}
			each(line)
		}
	})
	return w, nil
}

// keep remembers a line of the last words.
func (k *child) keep(line string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tail) == tailLines {
		k.tail = append(k.tail[:0], k.tail[1:]...)
	}
	k.tail = append(k.tail, line)
}

// lastWords are the last lines that the child wrote.
func (k *child) lastWords() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]string(nil), k.tail...)
}

// problem is how a child that has ended failed; nil: it did not.
func (k *child) problem() error {
	switch {
	case k.how.Signaled():
		return fmt.Errorf("%s: killed by %s", k.name, unix.SignalName(k.how.Signal()))
	case k.how.ExitStatus() != 0:
		return fmt.Errorf("%s: exit status %d", k.name, k.how.ExitStatus())
	}
	return nil
}

// death is the error about a child that should not have ended.
func (k *child) death() error {
	err := k.problem()
	if err == nil {
		err = fmt.Errorf("%s: ended by itself", k.name)
	}
	return fmt.Errorf("%w%s", err, k.testament())
}

// testament is the child's last words as the end of an error's text.
func (k *child) testament() string {
	text := ""
	for _, line := range k.lastWords() {
		text += "\n  " + printable(plainLog(line))
	}
	if text == "" {
		return "; it said nothing"
	}
	return "; it said last:" + text
}

// expected says whether the child was asked to end.
func (k *child) expected() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopping
}

// stop asks the child to end, and kills it when its time is over. The error tells that it did not end as it should.
func (k *child) stop() error {
	k.mu.Lock()
	k.stopping = true
	k.mu.Unlock()
	select {
	case <-k.done: // by itself: that has been told
		return nil
	default:
	}
	_ = k.cmd.Process.Signal(unix.SIGTERM)
	limit := time.NewTimer(k.limit)
	defer limit.Stop()
	select {
	case <-k.done:
		return k.problem()
	case <-limit.C:
	}
	_ = k.cmd.Process.Kill()
	<-k.done
	return fmt.Errorf("%s: did not end within %v of SIGTERM, and was killed", k.name, k.limit)
}

// wait waits for the child's end; it is stopped when ctx ends before.
func (k *child) wait(ctx context.Context) error {
	select {
	case <-k.done:
		return nil
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), k.stop())
	}
}

// notifier is the socket at which a daemon says that it is ready, as systemd has it.
type notifier struct {
	conn *net.UnixConn
	path string
}

func newNotifier(dir, name string) (*notifier, error) {
	path := filepath.Join(dir, name+".notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("readiness of %s: %w", name, err)
	}
	return &notifier{conn, path}, nil
}

func (n *notifier) close() {
	_ = n.conn.Close()
	_ = os.Remove(n.path)
}

// await returns nil when the child is ready.
func (n *notifier) await(ctx context.Context, k *child) error {
	ready := make(chan struct{})
	go func() {
		buf := make([]byte, 4096)
		for {
			size, err := n.conn.Read(buf)
			if err != nil {
				return
			}
			if bytes.Contains(buf[:size], []byte("READY=1")) {
				close(ready)
				return
			}
		}
	}()
	limit := time.NewTimer(readyLimit)
	defer limit.Stop()
	select {
	case <-ready:
		return nil
	case <-k.done:
		return k.death()
	case <-limit.C:
		return fmt.Errorf("%s was not ready within %v%s", k.name, readyLimit, k.testament())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
