package hostnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
)

// sysctlDir has a directory for each interface. It is kept open: what is looked up below it belongs to the network
// namespace of the thread that opened it.
const sysctlDir = "/proc/sys/net/ipv4/conf"

// setupForwarding switches forwarding on for the TUN interface and for the uplinks: the kernel forwards a packet if the
// interface that it came in by says so.
func (n *Network) setupForwarding() (warnings []string) {
	if err := n.setFlag(n.config.Interface, "forwarding", true); err != nil {
		warnings = append(warnings, fmt.Sprintf("clients' packets will not be forwarded: %v", err))
	}
	// Clients that reach each other through the server shall not be told to do so directly.
	_ = n.setFlag(n.config.Interface, "send_redirects", false)
	return append(warnings, n.refresh()...)
}

// Refresh makes again what somebody else has removed, which it reports. It switches forwarding on for uplinks that have come since,
// and forgets about giving it back when somebody has made the whole host forward. A Network does it by itself from time to time.
func (n *Network) Refresh() {
	for _, text := range n.repair() {
		if n.config.Report != nil {
			n.config.Report(text)
		}
	}
	if n.config.Forwarding {
		n.refresh()
	}
}

func (n *Network) refresh() (warnings []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	if n.wholeHost() {
		n.borrowed = nil
	} else {
		n.borrowed = n.existing(n.borrowed)
		uplinks, err := n.uplinks()
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("looking for uplinks: %v", err))
		}
		for _, name := range uplinks {
			borrowed, err := n.borrow(name)
			if err != nil {
				warnings = append(warnings, fmt.Sprintf("packets to clients that come in by %s will not be forwarded: %v", name, err))
			}
			if borrowed {
				n.borrowed = append(n.borrowed, name)
			}
		}
		slices.Sort(n.borrowed)
	}
	if err := n.list(n.borrowed); err != nil {
		warnings = append(warnings, fmt.Sprintf("nftables: %v", err))
	}
	return warnings
}

// list makes names the members of the filter's set of uplinks.
func (n *Network) list(names []string) error {
	if n.filter == nil || slices.Equal(n.listed, names) {
		return nil
	}
	err := n.filter.setUplinks(names)
	if err == nil {
		n.listed = slices.Clone(names)
	}
	return err
}

// borrow switches forwarding on for an uplink where it is off. The filter learns of the name first: a crash in between
// must not leave forwarding on that nobody knows to switch off.
func (n *Network) borrow(name string) (bool, error) {
	on, err := n.flag(name, "forwarding")
	if err != nil || on {
		return false, err
	}
	if err := n.list(append(slices.Clone(n.borrowed), name)); err != nil {
		return false, err
	}
	if err := n.setFlag(name, "forwarding", true); err != nil {
		return false, err
	}
	return true, nil
}

// wholeHost tells whether somebody has switched forwarding on for all interfaces, those to come included.
func (n *Network) wholeHost() bool {
	on, err := n.flag("all", "forwarding")
	return err == nil && on
}

// uplinks lists the interfaces that forwarded packets may come in by.
func (n *Network) uplinks() ([]string, error) {
	if len(n.config.Uplinks) > 0 {
		return n.existing(n.config.Uplinks), nil
	}
	links, err := n.handle.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	var names []string
	for _, link := range links {
		a := link.Attrs()
		if a.Index == n.link || a.Flags&net.FlagLoopback != 0 || a.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := n.handle.AddrList(link, netlink.FAMILY_V4)
		if err == nil && len(addresses) > 0 {
			names = append(names, a.Name)
		}
	}
	return names, nil
}

// existing keeps the names of interfaces that are there.
func (n *Network) existing(names []string) []string {
	var kept []string
	for _, name := range names {
		if _, err := n.sysctl.Stat(name); err == nil && !slices.Contains(kept, name) {
			kept = append(kept, name)
		}
	}
	slices.Sort(kept)
	return kept
}

// returnForwarding switches forwarding off where it was switched on here, unless the whole host forwards by now.
func (n *Network) returnForwarding() error {
	if n.wholeHost() {
		return nil
	}
	var errs []error
	for _, name := range n.borrowed {
		if err := n.setFlag(name, "forwarding", false); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	n.borrowed = nil
	return errors.Join(errs...)
}

func (n *Network) flag(name, key string) (bool, error) {
	f, err := n.sysctl.Open(name + "/" + key)
	if err != nil {
		return false, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 16))
	return !bytes.Equal(bytes.TrimSpace(b), []byte("0")), err
}

// setFlag writes a flag unless it has that value already, so that a read-only /proc/sys does no harm then.
func (n *Network) setFlag(name, key string, on bool) error {
	if is, err := n.flag(name, key); err != nil || is == on {
		return err
	}
	f, err := n.sysctl.OpenFile(name+"/"+key, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("%s/%s/%s cannot be written: %w", sysctlDir, name, key, err)
	}
	value := "0"
	if on {
		value = "1"
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
