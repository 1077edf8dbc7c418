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
	defer to.Close() // which ends the sender
	go func() {
		defer from.Close()
		_, _ = io.CopyBuffer(struct{ io.Writer }{from}, endless{}, make([]byte, flowBlock))
	}()
	g.receive(to, settleTime)
	g.perCore(flowSpeed(way), way, func() string {
		return fmt.Sprintf("%s Mbit/s arrive", digits(g.receive(to, howLong)))
	})
}

// receive reads for a time from a TCP connection that never rests, and returns how many Mbit/s came.
func (g *generator) receive(from net.Conn, howLong time.Duration) float64 {
	arrived, block, began := 0, make([]byte, flowBlock), time.Now()
	for time.Since(began) < howLong {
		_ = from.SetReadDeadline(time.Now().Add(patience))
		n, err := from.Read(block)
		if arrived += n; err != nil {
			g.Fatalf("TCP through the tunnel: %v", err)
		}
	}
	return float64(arrived) * 8 / 1e6 / time.Since(began).Seconds()
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
