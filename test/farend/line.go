package farend

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"trunkline.example/shared/gre"
	"trunkline.example/shared/hdlc"
)

// line is a modem and the serial line that leads to it.
type line struct {
	number        int
	master, slave int
	path          string
	command       []byte // of the computer, not complete yet
	online        bool   // in data state

	framer   *hdlc.Framer
	deframer *hdlc.Deframer
	began    time.Time // since when frames are sent to the computer
	sent     int64     // octets since
	rest     []byte    // of the frame being sent
	upIndex  uint32    // of the next frame
	upDone   window    // when the last octets of frames were sent
	uart     time.Time // when the line has carried all that came from the computer
	call     *call
}

// call is a call as the network server sees it.
type call struct {
	remote   netip.Addr
	id       uint16 // that they assigned
	sequence uint32 // of the next packet
	received uint32 // last sequence number
	heard    bool   // there is one
	line     *line

	next    time.Time // when the next frame is due
	index   uint32
	free    time.Time // when a line alone would have carried all frames so far
	done    window    // when it would have carried each
	scratch []byte
	upNext  uint32 // index that the next frame from the line should have
	dnNext  uint32 // and to it
}

// window holds the instants of the last frames.
type window [256]time.Time

// What a frame begins with: address, control and protocol of IPv4 in PPP, then whose it is.
const (
	frameHeader = 4
	stampLine   = frameHeader
	stampIndex  = stampLine + 4
	leastFrame  = stampIndex + 4
)

func newLine(number int) (*line, error) {
	l := &line{number: number}
	var err error
	if l.master, err = unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("/dev/ptmx: %w", err)
	}
	if err := unix.IoctlSetPointerInt(l.master, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	pty, err := unix.IoctlGetInt(l.master, unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	l.path = fmt.Sprintf("/dev/pts/%d", pty)
	// Held open, the terminal stays as it is whoever opens and closes it.
	if l.slave, err = unix.Open(l.path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(l.slave, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	return l, unix.IoctlSetTermios(l.slave, unix.TCSETS, t)
}

// receive takes what the computer has written.
func (l *line) receive(b *Bank, now time.Time) {
	var buf [4096]byte
	n, err := unix.Read(l.master, buf[:])
	if err != nil || n <= 0 {
		return
	}
	if !l.online {
		l.command = append(l.command, buf[:n]...)
		l.obey(now)
		return
	}
	for octets := buf[:n]; len(octets) > 0; {
		before := len(octets)
		var frame []byte
		frame, octets = l.deframer.Next(octets)
		if l.uart.Before(now) {
			l.uart = now
		}
		l.uart = l.uart.Add(lineTime(before - len(octets)))
		if len(frame) >= leastFrame && l.call != nil {
			l.call.arrived(b, l.uart, frame)
		}
	}
}

// lineTime is how long a line is busy with so many octets.
func lineTime(octets int) time.Duration {
	return time.Duration(octets) * time.Second / lineOctets
}

// obey answers the commands that are complete.
func (l *line) obey(now time.Time) {
	for {
		end := bytes.IndexByte(l.command, '\r')
		if end < 0 {
			return
		}
		command := bytes.TrimSpace(l.command[:end])
		l.command = l.command[end+1:]
		answer := "\r\nOK\r\n"
		if bytes.Equal(command, []byte("ATA")) {
			answer = "\r\nCONNECT 115200\r\n"
			l.connect(now)
		}
		_, _ = unix.Write(l.master, []byte(answer)) // a modem does not know whether anybody listens
	}
}

// connect goes into data state.
func (l *line) connect(now time.Time) {
	l.online, l.framer, l.deframer = true, hdlc.NewFramer(), hdlc.NewDeframer(0)
	l.framer.SetSendACCM(0)
	l.deframer.SetReceiveACCM(0)
	l.begin(now)
}

// begin starts the line's clock.
func (l *line) begin(now time.Time) {
	l.began, l.sent = now.Add(time.Duration(l.number%97)*time.Millisecond), 0 // not all frames end at one instant
	if l.call != nil {
		l.call.next = time.Time{}
	}
}

// transmit gives the computer the octets that the line has carried since the last time.
func (l *line) transmit(now time.Time, size int) {
	if !l.online || size == 0 && len(l.rest) == 0 {
		return
	}
	due := int64(now.Sub(l.began)) * lineOctets / int64(time.Second)
	if lag := lineTime(int(due - l.sent)); lag > mostLag {
		l.began = l.began.Add(lag - mostLag)
		due = l.sent + int64(mostLag)*lineOctets/int64(time.Second)
	}
	for l.sent < due {
		if len(l.rest) == 0 {
			if size == 0 {
				return
			}
			l.rest = l.framer.Append(now, l.rest[:0], stamped(nil, size, uint32(l.number), l.upIndex))
			l.upIndex++
		}
		n := min(int64(len(l.rest)), due-l.sent)
		wrote, err := unix.Write(l.master, l.rest[:n])
		if err != nil || wrote <= 0 {
			return // the computer does not read: flow control
		}
		l.sent += int64(wrote)
		if l.rest = l.rest[wrote:]; len(l.rest) == 0 {
			l.upDone[(l.upIndex-1)%uint32(len(l.upDone))] = now
		}
	}
}

// stamped appends a frame of so many octets.
func stamped(dst []byte, size int, line, index uint32) []byte {
	dst = append(dst, 0xff, 0x03, 0x00, 0x21)
	dst = binary.BigEndian.AppendUint32(dst, line)
	dst = binary.BigEndian.AppendUint32(dst, index)
	for x := uint64(line)<<32 | uint64(index) | 1; len(dst) < size; {
		x ^= x << 13 // xorshift
		x ^= x >> 7
		x ^= x << 17
		dst = append(dst, byte(x))
	}
	return dst
}

// receive takes a packet of the call.
func (c *call) receive(b *Bank, now time.Time, h gre.Header, payload []byte) {
	if !h.HasSequence {
		return
	}
	c.received, c.heard = h.Sequence, true
	if len(payload) < leastFrame {
		return
	}
	number, index := binary.BigEndian.Uint32(payload[stampLine:]), binary.BigEndian.Uint32(payload[stampIndex:])
	if int(number) >= len(b.lines) {
		return
	}
	if c.line == nil {
		c.line, b.lines[number].call = b.lines[number], c
		c.upNext = index
	}
	b.since.UpLost += uint64(index - c.upNext)
	c.upNext = index + 1
	b.since.Up.Add(now.Sub(c.line.upDone[index%uint32(len(c.line.upDone))]))
	b.since.UpOctets += uint64(len(payload))
}

// due tells whether the next frame to the line is.
func (c *call) due(now time.Time) bool {
	if c.next.IsZero() {
		c.next = now
	}
	if late := now.Add(-mostLag); c.next.Before(late) {
		c.next = late
	}
	return !now.Before(c.next)
}

// append appends the packet of the next frame.
func (c *call) append(now time.Time, dst []byte, size int) []byte {
	frame := stamped(c.scratch[:0], size, uint32(c.line.number), c.index)
	c.scratch = frame
	octets := len(hdlc.AppendFrame(nil, frame, 0)) - 1 // the flag between two frames is one
	if c.free.Before(now) {
		c.free = now
	}
	c.free = c.free.Add(lineTime(octets))
	c.done[c.index%uint32(len(c.done))] = c.free
	c.next = c.next.Add(time.Duration(float64(lineTime(octets)) / downShare))
	c.index++
	h := gre.Header{PayloadLength: uint16(len(frame)), CallID: c.id, HasSequence: true, Sequence: c.sequence, HasAck: c.heard, Ack: c.received}
	c.sequence++
	return append(h.Append(dst), frame...)
}

// arrived takes a frame that has come to the modem.
func (c *call) arrived(b *Bank, at time.Time, frame []byte) {
	index := binary.BigEndian.Uint32(frame[stampIndex:])
	b.since.DownLost += uint64(index - c.dnNext)
	c.dnNext = index + 1
	b.since.Down.Add(at.Sub(c.done[index%uint32(len(c.done))]))
	b.since.DownOctets += uint64(len(frame))
}
