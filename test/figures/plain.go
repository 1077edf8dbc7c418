package main

import (
	"encoding/binary"
	"errors"
	"net"
	"time"
)

// plainPings sends the same pings past the tunnel, and returns their round trips.
func (g *generator) plainPings() (trips []time.Duration) {
	var c net.PacketConn
	err := g.clients.Do(func() (err error) {
		c, err = net.ListenPacket("ip4:icmp", "198.18.0.2")
		return err
	})
	if err != nil {
		g.Fatal(err)
	}
	defer c.Close()
	request := make([]byte, 8+56)
	request[0] = 8 // echo request
	reply := make([]byte, 1500)
	tick := time.NewTicker(latencyEvery)
	defer tick.Stop()
	for n := range latencyPings {
		<-tick.C
		binary.BigEndian.PutUint16(request[6:], uint16(n))
		binary.BigEndian.PutUint16(request[2:], 0)
		binary.BigEndian.PutUint16(request[2:], checksum(request))
		sent := time.Now()
		_, err := c.WriteTo(request, &net.IPAddr{IP: net.ParseIP(server)})
		err = errors.Join(err, c.SetReadDeadline(sent.Add(time.Second)))
		for err == nil {
			var length int
			length, _, err = c.ReadFrom(reply)
			if err == nil && length >= 8 && reply[0] == 0 && binary.BigEndian.Uint16(reply[6:]) == uint16(n) {
				trips = append(trips, time.Since(sent))
				break
			}
		}
		if err != nil {
			g.Fatalf("a ping past the tunnel: %v", err)
		}
	}
	return trips
}

// checksum is the Internet checksum (RFC 1071) of an even number of octets.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum>>16 != 0 {
		sum = sum&0xFFFF + sum>>16
	}
	return ^uint16(sum)
}
