package filter

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"trunkline.example/shared/conf"
)

// datagram makes an IPv4 packet; offset is of the fragment in units of eight octets.
func datagram(protocol byte, from, to string, offset uint16, payload ...byte) []byte {
	ip := make([]byte, 20, 20+len(payload))
	ip[0], ip[9] = 0x45, protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(payload)))
	binary.BigEndian.PutUint16(ip[6:], offset)
	copy(ip[12:], netip.MustParseAddr(from).AsSlice())
	copy(ip[16:], netip.MustParseAddr(to).AsSlice())
	return append(ip, payload...)
}

func ports(source, destination uint16) []byte {
	return append(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, source), destination), 0, 0, 0, 0)
}

const (
	client = "10.97.0.5"
	far    = "192.0.2.80"
)

func TestPasses(t *testing.T) {
	web := datagram(6, client, far, 0, ports(40000, 80)...)
	answer := datagram(6, far, client, 0, ports(80, 40000)...)
	intoClient := datagram(6, far, client, 0, ports(40000, 80)...)
	query := datagram(17, client, far, 0, ports(40000, 53)...)
	ping := datagram(1, client, far, 0, 8, 0, 0, 0)
	options := datagram(6, client, far, 0, append(make([]byte, 8), ports(40000, 80)...)...)
	options[0] = 0x47
	later := datagram(6, client, far, 5, ports(1, 2)...)
	for _, v := range []struct {
		rules  string // separated by ";"
		d      Direction
		packet []byte
		passes bool
	}{
		{"", In, web, true},
		{"drop", In, web, false},
		{"drop in", In, web, false},
		{"drop out", In, web, true},
		{"drop out", Out, answer, false},
		{"accept tcp port 80; drop", In, web, true},
		{"accept tcp port 80; drop", Out, answer, true},
		{"accept tcp port 80; drop", Out, intoClient, false}, // a server of the client's
		{"accept tcp client-port 80; drop", Out, intoClient, true},
		{"accept tcp port 80; drop", In, query, false},
		{"accept port 53,80; drop", In, query, true},
		{"accept 17 port 53; drop", In, query, true},
		{"drop tcp port 1-79; drop tcp port 81-65535", In, web, true},
		{"accept port 80 client-port 1-39999; drop", In, web, false},
		{"accept port 80 client-port 40000-40001; drop", In, web, true},
		{"drop host 192.0.2.0/24", In, web, false},
		{"drop host 192.0.2.0/24", Out, answer, false},
		{"drop host 192.0.2.0-192.0.2.79,192.0.2.81", In, web, true},
		{"drop host 10.97.0.5", In, web, true}, // the client is not the far end
		{"accept host 192.0.2.80; drop", In, web, true},
		{"drop icmp", In, ping, false},
		{"drop port 0-65535", In, ping, true}, // it has none
		{"accept tcp; drop", In, ping, false},
		{"drop tcp port 80", In, options, false},
		{"accept tcp port 80; drop", In, later, true},
		{"drop tcp port 80", In, later, true},
		{"accept udp port 80; drop", In, later, false},
		{"drop tcp", In, later, false},
		{"accept", In, web[:23], false}, // its ports are cut off
		{"accept", In, web[:19], false},
		{"accept", In, options[:24], false},
		{"accept", In, append([]byte{0x65}, web[1:]...), false},
		{"accept", In, append([]byte{0x44}, web[1:]...), false},
	} {
		f := parseFilter(t, v.rules)
		if got := f.Passes(v.d, v.packet); got != v.passes {
			t.Errorf("%q, direction %d: % x passes: %v", v.rules, v.d, v.packet, got)
		}
	}
	if n := testing.AllocsPerRun(10, func() { (&Filter{Rules: []Rule{{Directions: In, Protocol: 6}}}).Passes(In, web) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if (&Filter{Drop: true}).Passes(In, web) {
		t.Error("what no rule matches passes")
	}
}

func parseFilter(t testing.TB, text string) *Filter {
	t.Helper()
	f := &Filter{}
	for _, s := range strings.Split(text, ";") {
		if s == "" {
			continue
		}
		var r Rule
		if err := r.UnmarshalText([]byte(s)); err != nil {
			t.Fatal(err)
		}
		f.Rules = append(f.Rules, r)
	}
	return f
}

func TestRuleText(t *testing.T) {
	for text, want := range map[string]string{
		"accept": "accept", " drop   in  6 ": "drop in tcp", "drop 99": "drop 99", "accept out gre": "accept out gre",
		"drop tcp port 25": "drop tcp port 25", "drop udp client-port 1-2,7 port 5": "drop udp port 5 client-port 1-2,7",
		"accept host 10.0.0.0/8,192.0.2.1,192.0.2.5-192.0.2.9,192.0.2.0-192.0.2.255": "accept host 10.0.0.0/8,192.0.2.1,192.0.2.5-192.0.2.9,192.0.2.0/24",
	} {
		var r Rule
		if err := r.UnmarshalText([]byte(text)); err != nil || r.String() != want {
			t.Errorf("%q: %q, %v", text, r, err)
		}
	}
	for text, want := range map[string]string{
		"": "does not begin", "pass": "does not begin", "drop tpc": "no protocol", "drop 256": "no protocol", "drop in out": "no protocol",
		"drop tcp port": "nothing follows", "drop tcp ports 1": "none of", "drop tcp port 1 port 2": "twice", "drop tcp port 2-1": "neither a port",
		"drop tcp port 65536": "neither a port", "drop tcp port 1,": "neither a port", "drop icmp port 1": "has no ports", "drop host x": `"x"`, "drop host ::1": "not IPv4",
		"drop host 10.0.0.1/8": "10.0.0.1/8",
	} {
		r := Rule{Protocol: 7}
		if err := r.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || r.Protocol != 7 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// plain decides about one packet as the words of the rule say.
func plain(t *testing.T, r Rule, d Direction, ip []byte) (matches bool) {
	source, destination := netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
	payload := ip[int(ip[0]&15)*4:]
	host := destination
	if d == Out {
		host = source
	}
	words := strings.Fields(r.String())[1:]
	drop := strings.HasPrefix(r.String(), "drop")
	for i := 0; i < len(words); i++ {
		switch word := words[i]; word {
		case "in", "out":
			if (word == "in") != (d == In) {
				return false
			}
		case "host":
			i++
			in := false
			for _, s := range strings.Split(words[i], ",") {
				var one conf.Range
				if err := one.UnmarshalText([]byte(s)); err != nil {
					t.Fatal(err)
				}
				in = in || one.Contains(host)
			}
			if !in {
				return false
			}
		case "port", "client-port":
			i++
			switch ip[9] {
			case 6, 17, 33, 132, 136:
			default:
				return false
			}
			if (ip[6]&0x1f) != 0 || ip[7] != 0 {
				if drop {
					return false
				}
				continue
			}
			number := payload[2:]
			if (word == "port") != (d == In) {
				number = payload
			}
			if !listed(t, words[i], binary.BigEndian.Uint16(number)) {
				return false
			}
		default:
			if protocol, err := parseProtocol(word); err != nil || byte(protocol) != ip[9] {
				return false
			}
		}
	}
	return true
}

func listed(t *testing.T, list string, port uint16) bool {
	for _, s := range strings.Split(list, ",") {
		p, err := parsePorts(s)
		if err != nil {
			t.Fatal(err)
		}
		if port >= p.First && port <= p.Last {
			return true
		}
	}
	return false
}

// FuzzFilter: a rule survives being written and read, and decides as its words say, about any packet.
func FuzzFilter(f *testing.F) {
	f.Add("accept tcp port 80", true, datagram(6, client, far, 0, ports(40000, 80)...))
	f.Add("drop out udp host 192.0.2.0/24 client-port 1-1000,5000", false, datagram(17, far, client, 0, ports(53, 900)...))
	f.Add("drop in 47", true, datagram(47, client, far, 3, 1, 2))
	f.Add("accept host 0.0.0.0/0 port 0-65535", true, datagram(132, client, far, 1))
	f.Fuzz(func(t *testing.T, text string, in bool, ip []byte) {
		d := Out
		if in {
			d = In
		}
		var r, again Rule
		if r.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := again.UnmarshalText([]byte(r.String())); err != nil || !reflect.DeepEqual(r, again) {
			t.Fatalf("%q became %q: %v", text, r, err)
		}
		filter := Filter{Rules: []Rule{r}, Drop: !r.Drop}
		passes := filter.Passes(d, ip)
		if _, whole := parse(d, ip); !whole {
			if passes {
				t.Fatalf("% x passes", ip)
			}
			return
		}
		if matches := plain(t, r, d, ip); matches != (passes != r.Drop) {
			t.Errorf("%q, direction %d, % x: passes %v, but the rule matches: %v", r, d, ip, passes, matches)
		}
	})
}
