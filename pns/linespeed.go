package pns

import (
	"time"

	"trunkline.example/shared/pptp/fsm"
)

// On a slow line a packet that somebody waits for stands behind what has been sent before it: in the PAC, in the modem. So packets are
// short, few are under way, and the others wait here, where interactive ones can go first.
const (
	// packetTime is how long one packet may occupy a line.
	packetTime = 125 * time.Millisecond
	// leastMTU is what every host must be able to take (RFC 791 section 3.1).
	leastMTU = 576
	// flightTime is for how long packets under way may occupy a line.
	flightTime = 250 * time.Millisecond
	// leastFlight in packets keeps a line busy while an acknowledgement is on its way.
	leastFlight = 2
	// holdTime is for how long packets that wait may occupy a line: enough for TCP to fill it.
	holdTime = 2500 * time.Millisecond
	// leastHold and mostHold bound the packets that may wait.
	leastHold, mostHold = 16, 64
)

// lineSpeed is the speed of a PAC's line in bit/s, 0 if nothing is known of it. The speed that a client names is a constant, and so
// is that of a server that we call.
func (k *call) lineSpeed() uint32 {
	if k.info.Role != fsm.RolePNS || k.conn.ours != nil {
		return 0
	}
	return k.info.ConnectSpeed
}

// octetsIn is what a line carries in a time.
func octetsIn(speed uint32, d time.Duration) int { return int(float64(speed) / 8 * d.Seconds()) }

// lineMTU is the largest packet in octets for a call on a line of that speed.
func lineMTU(speed uint32, most int) int {
	if speed == 0 {
		return most
	}
	return min(most, max(octetsIn(speed, packetTime), leastMTU))
}

// lineWindow is how many packets may be under way: what the PAC has stated, or less on a slow line. 0 stays "not stated".
func lineWindow(speed uint32, mtu int, stated uint16) uint16 {
	if speed == 0 {
		return stated
	}
	return uint16(min(int(stated), max(octetsIn(speed, flightTime)/mtu, leastFlight)))
}

// lineHold is how many packets may wait for room in the window.
func lineHold(speed uint32, mtu int) int {
	return min(max(octetsIn(speed, holdTime)/mtu, leastHold), mostHold)
}
