package aaa

import (
	"fmt"
	"strings"

	"trunkline.example/shared/ppp/auth"
)

// protocolNames are the names in configuration files of the protocols that users can log in with.
var protocolNames = []struct {
	protocol auth.Protocol
	name     string
}{{auth.MSCHAPv2, "ms-chapv2"}, {auth.CHAPMD5, "chap-md5"}, {auth.PAP, "pap"}}

// Protocol is an authentication protocol as configuration files name it: "ms-chapv2", "chap-md5" or "pap". Case and
// hyphens do not matter.
type Protocol struct{ auth.Protocol }

// UnmarshalText parses the name.
func (p *Protocol) UnmarshalText(text []byte) error {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "") }
	var names []string
	for _, known := range protocolNames {
		if plain(known.name) == plain(string(text)) {
			p.Protocol = known.protocol
			return nil
		}
		names = append(names, fmt.Sprintf("%q", known.name))
	}
	for _, unsupported := range []auth.Protocol{auth.MSCHAPv1, auth.EAP} {
		if plain(unsupported.String()) == plain(string(text)) {
			return fmt.Errorf("%v is not supported: choose among %s", unsupported, strings.Join(names, ", "))
		}
	}
	return fmt.Errorf("%q is no authentication protocol: choose among %s", text, strings.Join(names, ", "))
}

// MarshalText gives the name.
func (p Protocol) MarshalText() ([]byte, error) {
	for _, known := range protocolNames {
		if known.protocol == p.Protocol {
			return []byte(known.name), nil
		}
	}
	return nil, fmt.Errorf("%v has no name in configuration files", p.Protocol)
}
