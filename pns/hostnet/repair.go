package hostnet

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// forwardChain is the name of the chain that each of our tables has with at least one rule.
const forwardChain = "forward"

// devices lists the TUN interfaces that a table of our name is for; none if there is no such table, or no rule in it.
func (f *filter) devices() ([]string, error) {
	if there, err := f.exists(); err != nil || !there {
		return nil, err
	}
	chains, err := f.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name == f.name && c.Name == forwardChain }) {
		return nil, nil
	}
	rules, err := f.conn.GetRules(f.table(), &nftables.Chain{Table: f.table(), Name: forwardChain})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range rules {
		for i, e := range r.Exprs[:max(len(r.Exprs)-1, 0)] {
			meta, ok := e.(*expr.Meta)
			if !ok || meta.Key != expr.MetaKeyIIFNAME && meta.Key != expr.MetaKeyOIFNAME {
				continue
			}
			if c, ok := r.Exprs[i+1].(*expr.Cmp); ok && !slices.Contains(names, nameFrom(c.Data)) {
				names = append(names, nameFrom(c.Data))
			}
		}
	}
	return names, nil
}

// checkOwner refuses to take over the table of another server that is running: its interface is there.
func (n *Network) checkOwner() error {
	devices, err := n.filter.devices()
	if err != nil {
		return err
	}
	for _, name := range n.existing(devices) {
		if name != n.config.Interface {
			return fmt.Errorf("table %s is in use for interface %s, of another pns: give this one a table of its own (network.nftables_table)", n.config.Table, name)
		}
	}
	return nil
}

// repair makes again what somebody has removed: a firewall that is loaded anew may flush all tables, a network manager that is
// started anew all routes that are not its own. It returns what it has done.
func (n *Network) repair() (reports []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	if n.filter != nil {
		reports = n.repairFilter()
	}
	return append(reports, n.repairRoutes()...)
}

func (n *Network) repairFilter() []string {
	devices, err := n.filter.devices()
	if err != nil || len(devices) > 0 {
		return nil
	}
	if err := n.filter.build(n.config, n.borrowed); err != nil {
		return []string{fmt.Sprintf("nftables table %s has been removed by somebody, and cannot be made again: %v", n.config.Table, err)}
	}
	n.listed = slices.Clone(n.borrowed)
	foreign, _ := n.filter.foreignDrops(n.config.Interface)
	return append([]string{fmt.Sprintf("nftables table %s had been removed by somebody, and has been made again", n.config.Table)}, foreign...)
}

func (n *Network) repairRoutes() []string {
	there, err := n.routes()
	if err != nil {
		return nil
	}
	missing := false
	for _, r := range n.made {
		missing = missing || !containsRoute(there, r)
	}
	if !missing {
		return nil
	}
	link, err := n.handle.LinkByIndex(n.link)
	if err != nil {
		return nil // the interface has gone, which others notice
	}
	if err := n.setupAddress(link); err != nil {
		return []string{err.Error()}
	}
	for _, r := range n.made {
		if containsRoute(there, r) {
			continue
		}
		if err := n.handle.RouteAdd(&r); err != nil {
			return []string{fmt.Sprintf("route to %v has been removed by somebody, and cannot be made again: %v", r.Dst, err)}
		}
	}
	return []string{fmt.Sprintf("address or routes of interface %s had been removed by somebody, and have been made again", n.config.Interface)}
}
