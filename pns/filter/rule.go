package filter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"trunkline.example/shared/conf"
)

// A rule is written as
//
//	accept|drop [in|out] [PROTOCOL] [host ADDRESS,...] [port PORT,...] [client-port PORT,...]
//
// with addresses as in conf.Range, ports or ranges of them ("8000-8080"), and the protocol by name or number.

var protocolNames = []struct {
	name   string
	number uint16
}{
	{"icmp", 1}, {"igmp", 2}, {"ipip", 4}, {"tcp", 6}, {"udp", 17}, {"gre", 47}, {"esp", 50}, {"ah", 51}, {"sctp", 132},
}

// UnmarshalText parses a rule.
func (r *Rule) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	out := Rule{Directions: In | Out, Protocol: AnyProtocol}
	if len(words) == 0 || words[0] != "accept" && words[0] != "drop" {
		return fmt.Errorf("%q does not begin with \"accept\" or \"drop\"", text)
	}
	out.Drop = words[0] == "drop"
	words = words[1:]
	if len(words) > 0 && (words[0] == "in" || words[0] == "out") {
		out.Directions = In
		if words[0] == "out" {
			out.Directions = Out
		}
		words = words[1:]
	}
	if len(words) > 0 && !isCondition(words[0]) {
		protocol, err := parseProtocol(words[0])
		if err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		out.Protocol = protocol
		words = words[1:]
	}
	if err := out.conditions(words); err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	*r = out
	return nil
}

const (
	wordHost       = "host"
	wordPort       = "port"
	wordClientPort = "client-port"
)

func isCondition(word string) bool {
	return word == wordHost || word == wordPort || word == wordClientPort
}

// conditions takes pairs of a word and a list.
func (r *Rule) conditions(words []string) (err error) {
	seen := map[string]bool{}
	for len(words) > 0 {
		word := words[0]
		switch {
		case !isCondition(word):
			return fmt.Errorf("%q is none of \"host\", \"port\", \"client-port\"", word)
		case seen[word]:
			return fmt.Errorf("%q stands twice", word)
		case len(words) == 1:
			return fmt.Errorf("nothing follows %q", word)
		}
		seen[word] = true
		list := strings.Split(words[1], ",")
		switch word {
		case wordHost:
			r.Hosts, err = parseList(list, parseHosts)
		case wordPort:
			r.Ports, err = parseList(list, parsePorts)
		default:
			r.ClientPorts, err = parseList(list, parsePorts)
		}
		if err != nil {
			return err
		}
		words = words[2:]
	}
	if (r.Ports != nil || r.ClientPorts != nil) && r.Protocol != AnyProtocol && !hasPorts(r.Protocol) {
		return errors.New("the protocol has no ports")
	}
	return nil
}

func parseList[T any](list []string, parse func(string) (T, error)) (all []T, err error) {
	for _, s := range list {
		one, err := parse(s)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func parseProtocol(word string) (uint16, error) {
	for _, p := range protocolNames {
		if p.name == word {
			return p.number, nil
		}
	}
	n, err := strconv.ParseUint(word, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("%q is no protocol: \"tcp\", \"udp\", \"icmp\", ... or a number up to 255", word)
	}
	return uint16(n), nil
}

func parseHosts(s string) (Hosts, error) {
	var r conf.Range
	if err := r.UnmarshalText([]byte(s)); err != nil {
		return Hosts{}, err
	}
	if !r.First.Is4() {
		return Hosts{}, fmt.Errorf("%v is not IPv4", r)
	}
	first, last := r.First.As4(), r.Last.As4()
	return Hosts{binary.BigEndian.Uint32(first[:]), binary.BigEndian.Uint32(last[:])}, nil
}

func parsePorts(s string) (Ports, error) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || first > last {
		return Ports{}, fmt.Errorf("%q is neither a port nor a range of ports", s)
	}
	return Ports{uint16(first), uint16(last)}, nil
}

// MarshalText is String.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String renders the rule as it could have been written.
func (r Rule) String() string {
	words := []string{"accept"}
	if r.Drop {
		words[0] = "drop"
	}
	switch r.Directions {
	case In:
		words = append(words, "in")
	case Out:
		words = append(words, "out")
	}
	if r.Protocol != AnyProtocol {
		words = append(words, protocolText(r.Protocol))
	}
	if r.Hosts != nil {
		words = append(words, wordHost, join(r.Hosts))
	}
	if r.Ports != nil {
		words = append(words, wordPort, join(r.Ports))
	}
	if r.ClientPorts != nil {
		words = append(words, wordClientPort, join(r.ClientPorts))
	}
	return strings.Join(words, " ")
}

func join[T fmt.Stringer](list []T) string {
	var all []string
	for _, one := range list {
		all = append(all, one.String())
	}
	return strings.Join(all, ",")
}

func protocolText(number uint16) string {
	for _, p := range protocolNames {
		if p.number == number {
			return p.name
		}
	}
	return strconv.Itoa(int(number))
}

// String renders the range as it could have been written, as a prefix if it is one.
func (h Hosts) String() string {
	address := func(a uint32) netip.Addr { return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a))) }
	return conf.Range{First: address(h.First), Last: address(h.Last), FromPrefix: h.First != h.Last}.String()
}

// String renders the range as it could have been written.
func (p Ports) String() string {
	if p.First == p.Last {
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}
