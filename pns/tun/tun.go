// Package tun reads and writes the TUN interface that carries the IPv4 packets of all sessions, in batches and with
// segmentation offload: one Read may yield a whole burst of one TCP stream cut into packets, and one Write may hand the
// kernel many packets as one. Package tuntest has a fake.
//
// What is not here: addresses, routes and forwarding of the interface (pns/hostnet).
package tun

import "os"

// Headroom is the room in octets that Write needs in front of each packet: offset must be at least this much. It holds
// the virtio header that the kernel wants.
const Headroom = 10

// MaxPacket is the longest packet that a Read can yield, in octets.
const MaxPacket = 65535

// Device is a TUN interface. One goroutine may Read while another one Writes; two Reads or two Writes at once are
// serialised.
type Device interface {
	// Read blocks until there is a packet, then fills bufs[i][offset:] with as many packets as have come together, sets
	// sizes[i] to their lengths in octets and returns how many they are. len(sizes) must be at least len(bufs). Give it
	// BatchSize buffers of the interface's MTU and offset at least: of a burst that does not fit into bufs the rest is
	// dropped and counted. What the kernel hands over damaged is dropped and counted too, so n may be 0 with a nil
	// error. After Close, and when the interface has been deleted, the error is os.ErrClosed.
	Read(bufs [][]byte, sizes []int, offset int) (n int, err error)

	// Write sends the packets bufs[i][offset:]; offset must be at least Headroom. It does not wait for room: what the
	// kernel cannot take at once is dropped by the kernel. Packets of one TCP or UDP stream that follow each other are
	// handed over as one as far as the capacity of the first one's buffer goes, so give the buffers room beyond a single
	// packet if that shall happen. Write changes the octets in front of the packets, the packets, and what lies between
	// the length and the capacity of a buffer; afterwards the lengths of bufs have no meaning.
	//
	// n is the number of packets that the kernel took; the others are counted, and err tells why. Such an error concerns
	// these packets only. After Close, and when the interface has been deleted, the error is os.ErrClosed.
	Write(bufs [][]byte, offset int) (n int, err error)

	// BatchSize is the number of buffers that Read wants, and a good number of packets for one Write. It never changes.
	BatchSize() int

	// Name is the name of the interface.
	Name() string

	// MTU asks for the interface's present MTU in octets.
	MTU() (int, error)

	// File is the descriptor, to be handed to a successor process; it stays owned by the Device.
	File() *os.File

	// Counters tells what went wrong since the start.
	Counters() Counters

	// Close ends Read and Write and gives the descriptor back; with the last descriptor the kernel removes the interface.
	Close() error
}

// Counters count packets that were lost between a Device and the kernel.
type Counters struct {
	ReadDropped    uint64 // read, but longer than the buffers, too many for them, or damaged
	WriteRefused   uint64 // not taken by the kernel; packets that were handed over as one count once
	Unread         uint64 // dropped by the kernel as its queue was full: they came faster than they were read
	OffloadRefused uint64 // runs of packets that the kernel would not take as one; offload on writing was then switched off
}

// Options say how an interface is opened.
type Options struct {
	Name      string // of the interface; "%d" in it is replaced by the first free number
	MTU       int    // in octets
	NoOffload bool   // open it without virtio header, so that every read and write is one plain packet
}
