package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/record"
)

// Init is process 1 of the lab's namespaces. It returns the status to exit with; the launcher tells people why.
func Init() int {
	orders, report, err := openOrders()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := begin(orders); err != nil {
		_, _ = io.WriteString(report, err.Error())
		return 1
	}
	return 0
}

// asked is the cause of an end that somebody has asked for.
type asked struct{ why string }

func (a asked) Error() string { return "ended by " + a.why }

// begin takes the orders and runs the lab.
func begin(orders io.Reader) error {
	// In the background of a terminal it prints all the same, and a closed pipe is an error like another.
	signal.Ignore(syscall.SIGTTOU)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := func(why string) { cancel(asked{why}) }
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			stop(s.String())
		}
	}()
	first, err := receive(orders, stop, func() { os.Exit(1) }) // with process 1 everything ends
	if err != nil {
		return err
	}
	if err := prepare(first); err != nil {
		return err
	}
	l := &lab{start: first, reaper: newReaper(), first: newFirstCall(first.Options.Impair == cleanLines), fail: cancel, story: newStory()}
	l.screen = newScreen(os.Stdout, term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "", func(err error) { cancel(err) })
	defer l.screen.close()
	defer l.screen.flush()
	done := make(chan struct{})
	defer close(done)
	go l.reaper.run(done)
	defer l.follow()()
	err = l.run(ctx)
	return errors.Join(err, l.stop())
}

// follow shows the call records; what it returns waits for the last ones.
func (l *lab) follow() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var files sync.WaitGroup
	for _, file := range []string{pacRecords, pnsRecords} {
		files.Go(func() { followRecords(ctx, file, l.record) })
	}
	return func() {
		cancel()
		files.Wait()
	}
}

// lab is what runs in the namespaces.
type lab struct {
	start  start
	reaper *reaper
	screen *screen
	first  *firstCall
	fail   func(error) // ends the lab
	ending atomic.Bool

	mu       sync.Mutex
	story    *story
	children []*child
}

// run brings the lab up, makes the call and stays.
func (l *lab) run(ctx context.Context) error {
	if err := l.up(ctx); err != nil {
		return err
	}
	b, err := readBook()
	if err != nil {
		return err
	}
	text, err := directoryText(l.start, b)
	if err != nil {
		return err
	}
	l.screen.print("%s", text)
	err = l.makeCall(ctx)
	switch {
	case ctx.Err() != nil:
		return l.interrupted(context.Cause(ctx))
	case err != nil:
		err = fmt.Errorf("the call failed: %w", err)
	default:
		l.screen.print("%s", l.first.summary())
	}
	if l.start.Options.Once {
		return err
	}
	if err != nil {
		l.screen.print("\n%v\n", err)
	}
	l.screen.print("The lab stays up for your calls, which are shown here. Ctrl-C ends it.\n\n")
	<-ctx.Done()
	l.screen.print("\nEnding the lab.\n")
	return errors.Join(err, l.interrupted(context.Cause(ctx)))
}

// interrupted is what an end in the middle means: staying up has no other end, a call has.
func (l *lab) interrupted(cause error) error {
	var by asked
	if errors.As(cause, &by) && !l.start.Options.Once {
		return nil
	}
	return cause
}

// up starts the daemons and waits until all lines are ready for calls.
func (l *lab) up(ctx context.Context) error {
	if err := writeFiles(l.start); err != nil {
		return err
	}
	l.screen.print("Starting pns, a telephone exchange and pac in namespaces of their own ...\n")
	if err := l.addUser(ctx); err != nil {
		return err
	}
	o := l.start.Options
	g, starting := errgroup.WithContext(ctx)
	g.Go(func() error {
		return l.daemon(starting, "pns", 6*time.Second, "pns", "run", "--config", pnsConfig)
	})
	g.Go(func() error {
		return l.daemon(starting, "exchange", 4*time.Second, "pac", "exchange", "--dir", linesDir, "--lines", fmt.Sprint(o.Lines), "--phones", fmt.Sprint(o.Phones),
			"--isdn", fmt.Sprint(o.ISDN), "--isdn-dialect", o.Dialect, "--impair", o.Impair, "--seed", o.Seed, "--log-format", "json")
	})
	if err := g.Wait(); err != nil {
		return err
	}
	b, err := readBook()
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.story.learn(b)
	l.mu.Unlock()
	if err := l.daemon(ctx, "pac", 8*time.Second, "pac", "run", "--config", pacConfig); err != nil {
		return err
	}
	return l.awaitIdle(ctx)
}

// addUser makes the users file, as an operator would.
func (l *lab) addUser(ctx context.Context) error {
	k, err := l.reaper.spawn(command{
		name: "pns user add", dir: runDir, path: binDir + "/pns", args: []string{"user", "add", User, "--file", usersFile}, input: Password + "\n", limit: time.Second,
	})
	if err != nil {
		return err
	}
	if err := k.wait(ctx); err != nil {
		return err
	}
	if k.problem() != nil {
		return k.death()
	}
	return nil
}

// daemon starts a daemon and waits until it is ready. From then on its end is the end of the lab.
func (l *lab) daemon(ctx context.Context, name string, limit time.Duration, program string, args ...string) error {
	n, err := newNotifier(runDir, name)
	if err != nil {
		return err
	}
	defer n.close()
	k, err := l.reaper.spawn(command{
		name: name, dir: runDir, path: binDir + "/" + program, args: args, limit: limit, env: []string{"NOTIFY_SOCKET=" + n.path},
		line: func(line []byte) {
			if !l.ending.Load() { // how a daemon takes itself down is of no interest
				l.tell(func(s *story) []event { return s.log(name, line) })
			}
		},
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.children = append(l.children, k)
	l.mu.Unlock()
	go func() {
		<-k.done
		if !k.expected() {
			l.fail(k.death())
			l.screen.print("\n%s has died: the lab ends.\n", name)
		}
	}()
	return n.await(ctx, k)
}

// tell has the story make events of something.
func (l *lab) tell(of func(*story) []event) {
	l.mu.Lock()
	events := of(l.story)
	l.mu.Unlock()
	l.screen.tell(events...)
}

func (l *lab) record(r record.Record) {
	l.tell(func(s *story) []event { return s.record(r) })
	l.first.record(r)
}

// idlePoll is how often pac is asked whether it is ready for calls.
const idlePoll = 50 * time.Millisecond

// awaitIdle waits until the control connection is established and all lines are idle.
func (l *lab) awaitIdle(ctx context.Context) error {
	client := admin.NewClient("pac", pacSocket)
	limit := time.NewTimer(idleLimit)
	defer limit.Stop()
	tick := time.NewTicker(idlePoll)
	defer tick.Stop()
	for {
		missing, err := notReady(ctx, client)
		if err == nil && missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return errors.Join(fmt.Errorf("pac was not ready for calls within %v: %s", idleLimit, missing), err)
		case <-tick.C:
		}
	}
}

// notReady names what pac still waits for; empty: nothing.
func notReady(ctx context.Context, client *admin.Client) (string, error) {
	var status struct {
		PNS []struct {
			Name        string `json:"name"`
			Established bool   `json:"established"`
			Problem     string `json:"problem"`
		} `json:"pns"`
	}
	var lines []struct {
		Name  string `json:"name"`
		State string `json:"state"`
		Cause string `json:"cause"`
	}
	if err := errors.Join(client.Get(ctx, "/status", &status), client.Get(ctx, "/lines", &lines)); err != nil {
		return "", err
	}
	var missing []string
	for _, n := range status.PNS {
		if !n.Established {
			missing = append(missing, fmt.Sprintf("no control connection to %s (%s)", n.Name, n.Problem))
		}
	}
	for _, line := range lines {
		if line.State != "idle" {
			missing = append(missing, fmt.Sprintf("%s is %s (%s)", line.Name, line.State, line.Cause))
		}
	}
	return strings.Join(missing, ", "), nil
}

// stopOrder is the order in which daemons end: who uses another one goes first.
var stopOrder = []string{"pac", "exchange", "pns"}

// stop ends the daemons one after the other.
func (l *lab) stop() error {
	l.ending.Store(true)
	l.mu.Lock()
	children := l.children
	l.mu.Unlock()
	var problems []error
	for _, name := range stopOrder {
		for _, k := range children {
			if k.name == name {
				problems = append(problems, k.stop())
			}
		}
	}
	return errors.Join(problems...)
}
