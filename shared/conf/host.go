package conf

import (
	"fmt"
	"net/netip"
	"strconv"
)

// CheckHost says why packets cannot go to or come from an address that is to be that of one host, or returns nil.
func CheckHost(a netip.Addr) error {
	zone := a.Zone()
	_, numbered := strconv.ParseUint(zone, 10, 32)
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%v is not the address of a host", a)
	case a.Is6() && a.IsLinkLocalUnicast() && (zone == "" || numbered == nil):
		return fmt.Errorf("%v is an address on one link: the name of the interface is missing, as in \"%v%%eth0\"", a, a.WithZone(""))
	case zone != "" && !a.IsLinkLocalUnicast():
		return fmt.Errorf("%v is not an address on one link: it takes no interface", a)
	}
	return nil
}
