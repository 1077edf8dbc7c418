package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/test/guest"
	"trunkline.example/test/output"
)

// quick spares the programs the second that the race detector sleeps at each end.
const quick = "GORACE=atexit_sleep_ms=20"

// labBench has copies of both programs that only one test uses, so that what it leaves behind can be told from what other tests run.
type labBench struct {
	t   testing.TB
	dir string // of the programs, for everybody to read
	tmp string // what the lab is told to be the place for temporary files

	before map[string]bool // which leftovers there were, of others
}

// leftovers are paths that a lab could leave behind.
var leftovers = []string{"/run/trunkline", "/sys/class/net/trunk0"}

func newLabBench(t testing.TB) *labBench {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to look at all processes and to become an ordinary user")
	}
	dir, err := os.MkdirTemp("", "trunkline-lab-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &labBench{t: t, dir: dir, tmp: filepath.Join(dir, "tmp"), before: map[string]bool{}}
	for _, path := range leftovers {
		_, err := os.Lstat(path)
		b.before[path] = err == nil
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(b.tmp, 0o777), os.Chmod(b.tmp, 0o777)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pac", "pns"} {
		copyFile(t, filepath.Join(bin, name), filepath.Join(dir, name))
	}
	t.Cleanup(b.nothingLeft)
	return b
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// processes are the numbers of all that runs one of the bench's programs, wherever it is mounted.
func (b *labBench) processes() (found []int) {
	b.t.Helper()
	ours := map[uint64]bool{}
	var st unix.Stat_t
	for _, name := range []string{"pac", "pns"} {
		if err := unix.Stat(filepath.Join(b.dir, name), &st); err == nil {
			ours[st.Ino] = true
		}
	}
	device := st.Dev
	all, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, exe := range all {
		if unix.Stat(exe, &st) == nil && st.Dev == device && ours[st.Ino] {
			pid, _ := strconv.Atoi(strings.Split(exe, "/")[2])
			found = append(found, pid)
		}
	}
	return found
}

// nothingLeft waits until no process of the lab is left, and with them its namespaces, and looks for what a lab could leave on the host.
func (b *labBench) nothingLeft() {
	b.t.Helper()
	eventually(b.t, "processes of the lab are left", 15*time.Second, func() bool { return len(b.processes()) == 0 })
	if left, err := os.ReadDir(b.tmp); err != nil || len(left) > 0 {
		b.t.Errorf("temporary files are left: %v, %v", left, err)
	}
	for _, path := range leftovers {
		if _, err := os.Lstat(path); err == nil && !b.before[path] {
			b.t.Errorf("%s is left", path)
		}
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte("trunkline-lab")) {
		b.t.Errorf("a mount is left (%v)", err)
	}
	if rules, err := exec.Command("nft", "list", "tables").Output(); err == nil && bytes.Contains(rules, []byte("trunkline")) {
		b.t.Errorf("rules are left: %s", rules)
	}
}

// runningLab is a lab in progress.
type runningLab struct {
	*labBench
	cmd  *exec.Cmd
	out  output.Buffer
	done chan struct{}
}

// start starts `pac lab` with the arguments, by way of the command before, if there is one.
func (b *labBench) start(before []string, args ...string) *runningLab {
	b.t.Helper()
	l := &runningLab{labBench: b, done: make(chan struct{})}
	all := append(slices.Clone(before), append([]string{filepath.Join(b.dir, "pac"), "lab"}, args...)...)
	l.cmd = exec.Command(all[0], all[1:]...)
	l.cmd.Dir = "/"
	l.cmd.Env = append(os.Environ(), "TMPDIR="+b.tmp, "SHELL=/bin/sh", quick)
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.out
	if err := l.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		_ = l.cmd.Wait()
		close(l.done)
	}()
	b.t.Cleanup(func() {
		_ = l.cmd.Process.Kill()
		<-l.done
	})
	return l
}

// end waits for the end of the lab, which must have the exit status, and returns all that it printed.
func (l *runningLab) end(status int) string {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(90 * time.Second):
		l.t.Fatalf("the lab has not ended; it printed:\n%s", l.out.String())
	}
	if got := l.cmd.ProcessState.ExitCode(); got != status {
		l.t.Fatalf("the lab's exit status is %d, want %d; it printed:\n%s", got, status, l.out.String())
	}
	return l.out.String()
}

// await waits until the lab prints something.
func (l *runningLab) await(pattern string) string {
	l.t.Helper()
	return await(l.t, "the lab's output", l.out.String, pattern, 60*time.Second)
}

// pid is the number of the lab's first process, as the lab tells it.
func (l *runningLab) pid() int {
	l.t.Helper()
	found := regexp.MustCompile(`/proc/(\d+)/root`).FindStringSubmatch(l.await(`/proc/\d+/root`))
	pid, err := strconv.Atoi(found[1])
	if err != nil {
		l.t.Fatal(err)
	}
	return pid
}

// typed is a line that the lab tells people to type.
func (l *runningLab) typed(beginning string) string {
	l.t.Helper()
	return strings.TrimSpace(l.await(`^  (sudo )?` + beginning + ` `))
}

// steps are what one sees of the call, in this order.
var steps = []string{
	`caller +dialing 1000`, `RING: called 1001, calling 2001`, `CONNECT 33600`, `LCP: open`, `authentication: MS-CHAPv2, "demo" has logged in`,
	`MPPE: MPPE-128 stateless`, `addresses: the caller is 10\.97\.`, `ping: 56 octets from 10\.97\.0\.1: seq=0 time=[0-9.]+ ms`, `seq=4 time=[0-9.]+ ms`,
	`pns +counters: from the caller +420 octets +5 packets, to the caller +420 octets +5 packets; no errors`,
	`The call worked: 5 of 5 pings came back through MPPE-128 stateless`,
}

// checkCall looks for the steps, and reports the time from the dial to the first ping.
func checkCall(t testing.TB, out string) {
	t.Helper()
	if !regexp.MustCompile(`(?s)` + strings.Join(steps, `.*`)).MatchString(out) {
		t.Errorf("the call is not shown as it should be:\n%s", out)
	}
	if strings.Contains(out, "error:") || strings.Contains(out, "DATA RACE") {
		t.Errorf("something went wrong:\n%s", out)
	}
	t.Log(regexp.MustCompile(`From the dial: .*`).FindString(out))
}

func TestLabOnceAsRoot(t *testing.T) {
	t.Parallel()
	b := newLabBench(t)
	out := b.start(nil, "--once").end(0)
	checkCall(t, out)
	for i := 1; i <= 8; i++ {
		contains(t, "the directory", out, fmt.Sprintf("100%d    line%d ", i, i), fmt.Sprintf("200%d    phone%d ", i, i))
	}
}

// In a user namespace of somebody else's making, the lab needs no further one.
func TestLabOnceInUserNamespace(t *testing.T) {
	t.Parallel()
	b := newLabBench(t)
	if out, err := exec.Command("unshare", "-rn", "true").CombinedOutput(); err != nil {
		t.Skipf("THIS KERNEL FORBIDS USER NAMESPACES: %v: %s", err, out)
	}
	out := b.start([]string{"unshare", "-rn"}, "--once", "--lines", "2", "--phones", "2").end(0)
	checkCall(t, out)
	contains(t, "the lab", out, "nsenter -t ", "-U --preserve-credentials")
}

// ordinary becomes nobody, where /dev/net/tun is as udev makes it: open to all.
const ordinary = `
set -e
mkdir "$0/dev"
mount -t tmpfs none "$0/dev"
mknod -m 666 "$0/dev/tun" c 10 200
mount --bind "$0/dev/tun" /dev/net/tun
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
`

func TestLabAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	b := newLabBench(t)
	nobody := []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"}
	if out, err := exec.Command(nobody[0], append(nobody[1:], "unshare", "-rn", "true")...).CombinedOutput(); err != nil {
		t.Skipf("THIS KERNEL FORBIDS ORDINARY USERS TO HAVE USER NAMESPACES: %v: %s", err, out)
	}
	l := b.start([]string{"unshare", "-m", "bash", "-c", ordinary, b.dir}, "--lines", "2", "--phones", "2")
	l.await("The lab stays up")
	// Entering, as the same user; and a second call, from there.
	cmd := exec.Command(nobody[0], append(nobody[1:], "sh", "-c", l.typed("nsenter"))...)
	cmd.Env = append(os.Environ(), "SHELL=/bin/sh")
	cmd.Stdin = strings.NewReader("id -u; echo demo | pac caller 1000 --port lines/phone2 && pac calls && pns sessions\n")
	inside, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(inside), "0\n") {
		t.Errorf("inside: %v\n%s", err, inside)
	}
	l.await(`pns +hang-up: after .*, by the caller`)
	l.await(`line1 +exchange +rings: phone2 has dialed 1000`)
	_ = l.cmd.Process.Signal(syscall.SIGINT)
	checkCall(t, l.end(0))
}

// What the lab tells people to type works: a real pppd and a real wvdial on ports of the lab, and entering it.
func TestLabWithRealClients(t *testing.T) {
	t.Parallel()
	guest.Need(t)
	b := newLabBench(t)
	l := b.start(nil, "--lines", "2", "--phones", "3")
	l.await("The lab stays up")
	inside := exec.Command("sh", "-c", l.typed("nsenter"))
	inside.Env = append(os.Environ(), "SHELL=/bin/sh")
	inside.Stdin = strings.NewReader("pac lines; pns sessions; ip -br link; ps ax\n")
	out, err := inside.CombinedOutput()
	if err != nil {
		t.Errorf("entering: %v", err)
	}
	contains(t, "the inside", string(out), "line1", "no sessions", "trunk0", "pac driver modem")
	outside := fmt.Sprintf("/proc/%d/root/run/trunkline/lines/phone1", l.pid())
	if out, err := cli(t, "demo\n", "pac", "caller", "1000", "--port", outside, "--pings", "1"); err != nil {
		t.Errorf("the built-in client from outside: %v\n%s", err, out)
	}

	port := regexp.MustCompile(`^pppd (\S+) `).FindStringSubmatch(l.typed("pppd"))[1]
	ports := filepath.Dir(port)
	x := t.TempDir()
	config, err := os.ReadFile(filepath.Join(ports, "..", "wvdial.conf"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, x, "wvdial.conf", strings.ReplaceAll(string(config), filepath.Join(ports, "phone3"), "/dev/ttyS1"))
	// The guest knows neither the lab's process nor its /proc; the port has the same name there.
	script := `
mkdir -p ` + "/ports" + `
ln -s /dev/ttyS0 /ports/phone2
` + strings.Replace(l.typed("pppd"), port, "/ports/phone2", 1) + ` > /xchg/pppd.log 2>&1 &
pid=$!
until_true 60 link_up ppp0
ping -q -c 3 -W 5 10.97.0.1
kill $pid; wait $pid || :
` + // wvdial 1.61 fails an assertion of its own at some layouts of its stack.
		`setarch -R wvdial -C /xchg/wvdial.conf phone3 > /xchg/wvdial.log 2>&1 &
pid=$!
until_true 60 link_up ppp0
ping -q -c 3 -W 5 10.97.0.1
kill -INT $pid; wait $pid || :
`
	text, status := guest.Run(t, guest.Config{Exchange: x, Serials: map[int]string{0: "unix:" + port + ".sock", 1: filepath.Join(ports, "phone3")}}, script)
	if status != 0 {
		pppd, _ := os.ReadFile(path(x, "pppd.log"))
		wvdial, _ := os.ReadFile(path(x, "wvdial.log"))
		t.Fatalf("the guest's status is %d:\n%s\npppd:\n%s\nwvdial:\n%s\nthe lab:\n%s", status, text, pppd, wvdial, l.out.String())
	}
	if strings.Count(text, " 0% packet loss") != 2 {
		t.Errorf("pings were lost:\n%s", text)
	}
	eventually(t, "the lab does not show both calls", 20*time.Second, func() bool { return strings.Count(l.out.String(), "MPPE: MPPE-128 stateless") == 4 })
	l.await(`exchange +rings: phone2 has dialed 1000`)
	l.await(`exchange +rings: phone3 has dialed 1000`)
	_ = l.cmd.Process.Signal(syscall.SIGINT)
	checkCall(t, l.end(0))
}

// The lab has ISDN as well: the built-in client calls by a terminal adapter of each dialect.
func TestLabWithISDN(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"elsa", "isdn4linux"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			b := newLabBench(t)
			l := b.start(nil, "--lines", "1", "--phones", "1", "--isdn", "1", "--isdn-dialect", dialect)
			l.await("The lab stays up")
			port := fmt.Sprintf("/proc/%d/root/run/trunkline/lines/ta1", l.pid())
			if out, err := cli(t, "demo\n", "pac", "caller", "4000", "--port", port, "--pings", "3"); err != nil {
				t.Errorf("the built-in client: %v\n%s", err, out)
			}
			l.await(`exchange +rings: ta1 has dialed 4000`)
			l.await(`isdn1 +pac +CONNECT 64000`)
			_ = l.cmd.Process.Signal(syscall.SIGINT)
			l.end(0)
		})
	}
}

// A call that fails makes the lab fail, and it says why.
func TestLabCallsThatFail(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, flag, value, reason string }{
		{"wrong password", "--password", wrongPassword, `pac: the call failed: .*auth-failed`},
		{"busy", "--number", "3001", `pac: the call failed: .*busy`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := newLabBench(t).start(nil, "--once", "--lines", "1", "--phones", "1", c.flag, c.value).end(1)
			if !regexp.MustCompile(c.reason).MatchString(out) {
				t.Errorf("no %q in:\n%s", c.reason, out)
			}
			if strings.Contains(out, "The call worked") || strings.Contains(out, wrongPassword) {
				t.Errorf("it says the wrong thing:\n%s", out)
			}
		})
	}
	t.Run("no pns", func(t *testing.T) {
		t.Parallel()
		b := newLabBench(t)
		if err := os.Remove(filepath.Join(b.dir, "pns")); err != nil {
			t.Fatal(err)
		}
		contains(t, "the lab", b.start([]string{"env", "PATH=/bin"}, "--once").end(1), "the lab needs pns")
	})
}

// A daemon that dies ends the lab, which says so with its last words.
func TestLabWhenDaemonDies(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"pns run", "pac run", "pac exchange"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLabBench(t).start(nil, "--lines", "1", "--phones", "1")
			l.await(`ping: .* seq=0`)
			killed := false
			for _, pid := range l.processes() {
				command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
				if strings.Contains(strings.ReplaceAll(string(command), "\x00", " "), "/"+name+" ") {
					killed = syscall.Kill(pid, syscall.SIGKILL) == nil
				}
			}
			if !killed {
				t.Fatalf("no %q to kill", name)
			}
			short := strings.TrimSuffix(strings.TrimPrefix(name, "pac e"), " run")
			contains(t, "the lab", l.end(1), strings.Replace(short, "xchange", "exchange", 1)+": killed by SIGKILL; it said last:\n", " has died: the lab ends.")
		})
	}
}

// Whoever is killed, and whenever: nothing is left.
func TestLabKilled(t *testing.T) {
	t.Parallel()
	b := newLabBench(t)
	moments := []struct {
		name  string
		await func(l *runningLab)
	}{
		{"at once", func(*runningLab) {}},
		{"after 20 ms", func(*runningLab) { <-time.After(20 * time.Millisecond) }},
		{"after 200 ms", func(*runningLab) { <-time.After(200 * time.Millisecond) }},
		{"at the start", func(l *runningLab) { l.await("^Starting") }},
		{"at RING", func(l *runningLab) { l.await("RING") }},
		{"in mid-call", func(l *runningLab) { l.await("ping: .* seq=0") }},
	}
	for _, m := range moments {
		for _, who := range []string{"launcher", "first process"} {
			l := b.start(nil, "--lines", "2", "--phones", "1")
			m.await(l)
			victim := l.cmd.Process.Pid
			if who == "first process" {
				child := 0
				eventually(t, "the launcher has no child", 10*time.Second, func() bool { child = onlyChild(victim); return child != 0 })
				victim = child
			}
			if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
				t.Fatalf("%s, %s: %v", who, m.name, err)
			}
			<-l.done
			if who == "first process" {
				contains(t, "the launcher", l.end(1), "the lab was killed")
			}
			b.nothingLeft()
			if t.Failed() {
				t.Fatalf("the %s was killed %s", who, m.name)
			}
		}
	}
}

// onlyChild is a process whose parent is pid; 0: there is none.
func onlyChild(pid int) int {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		text, _ := os.ReadFile(path)
		_, rest, ok := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); ok && len(f) > 1 && f[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(strings.Split(path, "/")[2])
			return child
		}
	}
	return 0
}

// With --with-parent the lab goes, in order, when make is killed.
func TestLabEndsWithItsParent(t *testing.T) {
	t.Parallel()
	b := newLabBench(t)
	cmd := exec.Command("sh", "-c", `"$0" lab --with-parent --lines 1 --phones 1; :`, filepath.Join(b.dir, "pac"))
	cmd.Env = append(os.Environ(), "TMPDIR="+b.tmp, quick)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal("the lab ended before its call:", err)
		}
		if strings.Contains(line, "seq=0") {
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	rest, err := io.ReadAll(lines) // until the last process of the lab has closed it
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "the lab's end", string(rest), "counters: from the caller") // the call was ended, not cut
}
