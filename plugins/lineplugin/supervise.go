package lineplugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

const (
	heartbeatInterval = 5 * time.Second
	heartbeatLimit    = 3 * time.Second // twice without an answer for so long, a driver hangs and is killed
	firstPause        = 500 * time.Millisecond
	longestPause      = 30 * time.Second
	steadyAfter       = time.Minute // a driver that lived so long gets the first pause again
)

// Status is what an operator should know of a supervised driver.
type Status struct {
	PID      int // 0: not running
	Since    time.Time
	Restarts int
	Problem  string // why it is not running
	// Confinement is that of the process, or of the last one.
	Confinement Confinement
}

// Driver is a driver in a process of its own, which is started again when it dies or hangs. It implements line.Driver.
type Driver struct {
	command Command
	log     *zap.Logger // as given to Load
	info    line.Info
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{} // the supervisor has ended; nil until Open

	section line.Section // of Open, as lines
	lines   map[string]*proxy
	leaving atomic.Bool // the process is to go on

	mu      sync.Mutex // never held while the process is asked something
	opened  bool
	process *process
	status  Status
}

// Load starts a driver's process and asks it who it is; its lines come with Open. Close ends it.
func Load(ctx context.Context, command Command, log *zap.Logger) (*Driver, error) {
	p, err := start(ctx, command, log)
	if err != nil {
		return nil, err
	}
	d := &Driver{command: command, log: log, info: p.conn.info, process: p, lines: map[string]*proxy{}}
	d.status = Status{PID: p.pid, Since: time.Now(), Confinement: p.confinement}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// Info implements line.Driver.
func (d *Driver) Info() line.Info { return d.info }

// Open implements line.Driver. It can be called once.
func (d *Driver) Open(ctx context.Context, section line.Section) ([]line.Line, error) {
	d.mu.Lock()
	again, p := d.opened, d.process
	d.opened = true
	d.mu.Unlock()
	if again {
		return nil, &line.Error{Code: line.CodeInvalid, Text: "a driver process opens one section"}
	}
	d.section = section
	var order []line.Line
	adopt := func(id line.Identity) *proxy {
		if d.lines[id.Name] != nil {
			return nil
		}
		p := newProxy(id)
		d.lines[id.Name] = p
		order = append(order, p)
		return p
	}
	err := p.conn.open(ctx, section, adopt)
	if p.taken && errors.Is(err, errOtherSection) { // the configuration has changed since
		d.log.Info("the driver of the last host has other lines, and is started anew", zap.String(logging.KeyDriver, d.command.Name))
		if p, err = d.anew(ctx, p); err == nil {
			err = p.conn.open(ctx, section, adopt)
		}
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = make(chan struct{})
	go d.supervise(d.done)
	return order, nil
}

// anew ends a process and starts another one in its place.
func (d *Driver) anew(ctx context.Context, old *process) (*process, error) {
	old.kill()
	p, err := start(ctx, d.command, d.log)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.process, d.status = nil, Status{Problem: err.Error()}
		return nil, err
	}
	d.process, d.status = p, Status{PID: p.pid, Since: time.Now(), Confinement: p.confinement}
	return p, nil
}

// Leave gives the driver up like Close, but lets its process and the calls on its lines go on until the next host takes them over
// (Command.Keep); for this host its lines are down. Without Keep it is Close.
func (d *Driver) Leave() error {
	d.leaving.Store(d.command.Keep.on())
	return d.Close()
}

// Status tells how the driver stands.
func (d *Driver) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.status
}

// Close ends the process. Its lines should have been shut down before.
func (d *Driver) Close() error {
	d.cancel()
	d.mu.Lock()
	done, p := d.done, d.process
	d.mu.Unlock()
	if done != nil {
		<-done
	} else if p != nil {
		d.release(p)
	}
	return nil
}

// supervise keeps the process alive until Close.
func (d *Driver) supervise(done chan struct{}) {
	defer close(done)
	log := d.log.With(zap.String(logging.KeyDriver, d.command.Name))
	pause := firstPause
	for {
		d.watch()
		if d.ctx.Err() != nil {
			return
		}
		if time.Since(d.Status().Since) > steadyAfter {
			pause = firstPause
		}
		log.Error("the driver is gone", zap.String(logging.KeyReason, d.Status().Problem), zap.Duration("restart_in", pause))
		for {
			if !d.wait(pause) {
				return
			}
			pause = min(2*pause, longestPause)
			err := d.restart()
			if err == nil {
				s := d.Status()
				log.Info("the driver runs again", zap.Int("pid", s.PID), zap.Int("restarts", s.Restarts))
				break
			}
			d.problem(fmt.Errorf("it could not be started again: %w", err))
			log.Error("the driver could not be started again", zap.Error(err), zap.Duration("retry", pause))
		}
	}
}

// watch waits for the end of the process, or of us, and clears up.
func (d *Driver) watch() {
	d.mu.Lock()
	p := d.process
	d.mu.Unlock()
	go p.conn.heartbeat(heartbeatInterval, heartbeatLimit)
	select {
	case <-p.conn.ctx.Done():
	case <-d.ctx.Done():
	}
	why := context.Cause(p.conn.ctx)
	if why == nil {
		why = errors.New("closed")
	}
	d.problem(why)
	d.release(p)
}

// release ends a process, which must let go of its devices before its successor opens them, or leaves it to the next host.
func (d *Driver) release(p *process) {
	if d.leaving.Load() && p.conn.ctx.Err() == nil {
		p.leave()
		return
	}
	p.kill()
}

// problem notes why no process is running.
func (d *Driver) problem(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.process, d.status.PID, d.status.Problem = nil, 0, why.Error()
}

func (d *Driver) wait(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// restart starts the process anew and gives the lines their driver back.
func (d *Driver) restart() error {
	p, err := start(d.ctx, d.command, d.log)
	if err != nil {
		return err
	}
	if err := p.conn.open(d.ctx, d.section, func(id line.Identity) *proxy { return d.lines[id.Name] }); err != nil {
		p.kill()
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.process = p
	d.status = Status{PID: p.pid, Since: time.Now(), Restarts: d.status.Restarts + 1, Confinement: p.confinement}
	return nil
}

// Self is the command that runs this very executable as a driver.
func Self(name string, args ...string) (Command, error) {
	path, err := os.Executable()
	if err != nil {
		return Command{}, fmt.Errorf("lineplugin: %w", err)
	}
	return Command{Name: name, Path: path, Args: args}, nil
}
