package main

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"trunkline.example/test/daemon"
	"trunkline.example/test/guest"
	"trunkline.example/test/netns"
)

// transferTime is how long each transfer lasts.
const transferTime = 4 * time.Second

// transfer is what one TCP transfer carried.
type transfer struct {
	octets  int64
	seconds float64
	cpu     time.Duration // of pns
	err     error
}

func (t transfer) megabits() float64 { return float64(t.octets) * 8 / 1e6 / t.seconds }

// clientScript is what the real client does. Port 7001 takes, 7002 gives, each for its time; without the tunnel first.
const clientScript = `
eth 198.18.0.2/24
transfers() {
	socat -u OPEN:/dev/zero TCP:"$1":7001 2> /dev/null || :
	socat -u TCP:"$1":7002 OPEN:/dev/null
}
transfers ` + lanServer + `
secrets "` + user + ` * ` + password + ` *"
pppd pty "pptp ` + lanServer + ` --nolaunchpppd" nodetach noauth noipv6 user ` + user + ` require-mppe-128 logfile /xchg/pppd.log &
pid=$!
until_true 60 link_up ppp0
transfers ` + innerAddress + `
kill -INT $pid
wait $pid || :
`

// measureClient tells the throughput of pptp and pppd in a guest.
func measureClient(r *run, o options) {
	guest.Need(r)
	space := netns.New(r)
	space.Bridge("br0", lanServer+"/24", "tap0")
	dir, exchange := r.TempDir(), r.TempDir()
	pns := r.daemon(space, "pns", "run", "--config", r.pnsConfig(dir, "", user))
	howLong := o.time(transferTime)
	var ends []chan transfer
	for _, address := range []string{lanServer, innerAddress} {
		ends = append(ends, r.serve(space, address+":7001", pns, howLong, take), r.serve(space, address+":7002", pns, howLong, give))
	}
	g := guest.Start(r, guest.Config{NetNS: space.Name, Taps: []string{"tap0"}, Exchange: exchange, Timeout: 2 * time.Minute}, clientScript)
	var got []transfer
	for _, end := range ends {
		select {
		case t := <-end:
			if t.err != nil {
				r.Fatal(t.err)
			}
			got = append(got, t)
		case <-g.Done():
			log, _ := os.ReadFile(filepath.Join(exchange, "pppd.log"))
			r.Fatalf("the guest has ended:\n%s\n%s", g.Output(), log)
		}
	}
	<-g.Done()
	for i, way := range []string{"client to server", "server to client"} {
		plain, tunnel := got[i], got[i+2]
		r.add("TCP "+way, tunnel.megabits(), "Mbit/s", "MPPE-128; the guest manages %s without the tunnel", digits(plain.megabits()))
		r.add("TCP "+way+": CPU of pns", tunnel.cpu.Seconds(), "s", "in %.1f s; %.1f s for each GB", tunnel.seconds, tunnel.cpu.Seconds()/float64(tunnel.octets)*1e9)
	}
}

// serve serves one connection on an address inside the namespace.
func (r *run) serve(space *netns.Space, address string, pns *daemon.Daemon, howLong time.Duration, carry func(*net.TCPConn, time.Duration) (int64, error)) chan transfer {
	l := space.Listen(address)
	end := make(chan transfer, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			end <- transfer{err: err}
			return
		}
		defer c.Close()
		began, used := time.Now(), r.cpuTime(pns.PID())
		n, err := carry(c.(*net.TCPConn), howLong)
		end <- transfer{n, time.Since(began).Seconds(), r.cpuTime(pns.PID()) - used, err}
	}()
	return end
}

// take receives for so long.
func take(c *net.TCPConn, howLong time.Duration) (int64, error) {
	_ = c.SetReadDeadline(time.Now().Add(howLong))
	n, err := io.Copy(io.Discard, c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return n, err
}

// give sends for so long and waits until all of it has arrived.
func give(c *net.TCPConn, howLong time.Duration) (n int64, err error) {
	piece := make([]byte, 64<<10)
	for end := time.Now().Add(howLong); err == nil && time.Now().Before(end); {
		var m int
		m, err = c.Write(piece)
		n += int64(m)
	}
	if err == nil {
		err = c.CloseWrite()
	}
	if err == nil {
		_, err = c.Read(piece)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
