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
)

// lossFree searches for the highest rate of small packets without a loss, up to that which arrived of a flood.
func (p *pair) lossFree(what string, w way, limit float64, howLong time.Duration) {
	most, trials := search(limit, func(rate float64) (float64, bool) {
		got, sent := p.offer(w, rate, howLong)
		return float64(got) / howLong.Seconds(), got == sent && got > 0
	})
	p.add(what+": "+lossFree(w.name), most/1e3, "kpackets/s", "%d rates tried for %v", trials, howLong)
}

// offer sends small datagrams at a rate, and returns how many arrived and were sent.
func (p *pair) offer(w way, rate float64, howLong time.Duration) (got, sent int64) {
	var far, near *net.UDPConn
	err := w.to.Do(func() (err error) {
		far, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(w.address)})
		return err
	})
	if err == nil {
		defer far.Close()
		_ = far.SetReadBuffer(1 << 20) // the system's limit applies
		err = w.from.Do(func() (err error) {
			near, err = net.DialUDP("udp4", nil, far.LocalAddr().(*net.UDPAddr))
			return err
		})
	}
	if err != nil {
		p.Fatalf("UDP to %s: %v", w.address, err)
	}
	defer near.Close()
	var arrived atomic.Int64
	go func() {
		payload := make([]byte, 2*floodSize)
		for _, err := far.Read(payload); err == nil; _, err = far.Read(payload) {
			arrived.Add(1)
		}
	}()
	payload := make([]byte, floodSize)
	tick := time.NewTicker(guestTick)
	defer tick.Stop()
	for began, now := time.Now(), time.Duration(0); now < howLong; <-tick.C {
		now = time.Since(began)
		for due := int64(rate * min(now, howLong).Seconds()); sent < due; sent++ {
			_, _ = near.Write(payload) // what the system does not take is lost
		}
	}
	time.Sleep(guestStored)
	return arrived.Load(), sent
}
