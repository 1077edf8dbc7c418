package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"
)

const (
	flowBlock = 256 << 10        // octets written or read at a time
	patience  = 10 * time.Second // with a TCP connection that does not go on
	// branchServer is the client's end of all links where it is a server itself: nobody's, but its TCP connections come from there.
	branchServer = "10.98.0.1"
)

// flowSpeed is the figure of what pns carries of a TCP connection for each core that it uses alone.
func flowSpeed(way string) string {
	return fmt.Sprintf("one TCP flow %s: for each core that pns uses", way)
}

// branch starts a second pns beside the clients, which calls the first one as its site does: MS-CHAPv2, MPPE-128, packets of 1400 octets. It returns
// once the call is up.
func (g *generator) branch() {
	dir := g.TempDir()
	config := g.pnsConfig(dir, fmt.Sprintf(`[[listener]]
address = "198.18.0.2:1723"
[[site]]
name = "main"
server = %q
user = "user0"
secret_file = %q
routes = ["%s/32"]
dial = "persistent"
[pool]
ranges = ["10.98.0.0/24"]
server = %q
`, server, g.writeFile(dir, "secret", password+"\n"), innerServer, branchServer))
	g.daemon(g.clients, "pns", "run", "--config", config)
	g.eventually("the branch's call is not up", time.Minute, func() bool {
		var sites []struct{ Phase string }
		g.ask(&sites, "pns", "sites", "--json", "--admin", filepath.Join(dir, "pns.sock"))
		return len(sites) == 1 && sites[0].Phase == "up"
	})
}

// flow tells how many Mbit/s pns carries of one TCP connection in one direction for each core that it uses: what it has written to the TUN, or read from it.
func (g *generator) flow(way string, howLong time.Duration) {
	from, to := g.connection()
	if way == "down" {
		from, to = to, from
	}
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{from}, endless{}, make([]byte, flowBlock))
		sent <- err
	}()
	arrived, block := int64(0), make([]byte, flowBlock)
	receive := func(howLong time.Duration) {
		for began := time.Now(); time.Since(began) < howLong; {
			_ = to.SetReadDeadline(time.Now().Add(patience))
			n, err := to.Read(block)
			if arrived += int64(n); err != nil {
				g.Fatalf("a TCP flow %s: %v", way, err)
			}
		}
	}
	receive(settleTime)
	arrived = 0
	before, l, began := g.tunOctets(way), g.watch(map[string]int{"pns": g.pns.PID()}), time.Now()
	receive(howLong)
	cpu, octets, took := l.seconds("pns"), g.tunOctets(way)-before, time.Since(began)
	for _, c := range []net.Conn{to, from} {
		_ = c.Close()
	}
	<-sent
	if cpu == 0 || octets == 0 {
		g.Fatalf("pns has carried %.0f octets of a TCP flow %s in %.2f s of its time", octets, way, cpu)
	}
	g.add(flowSpeed(way), octets*8/1e6/cpu, "Mbit/s per core", "%s s of the time of pns; %s Mbit/s arrive", digits(cpu), digits(float64(arrived)*8/1e6/took.Seconds()))
}

// connection is a TCP connection from the branch to the server's end of its link: both ends of it.
func (g *generator) connection() (branch, server net.Conn) {
	var l net.Listener
	err := g.space.Do(func() (err error) {
		l, err = net.Listen("tcp4", innerServer+":0")
		return err
	})
	if err == nil {
		defer l.Close()
		err = g.clients.Do(func() (err error) {
			branch, err = net.DialTimeout("tcp4", l.Addr().String(), patience)
			return err
		})
	}
	if err == nil {
		server, err = l.Accept()
	}
	if err != nil {
		g.Fatalf("TCP through the tunnel: %v", err)
	}
	return branch, server
}

// endless is as many zeros as are read.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
