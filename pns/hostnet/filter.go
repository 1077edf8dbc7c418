package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	mdlayher "github.com/mdlayher/netlink"

	"trunkline.example/shared/conf"
)

// filterTimeout bounds each exchange with nftables: some versions of it wait for ever for an answer that does not come.
const filterTimeout = 5 * time.Second

// uplinkSet is the name of the set of uplinks whose forwarding was switched on here. It outlives a crash, and so tells
// the next process what to switch off.
const uplinkSet = "uplinks"

// filter is our nftables table. Owned by a Network, under its lock.
type filter struct {
	name   string
	conn   *nftables.Conn
	socket *mdlayher.Conn
	err    error // of opening the socket
}

func newFilter(name string) *filter {
	f := &filter{name: name}
	keep := func(c *mdlayher.Conn) error {
		f.socket = c
		return nil
	}
	f.conn, f.err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(keep))
	return f
}

// table is our table; a value, since the library knows tables by family and name.
func (f *filter) table() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: f.name}
}

func (f *filter) uplinkSet() *nftables.Set {
	// The byte order only tells nft how to print the names.
	return &nftables.Set{Table: f.table(), Name: uplinkSet, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
}

// begin bounds the exchange that follows.
func (f *filter) begin() error {
	if f.err != nil {
		return f.err
	}
	return f.socket.SetDeadline(time.Now().Add(filterTimeout))
}

// exists tells whether there is a table of our name.
func (f *filter) exists() (bool, error) {
	if err := f.begin(); err != nil {
		return false, err
	}
	tables, err := f.conn.ListTablesOfFamily(nftables.TableFamilyINet)
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == f.name }), err
}

// uplinks lists the members of the set of uplinks in a table that is there already.
func (f *filter) uplinks() ([]string, error) {
	if there, err := f.exists(); err != nil || !there {
		return nil, err
	}
	sets, err := f.conn.GetSets(f.table())
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		if set.Name != uplinkSet {
			continue
		}
		elements, err := f.conn.GetSetElements(set)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, e := range elements {
			names = append(names, nameFrom(e.Key))
		}
		return names, nil
	}
	return nil, nil
}

// build makes the table anew, in place of one that may be there, as one transaction.
func (f *filter) build(c Config, uplinks []string) error {
	if err := f.begin(); err != nil {
		return err
	}
	t := f.table()
	f.conn.AddTable(t) // so that there is one to delete
	f.conn.DelTable(t)
	f.conn.AddTable(t)
	set := f.uplinkSet()
	if err := f.conn.AddSet(set, elementsOf(uplinks)); err != nil {
		return err
	}
	forward := f.conn.AddChain(&nftables.Chain{Table: t, Name: forwardChain, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityFilter})
	if c.Isolation {
		f.rule(forward, "clients cannot reach each other", incoming(c.Interface), outgoing(c.Interface), drop())
	}
	// Forwarding was switched on for the clients, not to make a router of the host.
	f.rule(forward, "forwarding is on for clients only", fromUplinks(set), notOutgoing(c.Interface), drop())
	if c.ClampMSS {
		mangle := f.conn.AddChain(&nftables.Chain{Table: t, Name: "mss", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
			Priority: nftables.ChainPriorityMangle})
		f.rule(mangle, "", incoming(c.Interface), clampMSS())
		f.rule(mangle, "", outgoing(c.Interface), clampMSS())
	}
	if c.Masquerade {
		if err := f.masquerade(t, c); err != nil {
			return err
		}
	}
	return f.conn.Flush()
}

func (f *filter) masquerade(t *nftables.Table, c Config) error {
	pool := &nftables.Set{Table: t, Name: "pool", KeyType: nftables.TypeIPAddr, Interval: true}
	if err := f.conn.AddSet(pool, intervals(c.Prefixes)); err != nil {
		return err
	}
	chain := f.conn.AddChain(&nftables.Chain{Table: t, Name: "postrouting", Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting,
		Priority: nftables.ChainPriorityNATSource})
	f.rule(chain, "", fromPool(pool), notOutgoing(c.Interface), []expr.Any{&expr.Masq{}})
	return nil
}

func (f *filter) rule(chain *nftables.Chain, comment string, parts ...[]expr.Any) {
	r := &nftables.Rule{Table: chain.Table, Chain: chain, Exprs: slices.Concat(parts...)}
	if comment != "" {
		r.UserData = userdata.AppendString(nil, userdata.TypeComment, comment)
	}
	f.conn.AddRule(r)
}

// setUplinks replaces the members of the set of uplinks.
func (f *filter) setUplinks(names []string) error {
	if err := f.begin(); err != nil {
		return err
	}
	set := f.uplinkSet()
	f.conn.FlushSet(set)
	if len(names) > 0 {
		if err := f.conn.SetAddElements(set, elementsOf(names)); err != nil {
			return err
		}
	}
	if err := f.conn.Flush(); err != nil {
		return fmt.Errorf("uplinks of table %s: %w", f.name, err)
	}
	return nil
}

// leave closes the socket and lets the table be.
func (f *filter) leave() { _ = f.conn.CloseLasting() }

// remove deletes the table, if there is one, and closes the socket.
func (f *filter) remove() error {
	there, err := f.exists()
	if err == nil && there {
		f.conn.DelTable(f.table())
		err = f.conn.Flush()
	}
	if f.err != nil { // there was never a socket
		return nil
	}
	if err := errors.Join(err, f.conn.CloseLasting()); err != nil {
		return fmt.Errorf("removing nftables table %s: %w", f.name, err)
	}
	return nil
}

func elementsOf(names []string) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, name := range names {
		elements = append(elements, nftables.SetElement{Key: nameKey(name)})
	}
	return elements
}

// intervals turns prefixes into the elements of an interval set: where each run begins, and where it no longer is.
func intervals(prefixes []netip.Prefix) []nftables.SetElement {
	type run struct{ first, after netip.Addr }
	var runs []run
	sorted := slices.Clone(prefixes)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for _, p := range sorted {
		r := run{p.Masked().Addr(), conf.Last(p).Next()}
		if n := len(runs); n > 0 && runs[n-1].after == r.first {
			runs[n-1].after = r.after
			continue
		}
		runs = append(runs, r)
	}
	var elements []nftables.SetElement
	for _, r := range runs {
		elements = append(elements, nftables.SetElement{Key: r.first.AsSlice()}, nftables.SetElement{Key: r.after.AsSlice(), IntervalEnd: true})
	}
	return elements
}
