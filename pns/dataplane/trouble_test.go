package dataplane

import (
	"syscall"
	"testing"
	"time"

	"trunkline.example/shared/gre/tunnel"
)

// gate is GRE that takes packets, or refuses them with an error, those of some peers or all.
type gate struct {
	greSink
	errno syscall.Errno
	only  *Entry // nil: all
}

func (g *gate) WriteBatch(b []tunnel.Packet) (sent int, err error) {
	for i := range b {
		b[i].Err = nil
		if g.errno != 0 && (g.only == nil || g.only.call.Remote == b[i].Remote) {
			b[i].Err = g.errno
			continue
		}
		sent++
	}
	g.sent += sent
	return sent, nil
}

// A flood of half an hour that cannot be sent numbers less than MPPE's count can tell, whatever the reason is; when it is over all flows again after a
// second or so, and other calls are held up only if there is no room for anybody.
func TestFloodThatCannotBeSent(t *testing.T) {
	const batch, size, most = 8, 200, 4095
	for _, errno := range []syscall.Errno{syscall.ENOBUFS, syscall.EPERM, syscall.ENETUNREACH, syscall.ENETDOWN} {
		t.Run(errno.Error(), func(t *testing.T) {
			r := newRig(t, 2, true)
			victim, other := r.entries[0], r.entries[1]
			g := &gate{greSink: greSink{r.sink}, errno: errno}
			if errno != syscall.ENOBUFS {
				g.only = victim
			}
			r.socket.conn = g
			send := func() {
				r.sendOut(r.leaving(batch, size), size)
				r.now = r.now.Add(100 * time.Millisecond)
			}
			end := r.now.Add(30 * time.Minute)
			for r.now.Before(end) {
				send()
			}
			c := victim.Counters()
			if c.SendFailed == 0 || c.SendFailed > most || c.Congested < batch*6000 {
				t.Errorf("%d were numbered and lost, %d dropped before", c.SendFailed, c.Congested)
			}
			if c := other.Counters(); g.only != nil && c.Congested+c.SendFailed != 0 {
				t.Errorf("another call has lost %d and %d packets", c.Congested, c.SendFailed)
			}
			g.errno = 0
			for end := r.now.Add(1500 * time.Millisecond); r.now.Before(end); {
				send()
			}
			before := [2]Counters{victim.Counters(), other.Counters()}
			for range 10 {
				send()
			}
			for i, e := range r.entries {
				if c := e.Counters(); c.PacketsOut-before[i].PacketsOut != 10*batch/2 || c.SendFailed != before[i].SendFailed {
					t.Errorf("after the trouble: %d packets, %+v", c.PacketsOut-before[i].PacketsOut, c)
				}
			}
		})
	}
}

// A packet that is too big for its path says nothing of others.
func TestTooBigIsNoTrouble(t *testing.T) {
	r := newRig(t, 1, true)
	r.socket.conn = &gate{greSink: greSink{r.sink}, errno: syscall.EMSGSIZE}
	for range 3 {
		r.sendOut(r.leaving(8, 200), 200)
	}
	if c := r.entries[0].Counters(); c.SendFailed != 24 || c.Congested != 0 {
		t.Errorf("%d failed, %d congested", c.SendFailed, c.Congested)
	}
}
