package hostnet

import (
	"fmt"

	"github.com/google/nftables"
)

// foreignDrops describes the chains of others that drop forwarded packets unless one of their rules accepts them. Our
// own table cannot overrule them: a packet must pass every chain.
func (f *filter) foreignDrops(device string) ([]string, error) {
	if err := f.begin(); err != nil {
		return nil, err
	}
	chains, err := f.conn.ListChains()
	if err != nil {
		return nil, err
	}
	var warnings []string
	for _, c := range chains {
		ours := c.Table.Family == nftables.TableFamilyINet && c.Table.Name == f.name
		if ours || c.Type != nftables.ChainTypeFilter || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward ||
			c.Policy == nil || *c.Policy != nftables.ChainPolicyDrop {
			continue
		}
		family := map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyINet: "inet"}[c.Table.Family]
		if family == "" {
			continue // it does not see IPv4
		}
		warnings = append(warnings, fmt.Sprintf("the firewall's chain %q in table %q drops forwarded packets by policy; unless its rules accept those of clients, add:"+
			" nft insert rule %s %s %s iifname %q accept; nft insert rule %s %s %s oifname %q ct state established,related accept",
			c.Name, family+" "+c.Table.Name, family, c.Table.Name, c.Name, device, family, c.Table.Name, c.Name, device))
	}
	return warnings, nil
}
