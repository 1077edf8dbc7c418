package load

import (
	"encoding/binary"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// runs sends datagrams of one size to one address, many with one system call, as servers of QUIC do: the kernel carries them as one packet as far as
// it can, into a TUN too (UDP_SEGMENT, udp(7)).
type runs struct {
	conn    *net.UDPConn
	payload []byte // of a run
	control []byte // the size of a datagram, as a control message
}

// runOctets is what the kernel takes at one time.
const runOctets = 0xFFFF - ipHeader - udpHeader

func newRuns(conn *net.UDPConn) *runs {
	r := &runs{conn: conn, payload: make([]byte, runOctets), control: make([]byte, unix.CmsgSpace(2))}
	h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(r.control)))
	h.Level, h.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	return r
}

// send sends so many datagrams of size octets; put writes the i-th one's.
func (r *runs) send(to netip.AddrPort, count, size int, put func(i int, b []byte)) {
	for first, most := 0, runOctets/size; first < count; first += most {
		n := min(most, count-first)
		for i := range n {
			put(first+i, r.payload[i*size:(i+1)*size])
		}
		r.out(to, r.payload[:n*size], size)
	}
}

// out sends a run, or each of its datagrams by itself, as where they are longer than the MTU. One that the kernel does not take then is lost.
func (r *runs) out(to netip.AddrPort, run []byte, size int) {
	if len(run) > size {
		binary.NativeEndian.PutUint16(r.control[unix.CmsgLen(0):], uint16(size))
		if _, _, err := r.conn.WriteMsgUDPAddrPort(run, r.control, to); err == nil {
			return
		}
	}
	for ; len(run) > 0; run = run[size:] {
		_, _ = r.conn.WriteToUDPAddrPort(run[:size], to)
	}
}
