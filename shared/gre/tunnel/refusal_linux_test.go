package tunnel

import (
	"errors"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// slow puts a queue of limit octets in front of the interface that lets 1000 octets per second pass.
func (l loopback) slow(limit uint32) {
	l.t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		l.fail(err)
		return
	}
	if err := netlink.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: lo.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       1000, Buffer: netlink.Xmittime(1000, 3000), Limit: limit,
	}); err != nil {
		l.fail("slow queue:", err)
	}
}

func (l loopback) batchOf(n int) []Packet {
	batch := make([]Packet, n)
	for i := range batch {
		batch[i] = Packet{Remote: l.two, Data: packet(uint32(i), 1000)}
	}
	return batch
}

// A full queue of an interface costs packets, not the call, and no time.
func TestSocketFullInterface(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a := l.listen(Config{Local: l.one, SendWait: time.Hour})
		l.slow(5000)
		batch := l.batchOf(50)
		n, err := a.WriteBatch(batch)
		if err != nil || n == 0 || n > 20 {
			l.fail(n, err)
		}
		for i, p := range batch {
			if p.Err != nil && !errors.Is(p.Err, unix.ENOBUFS) {
				l.fail(i, p.Err)
			}
		}
		if c := a.Counters(); c.Sent != uint64(n) || c.SendFull != uint64(50-n) {
			l.fail(n, c)
		}
	})
}

// A full buffer of the socket is waited for, but not for ever.
func TestSocketFullBuffer(t *testing.T) {
	inNamespace(t, func(l loopback) {
		const wait = 30 * time.Millisecond
		a := l.listen(Config{Local: l.one, SendBuffer: 16 << 10, SendWait: wait})
		l.slow(10 << 20)
		batch := l.batchOf(MaxBatch)
		start := time.Now()
		n, err := a.WriteBatch(batch)
		took := time.Since(start)
		if err != nil || n == 0 || n > 60 || took < wait {
			l.fail(n, err, took)
		}
		if last := batch[MaxBatch-1].Err; !errors.Is(last, unix.ENOBUFS) && !errors.Is(last, unix.EAGAIN) {
			l.fail(last)
		}
		if c := a.Counters(); c.Sent != uint64(n) || c.SendFull != uint64(MaxBatch-n) {
			l.fail(n, c)
		}
	})
}

// A firewall that forbids a packet is transient too.
func TestSocketFirewall(t *testing.T) {
	inNamespace(t, func(l loopback) {
		a, b := l.listen(Config{Local: l.one}), l.listen(Config{Local: l.two})
		conn, err := nftables.New()
		if err != nil {
			l.fail(err)
			return
		}
		table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "test"})
		chain := conn.AddChain(&nftables.Chain{
			Name: "output", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
		if err := conn.Flush(); err != nil {
			l.fail(err)
			return
		}
		batch := l.batchOf(3)
		if n, err := a.WriteBatch(batch); n != 0 || err != nil || !errors.Is(batch[2].Err, unix.EPERM) {
			l.fail(n, err, batch[2].Err)
		}
		conn.DelTable(table)
		if err := conn.Flush(); err != nil {
			l.fail(err)
		}
		if n, err := a.WriteBatch(batch); n != 3 || err != nil || batch[0].Err != nil {
			l.fail(n, err, batch[0].Err)
		}
		l.read(b, 3)
		if c := a.Counters(); c.SendRefused != 3 || c.Sent != 3 {
			l.fail(c)
		}
	})
}
