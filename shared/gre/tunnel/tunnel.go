package tunnel

import (
	"errors"
	"net/netip"
)

const (
	// BufferSize is enough room to receive any packet a tunnel should carry: an IPv4 header with all options (an IPv6
	// header is not received), a GRE header and the largest PPP packet (RFC 2637 section 4: 1532 octets), and some more.
	BufferSize = 2048
	// MaxBatch is how many packets one system call takes at most. Longer batches are split when written; when read, the
	// rest stays in the socket.
	MaxBatch = 128
)

var (
	// ErrAddressFamily: an address is none that one host has, or the two ends are not both IPv4 or both IPv6.
	ErrAddressFamily = errors.New("tunnel: GRE needs the addresses of two hosts, both IPv4 or both IPv6")
	// ErrAddressInUse: another GRE socket on this host is bound to the same local address. Each would get a copy of every
	// packet, and two daemons would answer each other's calls: they need different addresses.
	ErrAddressInUse = errors.New("tunnel: another GRE socket is bound to this address")
)

// Packet is one GRE packet in a batch.
type Packet struct {
	// Remote is the source of a packet read and the destination of a packet to be written.
	Remote netip.Addr
	// Local is the other address, with a Socket of all addresses (Config.Spread); others do not look at it.
	Local netip.Addr
	// Buffer is where ReadBatch receives, of BufferSize octets. The caller sets it once; ReadBatch may exchange the
	// buffers of a batch among its packets. WriteBatch does not look at it.
	Buffer []byte
	// Data is the packet from the GRE header on. ReadBatch sets it to a part of Buffer.
	Data []byte
	// Err is set by WriteBatch: nil, or why this packet was not sent, a syscall.Errno. All of them are
	// transient: ENOBUFS and EAGAIN (full queues), EPERM (a firewall), EMSGSIZE (see PathError), EHOSTUNREACH and the like.
	// None ends a call.
	Err error
}

// IPHeader is the size in octets of the IP header that carries GRE to or from an address, without options or extension headers.
func IPHeader(a netip.Addr) int {
	if a.Unmap().Is4() {
		return ipv4Header
	}
	return ipv6Header
}

const (
	ipv4Header = 20 // RFC 791 section 3.1
	ipv6Header = 40 // RFC 8200 section 3
)

// NewBatch returns n packets with a Buffer each, in one piece of memory.
func NewBatch(n int) []Packet {
	memory := make([]byte, n*BufferSize)
	batch := make([]Packet, n)
	for i := range batch {
		batch[i].Buffer = memory[i*BufferSize : (i+1)*BufferSize : (i+1)*BufferSize]
	}
	return batch
}

// Conn sends and receives the GRE packets of one local address.
type Conn interface {
	// Local returns the local address.
	Local() netip.Addr
	// ReadBatch waits until there is at least one packet, receives up to len(batch) and returns how many. It is for one
	// goroutine at a time. After Close it returns an error that is net.ErrClosed.
	ReadBatch(batch []Packet) (int, error)
	// WriteBatch sends the packets in order and returns how many were sent; the Err of each says which were not. The error
	// is net.ErrClosed after Close and otherwise nil. It may be called by several goroutines at once; it
	// waits for a full socket buffer only shortly. The packets are the caller's again when it returns.
	WriteBatch(batch []Packet) (int, error)
	// PathErrors delivers what the network says about destinations: packets too big for the path, hosts that cannot be
	// reached. Nobody needs to read it; what finds no room is counted. It is never closed.
	PathErrors() <-chan PathError
	// Counters returns the counters so far.
	Counters() Counters
	// Close ends ReadBatch and all further use.
	Close() error
}

// PathError is news about the path to a destination, from an ICMP message or from this host.
type PathError struct {
	// Remote is the destination of the packet that did not get through.
	Remote netip.Addr
	// MTU is the size in octets of the largest IP packet that the path takes, when it was exceeded, else 0.
	MTU int
	// Err is a syscall.Errno: EMSGSIZE with an MTU, ENOPROTOOPT when the host has no use for GRE, EHOSTUNREACH, ...
	Err error
}

// Counters count since the Conn was opened.
type Counters struct {
	Received       uint64 // packets handed on by ReadBatch
	ReceivedOctets uint64 // of these, from the GRE header on
	Malformed      uint64 // received with a broken IP header
	Truncated      uint64 // received, longer than the buffer; dropped
	ReceiveDrops   uint64 // not received, because the socket's buffer was full
	Sent           uint64
	SentOctets     uint64 // from the GRE header on
	SendFull       uint64 // not sent: a queue was full (ENOBUFS, EAGAIN)
	SendRefused    uint64 // not sent: not permitted (EPERM, EACCES), by a firewall for instance
	SendTooBig     uint64 // not sent: longer than the path allows (EMSGSIZE)
	SendFailed     uint64 // not sent for another reason, such as no route
	PathErrors     uint64 // messages about paths
	PathErrorsLost uint64 // of these: not delivered, as nobody read PathErrors
}
