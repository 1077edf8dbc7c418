package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// namespaces are those that the lab always has of its own.
const namespaces = unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS

// impatience is how soon after the first one a further signal counts as the same wish: make and the terminal both send one.
const impatience = time.Second

// Launch runs a lab until it has ended. SIGINT, SIGTERM and SIGHUP end it in order; a second one later than impatience ends it at once.
// The error says why the lab did not work, or, with Options.Once, why the call did not.
func Launch(o Options) error {
	if err := o.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	// Process 1 gets SIGKILL when the thread that started it ends: it must be one that stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if o.WithParent {
		if err := endWithParent(); err != nil {
			return err
		}
	}
	first := start{Options: o}
	var err error
	if first.PAC, first.PNS, err = programs(); err != nil {
		return err
	}
	l, err := launch(first)
	if err != nil {
		return err
	}
	return l.wait(signals)
}

// endWithParent has the kernel send SIGTERM when the parent process dies.
func endWithParent() error {
	parent := os.Getppid()
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGTERM), 0, 0, 0); err != nil {
		return fmt.Errorf("ending with the parent process: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("the parent process has died")
	}
	return nil
}

// programs finds this program and the pns that belongs to it.
func programs() (pac, pns string, err error) {
	if pac, err = os.Executable(); err != nil {
		return "", "", fmt.Errorf("where this program is: %w", err)
	}
	pns = filepath.Join(filepath.Dir(pac), "pns")
	if err = unix.Access(pns, unix.X_OK); err == nil {
		return pac, pns, nil
	}
	if pns, err = exec.LookPath("pns"); err != nil {
		return "", "", fmt.Errorf("the lab needs pns: it is neither beside %s nor in $PATH (`make` builds both)", pac)
	}
	pns, err = filepath.Abs(pns)
	return pac, pns, err
}

// launched is process 1 as the launcher has it.
type launched struct {
	cmd    *exec.Cmd
	orders *os.File
	report *os.File
}

// launch starts process 1 in its namespaces: as root in those that are needed; otherwise, or where root is not allowed to, in a user
// namespace as well.
func launch(first start) (*launched, error) {
	root := os.Geteuid() == 0
	first.Access = accessUser
	if root {
		first.Access = accessRoot
		if !initialUserNamespace() {
			first.Access = accessNested
		}
		l, err := launchIn(first, namespaces)
		if !errors.Is(err, unix.EPERM) {
			return l, explain(err, root)
		}
		first.Access = accessUser
	}
	l, err := launchIn(first, namespaces|unix.CLONE_NEWUSER)
	return l, explain(err, root)
}

func launchIn(first start, flags uintptr) (*launched, error) {
	ordersIn, orders, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ordersIn.Close()
	report, reportOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, orders.Close())
	}
	defer reportOut.Close()
	cmd := exec.Command("/proc/self/exe", initCommand)
	cmd.Args[0] = os.Args[0]
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{ordersIn, reportOut} // ordersFD, reportFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, orders.Close(), report.Close())
	}
	l := &launched{cmd: cmd, orders: orders, report: report}
	first.PID = cmd.Process.Pid
	l.tell(order{Start: &first})
	return l, nil
}

// tell sends an order. Process 1 may have died: then its end tells more than this error.
func (l *launched) tell(o order) {
	_ = json.NewEncoder(l.orders).Encode(o)
}

// wait passes signals on, and returns when process 1 has ended, with what it reported.
func (l *launched) wait(signals <-chan os.Signal) error {
	reported := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(l.report)
		reported <- string(text)
	}()
	ended := make(chan error, 1)
	go func() { ended <- l.cmd.Wait() }()
	var asked time.Time
	limit := time.NewTimer(time.Hour)
	limit.Stop()
	defer limit.Stop()
	for {
		select {
		case s := <-signals:
			if asked.IsZero() {
				asked = time.Now()
				limit.Reset(stopLimit)
				l.tell(order{Stop: fmt.Sprintf("%v", s)})
			} else if time.Since(asked) > impatience {
				_ = l.cmd.Process.Kill()
			}
		case <-limit.C:
			_ = l.cmd.Process.Kill()
		case err := <-ended:
			return verdict(<-reported, err)
		}
	}
}

// verdict is what to tell of process 1's end.
func verdict(report string, err error) error {
	var exit *exec.ExitError
	switch {
	case report != "":
		return errors.New(report)
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		return fmt.Errorf("the lab was killed (%v)", exit)
	}
	return fmt.Errorf("the lab ended: %w", err)
}

// explain says what to do where namespaces cannot be made.
func explain(err error, root bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("namespaces cannot be made: %w: too many of them, or sysctl user.max_user_namespaces (or max_net_, max_pid_, max_mnt_namespaces) is too low", err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("namespaces cannot be made: %w: this kernel has no network, PID or user namespaces", err)
	case errors.Is(err, unix.EPERM) && root:
		return fmt.Errorf("namespaces cannot be made: %w: this root has no CAP_SYS_ADMIN, and may not make a user namespace either (a container? it needs --privileged, or to be let use user namespaces)", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("namespaces cannot be made: %w: ordinary users may not make user namespaces here%s; run it as root", err, restrictions())
	}
	return fmt.Errorf("starting the lab in namespaces of its own: %w", err)
}

// restrictions names the settings that keep ordinary users from having namespaces.
func restrictions() string {
	var all []string
	for _, r := range []struct{ file, bad, name string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns"},
		{"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces"},
	} {
		if text, err := os.ReadFile(r.file); err == nil && strings.TrimSpace(string(text)) == r.bad {
			all = append(all, fmt.Sprintf("sysctl %s is %s", r.name, r.bad))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}
