package main

import (
	"net"
	"sync/atomic"
	"time"
)

const (
	// guestTick is how often what is due of a rate is sent in the guest.
	guestTick = time.Millisecond
	// guestStored is after which nothing of it is under way.
	guestStored = 300 * time.Millisecond
	// guestSearch is how long a rate is tried: the TUN's queue of 2,048 packets may fill meanwhile without a loss.
	guestSearch = 3 * time.Second
)

// lossFree searches for the highest rate of small packets without a loss, up to a limit, and returns what was carried then.
func (p *pair) lossFree(what string, w way, limit float64, howLong time.Duration) float64 {
	most, trials := search(limit, func(asked float64) (float64, bool) {
		got, sent := p.offer(w, asked, howLong)
		return rate(got, howLong), got == sent && got > 0
	})
	p.add(what+": "+lossFree(w.name), most/1e3, "kpackets/s", "%d rates tried for %v", trials, howLong)
	return most
}

// rate is how many a second that is.
func rate(n int64, howLong time.Duration) float64 { return float64(n) / howLong.Seconds() }

// offer sends small datagrams, so many a second or, with 0, as fast as the sender's kernel takes them, and returns how many arrived and were sent. It needs
// nothing from the tunnel but that: some do not survive it.
func (p *pair) offer(w way, asked float64, howLong time.Duration) (got, sent int64) {
	in, out, end := p.ends(w)
	defer end()
	var arrived atomic.Int64
	go func() {
		for n, err := in.receive(); err == nil; n, err = in.receive() {
			arrived.Add(int64(n))
		}
	}()
	tick := time.NewTicker(guestTick)
	defer tick.Stop()
	began := time.Now()
	for now := time.Duration(0); now < howLong; now = time.Since(began) {
		due := sent + datagramBatch
		if asked > 0 {
			due = int64(asked * now.Seconds())
		}
		for sent < due {
			n, err := out.send(int(min(due-sent, datagramBatch)))
			if err != nil {
				p.Errorf("UDP to %s: %v", w.address, err)
				return 0, 0
			}
			sent += int64(n)
		}
		if asked > 0 {
			<-tick.C
		}
	}
	if asked > 0 {
		time.Sleep(guestStored)
	} // what buffers give up after a flood is none of its rate
	return arrived.Load(), sent
}

// ends are two sockets, one to receive what the other one sends, and how to close them.
func (p *pair) ends(w way) (in, out *datagrams, end func()) {
	var far, near *net.UDPConn
	err := w.to.Do(func() (err error) {
		if far, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(w.address)}); err == nil {
			_ = far.SetReadBuffer(1 << 20) // the system's limit applies
			in, err = newDatagrams(far, 2*floodSize)
		}
		return err
	})
	if err != nil {
		p.Fatalf("UDP at %s: %v", w.address, err)
	}
	// The server's end of a call that was just made may come up after the client's.
	p.eventually("there is no route to "+w.address, 20*time.Second, func() bool {
		return w.from.Do(func() (err error) {
			if near, err = net.DialUDP("udp4", nil, far.LocalAddr().(*net.UDPAddr)); err == nil {
				out, err = newDatagrams(near, floodSize)
			}
			return err
		}) == nil
	})
	return in, out, func() {
		_ = far.Close()
		_ = near.Close()
	}
}
