// Package hostnet sets up what the host's kernel must know of the TUN interface: address, MTU, routes, forwarding, and
// a private nftables table for the isolation of clients, masquerading and the TCP MSS. It takes over what a crashed
// predecessor left behind, and removes at the end what it made.
//
// It never touches what belongs to others. Forwarding is switched on per interface, and off again only where it was
// switched on here; a table of somebody else that drops forwarded packets is reported, not changed. Linux, IPv4.
package hostnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultTable is the name of the nftables table, of family inet.
const DefaultTable = "trunkline"

// RefreshInterval is how often a Network looks for uplinks that have come, and for somebody who makes the whole host
// forward.
const RefreshInterval = 5 * time.Second

// Config is what the host shall do for one TUN interface.
type Config struct {
	Interface  string         // name of the TUN interface, which must exist
	MTU        int            // of the interface, in octets; 0 leaves it alone
	Address    netip.Addr     // our end of every session's link: put on the interface as /32
	Prefixes   []netip.Prefix // routed into the interface: the pool
	Routes     []netip.Prefix // routed into the interface as well: networks behind a session
	Forwarding bool           // forward between the interface and the uplinks
	Uplinks    []string       // interfaces that lead to the rest of the network; none means all that have an IPv4 address
	Isolation  bool           // clients cannot reach each other
	Masquerade bool           // packets from Prefixes leave by other interfaces with this host's address
	ClampMSS   bool           // TCP connections through the interface are told segments that fit the path's MTU
	Table      string         // name of our nftables table; empty means DefaultTable

	Report func(text string) // is told what Refresh has had to put right; may be nil
}

// Network is the host's network as set up for one interface. Safe for concurrent use.
type Network struct {
	config  Config
	link    int // index of the interface
	handle  *netlink.Handle
	sysctl  *os.Root
	filter  *filter
	stop    chan struct{}
	stopped chan struct{}

	mu       sync.Mutex
	made     []netlink.Route // routes made by Setup
	borrowed []string        // uplinks whose forwarding was switched on here, sorted
	listed   []string        // what the filter knows of borrowed
	closed   bool
}

// Setup does what the Config says, after removing what a predecessor may have left. Warnings are texts for the
// operator: what somebody else's firewall, or a host that lacks a feature, will do to the clients' packets. On an error
// nothing of its own is left behind. Without the rights the error wraps ErrNotPermitted.
func Setup(c Config) (n *Network, warnings []string, err error) {
	if c.Table == "" {
		c.Table = DefaultTable
	}
	if err := checkCapability(); err != nil {
		return nil, nil, err
	}
	n = &Network{config: c, stop: make(chan struct{}), stopped: make(chan struct{})}
	defer func() {
		if err != nil {
			close(n.stopped) // the goroutine was not started
			err = errors.Join(explain(err), n.Close())
			n = nil
		}
	}()
	if n.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return n, nil, fmt.Errorf("netlink: %w", err)
	}
	if n.sysctl, err = os.OpenRoot(sysctlDir); err != nil {
		return n, nil, err
	}
	if warnings, err = n.setupLink(); err != nil {
		return n, nil, fmt.Errorf("interface %s: %w", c.Interface, err)
	}
	more, err := n.setupFilter()
	warnings = append(warnings, more...)
	if err != nil {
		return n, nil, fmt.Errorf("nftables: %w", err)
	}
	if c.Forwarding {
		warnings = append(warnings, n.setupForwarding()...)
	}
	go n.run()
	return n, warnings, nil
}

// setupFilter builds the table. It comes before forwarding is switched on, so that no packet passes unfiltered.
func (n *Network) setupFilter() ([]string, error) {
	n.filter = newFilter(n.config.Table)
	left, err := n.filter.uplinks()
	if err != nil {
		if n.config.Isolation || n.config.Masquerade {
			return nil, fmt.Errorf("%w (isolation and masquerading need it)", err)
		}
		n.filter = nil
		return []string{fmt.Sprintf("no nftables: %v", err)}, nil
	}
	if err := n.checkOwner(); err != nil {
		n.filter.leave()
		n.filter = nil
		return nil, err
	}
	// Where a predecessor that crashed had switched forwarding on, it is still on, and ours to switch off.
	n.borrowed = n.existing(left)
	n.listed = n.borrowed
	var warnings []string
	err = n.filter.build(n.config, n.borrowed)
	if err != nil && n.config.ClampMSS && unsupported(err) {
		without := n.config
		without.ClampMSS = false
		if n.filter.build(without, n.borrowed) == nil {
			n.config.ClampMSS, err = false, nil
			warnings = append(warnings, "this kernel's nftables cannot change the TCP MSS: connections of clients depend on path-MTU discovery")
		}
	}
	if err != nil {
		return nil, err
	}
	foreign, err := n.filter.foreignDrops(n.config.Interface)
	return append(warnings, foreign...), err
}

// run looks after what changes on the host until Close.
func (n *Network) run() {
	defer close(n.stopped)
	ticker := time.NewTicker(RefreshInterval)
	defer ticker.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-ticker.C:
			n.Refresh()
		}
	}
}

// Uplinks lists the interfaces whose forwarding was switched on here.
func (n *Network) Uplinks() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.borrowed)
}

// Close removes the nftables table, the routes and the address, and switches forwarding off again where Setup switched
// it on, unless the whole host forwards by now. The interface itself stays; if it has gone, that is no error.
func (n *Network) Close() error {
	n.mu.Lock()
	again := n.closed
	n.closed = true
	n.mu.Unlock()
	if again {
		return nil
	}
	close(n.stop)
	<-n.stopped
	var errs []error
	if n.sysctl != nil {
		errs = append(errs, n.returnForwarding(), n.sysctl.Close())
	}
	if n.filter != nil {
		errs = append(errs, n.filter.remove())
	}
	if n.handle != nil {
		errs = append(errs, n.removeRoutes())
		n.handle.Close()
	}
	return errors.Join(errs...)
}
