// Package tun reads and writes the TUN interface that carries the IPv4 packets of all sessions, in batches and with
// segmentation offload: one Read may yield a whole burst of one TCP stream cut into packets, and one Write may hand the
// kernel many packets as one. Package tuntest has a fake.
//
// What is not here: addresses, routes and forwarding of the interface (pns/hostnet).
package tun

import (
	"net/netip"
	"os"

	"trunkline.example/pns/tun/gso"
)

// Headroom is the room in octets that Write needs in front of each packet: offset must be at least this much. It holds
// the virtio header that the kernel wants.
const Headroom = gso.HeaderLength

// MaxPacket is the longest packet that a Read can yield, in octets.
const MaxPacket = gso.MaxPacket

// Queue is a part of the traffic of a Device: one of the kernel's queues, or some that Read takes in turn. One goroutine may Read while another one
// Writes; two Reads or two Writes at once are serialised. Different Queues do not know of each other.
type Queue interface {
	// Read blocks until there is a packet, then fills bufs[i][offset:] with all packets that wait in one of the kernel's queues, as far as there are
	// buffers, sets sizes[i] to their lengths in octets and returns how many they are. It does not wait for more. len(sizes) must be at
	// least len(bufs). Buffers should be of the interface's MTU and offset at least: longer packets, and what the kernel
	// hands over damaged, are dropped and counted, so n may be 0 with a nil error. After Close of the Device, and when the interface has been
	// deleted, the error is os.ErrClosed.
	Read(bufs [][]byte, sizes []int, offset int) (n int, err error)

	// Write sends the packets bufs[i][offset:]; offset must be at least Headroom. It does not wait for room: what the
	// kernel cannot take at once is dropped by the kernel. Packets of one TCP or UDP stream are handed over as one. Those of a stream
	// keep their order; those of different ones may not. Write changes the Headroom octets in front of the packets.
	//
	// n is the number of packets that the kernel took; the others are counted, and err tells why. Such an error concerns
	// these packets only. After Close of the Device, and when the interface has been deleted, the error is os.ErrClosed.
	Write(bufs [][]byte, offset int) (n int, err error)
}

// Device is a TUN interface. Its own Read and Write are those of its first queue.
type Device interface {
	Queue

	// Queues are all there are, Options.Readers at most and one at least. A packet may be written by any of them. Each has to be read: all packets to an
	// address come by the same one, in order. They never change.
	Queues() []Queue

	// Shared tells why the kernel has one queue for all packets though several were asked for; nil if it is as asked.
	Shared() error

	// BatchSize is a good number of packets for one Read or Write. It never changes.
	BatchSize() int

	// Name is the name of the interface.
	Name() string

	// MTU asks for the interface's present MTU in octets.
	MTU() (int, error)

	// Files are the descriptors of all the kernel's queues, in an order that is to be kept, to be handed to a successor process; they stay owned by the Device.
	Files() []*os.File

	// Counters tells what went wrong since the start.
	Counters() Counters

	// Close ends Read and Write and gives the descriptors back; with the last one the kernel removes the interface.
	Close() error
}

// Counters count packets that were lost between a Device and the kernel.
type Counters struct {
	ReadDropped    uint64 // read, but longer than the buffers, or damaged
	WriteRefused   uint64 // not taken by the kernel
	Unread         uint64 // dropped by the kernel as its queue was full: they came faster than they were read
	OffloadRefused uint64 // runs of packets that the kernel would not take as one; they were written one by one then, as are all that follow
}

// Options say how an interface is opened.
type Options struct {
	Name      string // of the interface; "%d" in it is replaced by the first free number
	MTU       int    // in octets
	NoOffload bool   // open it without virtio header, so that every read and write is one plain packet

	// Queues is how many the kernel is to have, if it can and may; below 2: one. The first has what goes to nobody of Clients, which are IPv4
	// addresses, and each client has one of the others: who is flooded holds up, and has dropped, only what is in the same one.
	Queues  int
	Clients []netip.Prefix
	Readers int // how many Queues they are divided among; below 2: one
}
