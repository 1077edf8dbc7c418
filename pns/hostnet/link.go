package hostnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// queueLength is how many packets to clients wait in the kernel while the server has no turn on the processor: those of 10 ms at
// 200,000 a second. The kernel's own 500 lose some when a thousand clients are answered at once.
const queueLength = 2048

// setupLink gives the interface MTU, address and routes, and sets it up.
func (n *Network) setupLink() ([]string, error) {
	c := n.config
	link, err := n.handle.LinkByName(c.Interface)
	if err != nil {
		return nil, err
	}
	n.link = link.Attrs().Index
	if c.MTU > 0 {
		if err := n.handle.LinkSetMTU(link, c.MTU); err != nil {
			return nil, fmt.Errorf("MTU %d: %w", c.MTU, err)
		}
	}
	if err := n.handle.LinkSetTxQLen(link, queueLength); err != nil {
		return nil, fmt.Errorf("queue of %d packets: %w", queueLength, err)
	}
	// The kernel would announce itself by IPv6 to clients that have not asked for it. It may have no IPv6 at all.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+c.Interface+"/disable_ipv6", []byte("1"), 0)
	if err := n.setupAddress(link); err != nil {
		return nil, err
	}
	if err := n.handle.LinkSetUp(link); err != nil {
		return nil, fmt.Errorf("setting it up: %w", err)
	}
	return n.setupRoutes()
}

// setupAddress puts our address on the interface.
func (n *Network) setupAddress(link netlink.Link) error {
	a := n.config.Address
	if !a.IsValid() {
		return nil
	}
	if err := n.handle.AddrReplace(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(a, a.BitLen()))}); err != nil {
		return fmt.Errorf("address %v: %w", a, err)
	}
	return nil
}

// setupRoutes routes the pool, and the networks behind sessions, into the interface. It takes no route away from anybody: one that is there already is an
// error, one that overlaps a warning.
func (n *Network) setupRoutes() (warnings []string, err error) {
	for _, p := range slices.Concat(n.config.Prefixes, n.config.Routes) {
		r := n.route(p)
		switch err := n.handle.RouteAdd(&r); {
		case errors.Is(err, unix.EEXIST):
			if !n.ours(p) {
				return nil, fmt.Errorf("%v is routed elsewhere already: choose another pool or site route, or remove that route", p)
			}
		case err != nil:
			return nil, fmt.Errorf("route to %v: %w", p, err)
		}
		n.made = append(n.made, r)
	}
	routes, err := n.routes()
	if err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	for _, r := range routes {
		to := prefixOf(r.Dst)
		if r.LinkIndex == n.link || to.Bits() == 0 || r.Type != unix.RTN_UNICAST {
			continue
		}
		if slices.ContainsFunc(n.config.Prefixes, to.Overlaps) {
			warnings = append(warnings, fmt.Sprintf("the pool overlaps with the route to %v through %s: clients with addresses from there, or the hosts behind it, cannot be reached",
				to, n.nameOf(r.LinkIndex)))
		}
	}
	return warnings, nil
}

// routes lists the main table.
func (n *Network) routes() ([]netlink.Route, error) {
	for attempt := 1; ; attempt++ {
		routes, err := n.handle.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if !errors.Is(err, netlink.ErrDumpInterrupted) || attempt == 10 { // somebody changed them meanwhile
			return routes, err
		}
	}
}

// ours tells whether a prefix is routed into the interface.
func (n *Network) ours(p netip.Prefix) bool {
	routes, err := n.routes()
	return err == nil && containsRoute(routes, n.route(p))
}

// containsRoute tells whether there is a route to the same prefix through the same interface.
func containsRoute(routes []netlink.Route, want netlink.Route) bool {
	return slices.ContainsFunc(routes, func(r netlink.Route) bool {
		return r.LinkIndex == want.LinkIndex && prefixOf(r.Dst) == prefixOf(want.Dst)
	})
}

func (n *Network) nameOf(index int) string {
	if link, err := n.handle.LinkByIndex(index); err == nil {
		return link.Attrs().Name
	}
	return fmt.Sprint("interface ", index)
}

func (n *Network) route(p netip.Prefix) netlink.Route {
	r := netlink.Route{LinkIndex: n.link, Scope: netlink.SCOPE_LINK, Dst: ipNet(p)}
	if n.config.Address.IsValid() {
		r.Src = n.config.Address.AsSlice()
	}
	return r
}

// AddRoute routes an address outside Prefixes into the interface: a fixed address of a user. Doing so twice is no error.
func (n *Network) AddRoute(a netip.Addr) error { return n.AddRouteMTU(a, 0) }

// AddRouteMTU routes an address into the interface whose client takes packets of so many octets at most; 0 means the
// interface's MTU. The address may lie in Prefixes. With ClampMSS, TCP connections to it are told so.
func (n *Network) AddRouteMTU(a netip.Addr, mtu int) error {
	r := n.route(netip.PrefixFrom(a, a.BitLen()))
	r.MTU = mtu
	if err := n.handle.RouteReplace(&r); err != nil {
		return explain(fmt.Errorf("route to %v through %s: %w", a, n.config.Interface, err))
	}
	return nil
}

// AddNetwork routes a network behind a session into the interface.
func (n *Network) AddNetwork(p netip.Prefix) error {
	r := n.route(p)
	switch err := n.handle.RouteAdd(&r); {
	case errors.Is(err, unix.EEXIST) && n.ours(p):
		return nil
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%v is routed elsewhere already", p)
	case err != nil:
		return explain(fmt.Errorf("route to %v through %s: %w", p, n.config.Interface, err))
	}
	return nil
}

// RemoveNetwork takes such a route away. If there is none that is no error.
func (n *Network) RemoveNetwork(p netip.Prefix) error {
	r := n.route(p)
	if err := n.handle.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
		return explain(fmt.Errorf("route to %v through %s: %w", p, n.config.Interface, err))
	}
	return nil
}

// RemoveRoute takes such a route away. If there is none that is no error.
func (n *Network) RemoveRoute(a netip.Addr) error {
	return n.RemoveNetwork(netip.PrefixFrom(a, a.BitLen()))
}

// removeRoutes takes routes and address away again; with the interface they have gone already.
func (n *Network) removeRoutes() error {
	link, err := n.handle.LinkByIndex(n.link)
	if err != nil || n.link == 0 {
		return nil
	}
	var errs []error
	for i := range n.made {
		if err := n.handle.RouteDel(&n.made[i]); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("removing the route to %v: %w", n.made[i].Dst, err))
		}
	}
	if n.config.Address.IsValid() {
		address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(n.config.Address, n.config.Address.BitLen()))}
		if err := n.handle.AddrDel(link, address); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("removing the address %v: %w", n.config.Address, err))
		}
	}
	return errors.Join(errs...)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// prefixOf converts a route's destination; nil is the default route.
func prefixOf(n *net.IPNet) netip.Prefix {
	if n == nil {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	a, _ := netip.AddrFromSlice(n.IP.To4())
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a, bits)
}
