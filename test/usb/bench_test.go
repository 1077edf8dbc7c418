package usb

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline.example/test/guest"
	"trunkline.example/test/output"
)

const password = "opensesame"

// bench is an exchange on the host, and pac and pns in a guest with USB, a card with a serial port for pac, and another port for pppd.
type bench struct {
	*testing.T
	dir     string // /xchg in the guest
	ports   string // of the exchange
	monitor net.Conn
	said    output.Buffer // by the monitor
	guest   *guest.Guest
}

const inside = `
client_up() { [ -n "$(ip netns exec client ip -4 route show dev ppp0 2> /dev/null)" ]; }
# client N NUMBER: a call by pppd on the guest's second serial port, an 8250; it lasts until it is cut or there is a file hangupN.
client() {
	ip netns exec client pppd /dev/ttyS1 115200 nodetach noauth noipv6 nodefaultroute debug user demo require-mppe-128 \
		lcp-echo-interval 1 lcp-echo-failure 10 logfile /xchg/client$1.log \
		connect "chat -v -s ABORT BUSY ABORT 'NO CARRIER' ABORT 'NO ANSWER' TIMEOUT 60 '' ATZ OK ATDT$2 CONNECT ''" &
	pppd=$!
	until_true 60 client_up
	peer=$(ip netns exec client ip -4 -o addr show dev ppp0 | sed 's/.*peer \([0-9.]*\).*/\1/')
	ip netns exec client ping -c 5 -i 0.2 -W 10 -s 200 "$peer" > ping.new 2>&1 || :
	mv ping.new ping$1.txt
	while kill -0 $pppd 2> /dev/null; do
		[ ! -e hangup$1 ] || kill -INT $pppd
		sleep 0.3
	done
	status=0; wait $pppd || status=$?
	echo $status > pppd$1.status
}
modprobe xhci_pci; modprobe ftdi_sio; modprobe tun; modprobe ppp_async; modprobe ppp_mppe
ip link set lo up
# The card's port takes a number that no other port has.
for port in /sys/class/tty/ttyS*; do
	case $(readlink -f "$port/device") in */pci*) ln -s "/dev/${port##*/}" /dev/card ;; esac
done
# The client's end is a network of its own: it would reach the server on its own host otherwise.
ip netns add client
ip netns exec client ip link set lo up
secrets "demo * ` + password + ` *"

cd /xchg
./pns run --config pns.toml > pns.log 2>&1 & pns=$!
until_true 60 ./pns status --admin /run/pns.sock > /dev/null
./pac run --config pac.toml > pac.log 2>&1 & pac=$!
while ! [ -e end ]; do
	for what in lines calls drivers; do
		./pac $what --json --admin /run/pac.sock > $what.new 2> /dev/null && mv $what.new $what.json
	done
	for n in 1 2; do
		if number=$(cat dial$n 2> /dev/null); then rm dial$n; client $n $number & fi
	done
	sleep 0.3
done
dmesg | grep -i -e ftdi -e tty > dmesg.txt || true
kill $pac; wait $pac
kill $pns; wait $pns
`

const pacConfig = `
[admin]
socket = "/run/pac.sock"
[records]
file = "/xchg/records.jsonl"
[log]
level = "debug"
format = "json"
[[pns]]
name = "main"
address = "127.0.0.2:1723"
local = "127.0.0.3"
[[driver]]
name = "bank"
kind = "modem"
[[driver.options.line]]
name = "usb"
devices = "usb:0403:*"
lines = 2
[[driver.options.line]]
name = "card"
device = "/dev/card"
`

const pnsConfig = `
[[listener]]
address = "127.0.0.2:1723"
[[pac]]
name = "bank"
address = ["127.0.0.3"]
[users]
file = "/xchg/users.toml"
[admin]
socket = "/run/pns.sock"
[records]
file = ""
`

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, dir: t.TempDir()}
	b.ports = filepath.Join(b.dir, "ports")
	b.install()
	b.process("exchange", "exchange", "--lines", "3", "--phones", "3", "--dir", b.ports)
	b.await("the exchange", patience, func() bool { return exists(filepath.Join(b.ports, "directory.json")) })
	monitor := filepath.Join(b.dir, "monitor")
	b.guest = guest.Start(t, guest.Config{
		Processors: 2, Exchange: b.dir, Timeout: 10 * time.Minute,
		QEMU: "-device qemu-xhci,id=xhci -monitor unix:" + monitor + ",server=on,wait=off" +
			" -chardev socket,id=s1,path=" + filepath.Join(b.ports, "phone3.sock") + ",reconnect=1 -serial chardev:s1" +
			" -chardev socket,id=s4,path=" + filepath.Join(b.ports, "line3.sock") + ",reconnect=1 -device pci-serial,chardev=s4",
	}, inside)
	t.Cleanup(b.logs)
	b.await("QEMU's monitor", patience, func() bool {
		var err error
		b.monitor, err = net.Dial("unix", monitor)
		return err == nil
	})
	t.Cleanup(func() { _ = b.monitor.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := b.monitor.Read(buffer)
			if err != nil {
				return
			}
			_, _ = b.said.Write(buffer[:n])
		}
	}()
	return b
}

// install puts the programs, what they are configured with and a user into the exchange directory.
func (b *bench) install() {
	b.Helper()
	build := exec.Command("go", "build", "-o", b.dir+"/", "./cmd/...")
	build.Dir, build.Env = filepath.Join("..", ".."), append(os.Environ(), "CGO_ENABLED=0") // the guest's own files are the host's, its libraries need not be
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("go build: %v\n%s", err, out)
	}
	for name, text := range map[string]string{"pac.toml": pacConfig, "pns.toml": pnsConfig, "password": password + "\n"} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	// The users file is made where the configuration says that it is.
	host := filepath.Join(b.dir, "host.toml")
	if err := os.WriteFile(host, []byte(strings.ReplaceAll(pnsConfig, "/xchg", b.dir)), 0o600); err != nil {
		b.Fatal(err)
	}
	add := exec.Command(filepath.Join(b.dir, "pns"), "user", "add", "demo", "--config", host)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		b.Fatalf("pns user add: %v\n%s", err, out)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func (b *bench) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(b.dir, name))
	return string(text)
}

// logs tells of a test that failed, before the guest is killed.
func (b *bench) logs() {
	if b.Failed() {
		for _, name := range []string{"pac.log", "pns.log", "lines.json", "calls.json", "client1.log", "client2.log", "ping1.txt", "ping2.txt"} {
			b.Logf("%s:\n%s", name, b.read(name))
		}
		b.Logf("monitor:\n%s", b.said.String())
	}
}

// await waits until something is true, and fails the test when it is not in time.
func (b *bench) await(what string, limit time.Duration, done func() bool) {
	b.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !done(); <-tick.C {
		if time.Now().After(end) {
			b.Fatalf("%s: not within %v", what, limit)
		}
		if b.guest != nil {
			select {
			case <-b.guest.Done():
				b.Fatalf("%s: the guest has ended", what)
			default:
			}
		}
	}
}

// tell gives QEMU's monitor a command.
func (b *bench) tell(format string, args ...any) {
	b.Helper()
	if _, err := fmt.Fprintf(b.monitor, format+"\n", args...); err != nil {
		b.Fatal(err)
	}
}

// plug plugs modem n in, which loses its power when it is unplugged: its port of the exchange is opened and closed with it.
func (b *bench) plug(n int) {
	b.tell("chardev-add socket,id=c%d,path=%s/line%d.sock", n, b.ports, n)
	b.tell("device_add usb-serial,id=u%d,chardev=c%d,serial=M%d,bus=xhci.0", n, n, n)
}

func (b *bench) unplug(n int) {
	b.Helper()
	b.tell("device_del u%d", n)
	// The device goes when the guest has let go of it; until then its port is busy.
	gone := fmt.Sprintf("Chardev 'c%d' not found", n)
	before := strings.Count(b.said.String(), gone)
	b.await(fmt.Sprintf("modem %d is gone", n), patience, func() bool {
		b.tell("chardev-remove c%d", n)
		return strings.Count(b.said.String(), gone) > before
	})
}

// process starts pac on the host; it ends with the test.
func (b *bench) process(name string, args ...string) *call {
	b.Helper()
	c := &call{bench: b, name: name, done: make(chan struct{}), cmd: exec.Command(filepath.Join(b.dir, "pac"), args...)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	if err := c.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	b.Cleanup(func() {
		c.hangUp()
		if b.Failed() {
			b.Logf("%s:\n%s", name, c.out.String())
		}
	})
	return c
}

// call is a caller on the host.
type call struct {
	*bench
	name string
	cmd  *exec.Cmd
	out  output.Buffer
	done chan struct{}
	err  error
}

// dial has a telephone call a number, and send so many pings.
func (b *bench) dial(phone int, number, pings string) *call {
	b.Helper()
	return b.process(fmt.Sprintf("caller at phone%d", phone), "caller", number, "--port", fmt.Sprintf("%s/phone%d", b.ports, phone),
		"--password-file", filepath.Join(b.dir, "password"), "--pings", pings)
}

func (c *call) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// awaitPing waits for the answer to one more ping.
func (c *call) awaitPing() {
	c.Helper()
	before := strings.Count(c.out.String(), "seq=")
	c.await(c.name+" has an answer", time.Minute, func() bool {
		if c.ended() {
			c.Fatalf("%s has ended: %v", c.name, c.err)
		}
		return strings.Count(c.out.String(), "seq=") > before
	})
}

// awaitEnd waits until the caller has hung up.
func (c *call) awaitEnd() {
	c.Helper()
	c.await(c.name+" hangs up", 2*time.Minute, c.ended)
}

func (c *call) hangUp() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	<-c.done
}
