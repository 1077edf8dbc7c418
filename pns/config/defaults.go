package config

import (
	"net/netip"
	"os"
	"time"

	"trunkline.example/pns/aaa"
	"trunkline.example/pns/addrpool"
	"trunkline.example/pns/hostnet"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/conf/tables"
	"trunkline.example/shared/ppp/auth"
)

// DefaultMTU of the TUN interface and of clients, in octets. The tunnel adds an IP header of 20 octets (IPv6: 40), the
// enhanced GRE header with sequence and acknowledgement 16 (RFC 2637 section 4.1), address, control and protocol field 4, MPPE
// count and inner protocol 4 (RFC 3078 section 3), so that an Ethernet path would allow 1500 - 44 = 1456 (1436); 1400 leaves room for a client's own PPPoE, tunnel or mobile network, and is what Windows uses.
const DefaultMTU = 1400

// defaultBurst is about what a TCP connection over a long path has on its way.
const defaultBurst = 200 * time.Millisecond

// smallestMTU is the least that a policy may name: slow dial-in lines once used 296.
const smallestMTU = 128

// defaults is the file that stands for no file. The pool is one that neither home routers nor container networks tend to
// use. Waiting times that RFC 2637 names are its own (sections 3.1.4 and 3.2); those of PPP are those of RFC 1661 section
// 4.6.
func defaults() raw {
	return raw{
		Name: hostName(),
		Policy: &rawPolicy{
			Authentication: []aaa.Protocol{{Protocol: auth.MSCHAPv2}}, Encryption: EncryptionRequired,
			RateBurst: conf.Duration{Duration: defaultBurst},
		},
		Pool: rawPool{
			Ranges: []conf.Range{mustRange("10.97.0.0/16")},
			Server: conf.Addr{Addr: netip.MustParseAddr("10.97.0.1")},
			Rest:   conf.Duration{Duration: addrpool.DefaultRest},
		},
		Users: rawUsers{
			File: "/etc/trunkline/users.toml", WhenExceeded: whenRefuse, Timeout: seconds(10),
			Ban: rawBan{Failures: 20, Window: seconds(600), Time: seconds(600)},
		},
		Limits: rawLimits{
			Connections: 16384, ConnectionsPerSource: 256, HalfOpen: 2048, HalfOpenPerSource: 64,
			Sessions: 16384, CallsPerConnection: 1024, MessagesPerSecond: 100, MessagesBurst: 1000, MessagesPerSecondPerSource: 1000,
		},
		Timers: rawTimers{
			Establish: seconds(60), Echo: seconds(60), EchoReply: seconds(60), Reply: seconds(60), Call: seconds(120),
			Probe: seconds(10), Message: seconds(30), Restart: seconds(3), Authentication: seconds(30), Encryption: seconds(15),
			LCPEcho: seconds(30), LCPEchoFailures: 4, Shutdown: seconds(5),
		},
		Network: rawNetwork{
			Interface: "trunk0", MTU: DefaultMTU, Offload: true, Forwarding: true, Isolation: true, ClampMSS: true,
			Table: hostnet.DefaultTable,
		},
		Admin: tables.DefaultAdmin("pns"), Records: tables.DefaultRecords("pns"), Log: tables.DefaultLog(),
	}
}

// defaultAddress is that of the listener when none is configured: the port that IANA gave PPTP.
var defaultAddress = netip.AddrPortFrom(netip.IPv4Unspecified(), 1723)

// What happens to a login beyond the sessions a user may have.
const (
	whenRefuse  = "refuse"
	whenReplace = "replace"
)

// What becomes of packets that no rule of a filter matches.
const (
	otherwiseDrop   = "drop"
	otherwiseAccept = "accept"
)

func seconds(n int) conf.Duration { return conf.Duration{Duration: time.Duration(n) * time.Second} }

func mustRange(s string) (r conf.Range) {
	if err := r.UnmarshalText([]byte(s)); err != nil {
		panic(err)
	}
	return r
}

func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "pns"
}
