package tun

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"trunkline.example/test/netns"
)

// clients are the addresses of clients in these tests, in two parts; 10.1.0.128 and above are nobody's.
var clients = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/25"), netip.MustParsePrefix("10.1.255.0/24"), netip.MustParsePrefix("10.1.128.9/32")}

// several opens an interface with so many queues.
func several(t *testing.T, name string, queues int) Device {
	t.Helper()
	d := open1(t, Options{Name: name, Queues: queues, Readers: queues, Clients: clients})
	if d.Shared() != nil || len(d.Queues()) != queues {
		t.Fatalf("%d queues, %v", len(d.Queues()), d.Shared())
	}
	return d
}

// sendTo sends a datagram to an address, which is its payload.
func sendTo(t *testing.T, to string) {
	t.Helper()
	c, err := net.Dial("udp4", to+":9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(to)); err != nil {
		t.Fatal(err)
	}
}

// next returns the payload of the next datagram of a queue.
func next(t *testing.T, d Device, number int) string {
	t.Helper()
	if err := d.Files()[number].SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	bufs, sizes := buffers(d, 1500)
	for {
		n, err := d.Queues()[number].Read(bufs[:1], sizes, Headroom)
		if err != nil {
			t.Fatalf("queue %d: %v", number, err)
		}
		if p := bufs[0][Headroom : Headroom+sizes[0]]; n == 1 && p[0]>>4 == 4 && p[9] == unix.IPPROTO_UDP {
			return string(p[28:])
		}
	}
}

// queueOf is the number of the queue that has a client's packets.
func queueOf(address string, queues int) int {
	b := netip.MustParseAddr(address).As4()
	return 1 + int(binary.BigEndian.Uint32(b[:])%uint32(queues-1))
}

func checkQueues(t *testing.T, d Device) {
	t.Helper()
	queues := len(d.Queues())
	for to, number := range map[string]int{
		"10.1.0.2": queueOf("10.1.0.2", queues), "10.1.0.3": queueOf("10.1.0.3", queues), "10.1.0.127": queueOf("10.1.0.127", queues),
		"10.1.255.7": queueOf("10.1.255.7", queues), "10.1.128.9": queueOf("10.1.128.9", queues),
		"10.1.0.128": 0, "10.1.254.7": 0, "10.1.128.10": 0,
	} {
		for range 2 {
			sendTo(t, to)
			if got := next(t, d, number); got != to {
				t.Errorf("queue %d has a packet to %s, want %s", number, got, to)
			}
		}
	}
}

// Each client's packets come by one queue, whichever the client's own were written to; what is for no client comes by the first one.
func TestQueueOfAClient(t *testing.T) {
	for _, queues := range []int{2, 5} {
		t.Run("", func(t *testing.T) {
			netns.Here(t)
			d := several(t, "trunk0", queues)
			up(t, d, "10.1.0.1/16")
			checkQueues(t, d)
			for _, q := range d.Queues() {
				if n, err := q.Write([][]byte{udp("one"), udp("two")}, Headroom); n != 2 || err != nil {
					t.Fatalf("write %d, %v", n, err)
				}
			}
			checkQueues(t, d)
		})
	}
}

// A list of prefixes longer than the program looks at does no harm.
func TestManyPrefixesOfClients(t *testing.T) {
	netns.Here(t)
	var many []netip.Prefix
	for n := range mostPrefixes + 1 {
		many = append(many, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 2, byte(n >> 8), byte(n)}), 32))
	}
	d := open1(t, Options{Name: "trunk0", Queues: 2, Readers: 2, Clients: many})
	up(t, d, "10.2.255.1/16")
	first, last, beyond := many[0].Addr().String(), many[mostPrefixes-1].Addr().String(), many[mostPrefixes].Addr().String()
	for to, number := range map[string]int{first: 1, last: 1, beyond: 0} {
		sendTo(t, to)
		if got := next(t, d, number); got != to {
			t.Errorf("queue %d has a packet to %s, want %s", number, got, to)
		}
	}
}

// Who may make an interface but hand no program to the kernel has one queue, and is told why.
func TestOneQueueWithoutProgram(t *testing.T) {
	netns.Here(t)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var rights [2]unix.CapUserData // the thread ends with the test
	rights[0].Effective, rights[0].Permitted = 1<<unix.CAP_NET_ADMIN, 1<<unix.CAP_NET_ADMIN
	if err := unix.Capset(&header, &rights[0]); err != nil {
		t.Fatal(err)
	}
	d := open1(t, Options{Name: "trunk0", Queues: 4, Clients: clients})
	if !errors.Is(d.Shared(), unix.EPERM) || len(d.Queues()) != 1 {
		t.Fatalf("%d queues, %v", len(d.Queues()), d.Shared())
	}
	up(t, d, "10.1.0.1/16")
	for _, to := range []string{"10.1.0.2", "10.1.0.3", "10.1.254.7"} {
		sendTo(t, to)
		if got := next(t, d, 0); got != to {
			t.Errorf("a packet to %s, want %s", got, to)
		}
	}
}

// A persistent interface has as many queues as it was made for.
func TestPersistentInterface(t *testing.T) {
	for _, c := range []struct {
		made, asked, want int
		shared            bool
	}{{1, 4, 1, true}, {4, 1, 1, false}, {4, 3, 3, false}, {1, 1, 1, false}} {
		t.Run("", func(t *testing.T) {
			netns.Here(t)
			d := open1(t, Options{Name: "trunk0", Queues: c.made, Clients: clients})
			raw, err := d.Files()[0].SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			if controlErr := raw.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TUNSETPERSIST, 1) }); err != nil || controlErr != nil {
				t.Fatal(err, controlErr)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			again := open1(t, Options{Name: "trunk0", Queues: c.asked, Readers: c.asked, Clients: clients})
			if len(again.Queues()) != c.want || (again.Shared() != nil) != c.shared {
				t.Errorf("%+v: %d queues, %v", c, len(again.Queues()), again.Shared())
			}
			up(t, again, "10.1.0.1/16")
			if c.want > 1 {
				checkQueues(t, again)
				return
			}
			sendTo(t, "10.1.0.2")
			if got := next(t, again, 0); got != "10.1.0.2" {
				t.Errorf("read %q", got)
			}
		})
	}
}

// The kernel would let a second process have queues of its own; then each had some of the packets.
func TestInterfaceInUse(t *testing.T) {
	netns.Here(t)
	d := several(t, "trunk0", 3)
	for _, queues := range []int{1, 3} {
		if _, err := Open(Options{Name: "trunk0", Queues: queues, Clients: clients}); !errors.Is(err, unix.EBUSY) {
			t.Errorf("%d queues: %v", queues, err)
		}
	}
	link, err := netlink.LinkByName("trunk0")
	if err != nil {
		t.Fatal(err)
	}
	if n := link.(*netlink.Tuntap).Queues; n != 3 {
		t.Errorf("%d queues", n)
	}
	up(t, d, "10.1.0.1/16")
	checkQueues(t, d)
}

// duplicates are the descriptors of a device as a successor gets them.
func duplicates(t *testing.T, d Device) (files []*os.File) {
	t.Helper()
	for _, f := range d.Files() {
		fd, err := duplicate(f)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, os.NewFile(uintptr(fd), "handed over"))
	}
	return files
}

func TestAdoptQueues(t *testing.T) {
	netns.Here(t)
	first := several(t, "trunk7", 4)
	up(t, first, "10.1.0.1/16")
	sendTo(t, "10.1.0.2") // waits for the successor
	d, err := Adopt(4, duplicates(t, first)...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := next(t, d, queueOf("10.1.0.2", 4)); got != "10.1.0.2" {
		t.Errorf("read %q", got)
	}
	checkQueues(t, d)

	other := several(t, "trunk8", 2)
	if _, err := Adopt(1, append(duplicates(t, d), duplicates(t, other)...)...); err == nil {
		t.Error("descriptors of two interfaces were adopted as one")
	}
	if _, err := Adopt(1); err == nil {
		t.Error("nothing was adopted")
	}
}
