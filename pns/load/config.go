package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
)

// Shape is what the sessions do once they are up.
type Shape uint8

// The shapes.
const (
	Idle Shape = iota // nothing
	Echo              // ICMP echo requests, each answered one followed by the next
	Up                // UDP datagrams to a Responder
	Down              // UDP datagrams from a Responder
	Both              // both at once
)

var shapeNames = [...]string{"idle", "echo", "up", "down", "both"}

// String is the shape's name.
func (s Shape) String() string {
	if int(s) < len(shapeNames) {
		return shapeNames[s]
	}
	return fmt.Sprintf("shape %d", uint8(s))
}

// ParseShape reads a name.
func ParseShape(name string) (Shape, error) {
	for i, n := range shapeNames {
		if n == name {
			return Shape(i), nil
		}
	}
	return 0, fmt.Errorf("%q is none of %s", name, strings.Join(shapeNames[:], ", "))
}

// Traffic describes what each session carries.
type Traffic struct {
	Shape     Shape
	Size      int            // octets of an IP packet inside the tunnel; 0 = DefaultSize. What a session's MTU does not admit is shortened
	Window    int            // Echo: requests without reply at one time; 0 = 1
	Interval  time.Duration  // Echo: between two requests of a session; 0 = as soon as a reply comes back
	Timeout   time.Duration  // Echo: a request without a reply for so long is lost; 0 = DefaultTimeout
	Target    netip.Addr     // Echo: who is asked; invalid = the server's end of the link
	Rate      float64        // Up, Down, Both: datagrams per second, session and direction; 0 = as many as go
	Responder netip.AddrPort // Up, Down, Both
}

// Flood is other traffic before that which is measured: whether the sessions survive it and are themselves again soon. The zero value is none.
type Flood struct {
	Traffic  Traffic
	Duration time.Duration
	Rest     time.Duration // from its end until the traffic begins, at least; 0 = DefaultRest
}

// Config describes a run. Zero values ask for the defaults where one is named.
type Config struct {
	Server   netip.AddrPort
	Source   netip.Prefix // the sessions' own addresses are spread over it; zero: the one that the system chooses
	Sessions int          // 1
	AtOnce   int          // calls being set up at one time; 0 = DefaultAtOnce, or as many as there are when Rate is set
	Rate     float64      // new calls per second; 0 = as fast as AtOnce lets them
	Flood    Flood
	Churn    Churn
	Limit    time.Duration // until a call is up; 0 = DefaultLimit
	Duration time.Duration // of the traffic, from when the last call is up

	User           string // with "%d" for the number of the user
	Users          int    // how many there are; 0 = as many as sessions
	Password       auth.Secret
	Authentication []auth.Protocol
	Encryption     ccp.Policy

	AsPAC       bool // offer Incoming-Calls
	Connections int  // AsPAC: control connections; 1
	Traffic     Traffic
	Shards      int // event loops
}

// Defaults of Config.
const (
	DefaultAtOnce  = 16
	DefaultLimit   = 30 * time.Second // until a call is up
	DefaultSize    = 1400
	DefaultTimeout = 2 * time.Second
	DefaultRest    = time.Second
)

// Bounds on a Config.
const (
	MaxSessions = 1 << 20
	MaxShards   = 64
	MaxWindow   = 1024
	minSize     = ipHeader + icmpHeader + stampLength
	maxSize     = 1500
)

// ErrConfig: a run that cannot be made.
var ErrConfig = errors.New("unusable load")

// filled checks the configuration and puts defaults in.
func (c Config) filled() (Config, error) {
	c.Server = netip.AddrPortFrom(c.Server.Addr().Unmap(), c.Server.Port())
	def := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	def(&c.Sessions, 1)
	most := c.Sessions + c.Churn.slots()
	def(&c.Users, most)
	def(&c.Connections, 1)
	def(&c.Shards, 1)
	for _, t := range []*Traffic{&c.Traffic, &c.Flood.Traffic} {
		def(&t.Size, DefaultSize)
		def(&t.Window, 1)
		if t.Timeout == 0 {
			t.Timeout = DefaultTimeout
		}
	}
	if c.Flood.Rest == 0 {
		c.Flood.Rest = DefaultRest
	}
	if c.AtOnce == 0 {
		c.AtOnce = DefaultAtOnce
		if c.Rate > 0 {
			c.AtOnce = most
		}
	}
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	if c.Encryption != ccp.Required && len(c.Authentication) == 0 {
		c.Authentication = []auth.Protocol{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}
	} else if len(c.Authentication) == 0 {
		c.Authentication = []auth.Protocol{auth.MSCHAPv2}
	}
	c.AtOnce = min(c.AtOnce, most)
	c.Shards = min(c.Shards, c.AtOnce, MaxShards)
	if c.AsPAC {
		c.Shards = min(c.Shards, c.Connections)
	}
	return c, c.check()
}

// rule is something that must not be, and what is told then.
type rule struct {
	broken bool
	text   string
}

// broken is the first rule that is broken, as an ErrConfig.
func broken(rules []rule) error {
	for _, r := range rules {
		if r.broken {
			return fmt.Errorf("%w: %s", ErrConfig, r.text)
		}
	}
	return nil
}

func (c *Config) check() error {
	return errors.Join(c.Traffic.check(), c.Flood.Traffic.check(), broken([]rule{
		{conf.CheckHost(c.Server.Addr()) != nil || c.Server.Port() == 0, "the server must be the IP address of a host, with the interface if it is a link-local one, and a port"},
		{c.Source.IsValid() && c.Source.Addr().Is4() != c.Server.Addr().Is4(), "the source addresses must be of the server's version of IP"},
		{c.Sessions < 1 || c.Sessions > MaxSessions, fmt.Sprintf("1 to %d sessions", MaxSessions)},
		{c.AtOnce < 1, "at least one call at once"},
		{measure.BadRate(c.Rate, measure.LeastRate), measure.RateText("calls", measure.LeastRate)},
		{measure.BadRate(c.Churn.Rate, measure.LeastRate) || c.Churn.Rate > 0 && c.Churn.Life <= 0, "calls that come and go need a rate and a life"},
		{c.Churn.Rate > 0 && c.Duration == 0, "calls come and go for as long as there is traffic: a duration is needed"},
		{c.Churn.Cut < 0 || c.Churn.Cut > 1, "a share is from 0 to 1"},
		{c.Sessions+c.Churn.slots() > MaxSessions, fmt.Sprintf("at most %d sessions, those that come and go included", MaxSessions)},
		{c.Limit < 0 || c.Duration < 0 || c.Flood.Duration < 0 || c.Flood.Rest < 0, "a time cannot be negative"},
		{c.Users < 1, "at least one user"},
		{c.Connections < 1 || c.Connections > c.Sessions, "as many connections as sessions at most"},
		{c.Shards < 1, "at least one thread"},
		{c.Source.IsSingleIP() && c.Source.Addr() == c.Server.Addr(), "the source must not be the server's address"},
	}))
}

func (t *Traffic) check() error {
	return broken([]rule{
		{t.Interval < 0 || t.Timeout < 0, "a time cannot be negative"},
		{t.Size < minSize || t.Size > maxSize, fmt.Sprintf("packets of %d to %d octets", minSize, maxSize)},
		{t.Window < 1 || t.Window > MaxWindow, fmt.Sprintf("a window of 1 to %d", MaxWindow)},
		{t.Target.IsValid() && !t.Target.Is4(), "the target must be an IPv4 address"},
		{t.Shape > Both, t.Shape.String()},
		{t.Shape >= Up && (!t.Responder.Addr().Is4() || t.Responder.Port() == 0), "UDP traffic needs the IPv4 address and port of a responder"},
		{measure.BadRate(t.Rate, 1), measure.RateText("datagrams", 1)},
	})
}

// user is the name of session n.
func (c *Config) user(n int) string {
	return strings.ReplaceAll(c.User, "%d", strconv.Itoa(n%c.Users))
}

// source is the address of control connection n; the zero address is the system's choice.
func (c *Config) source(n int) netip.Addr {
	switch {
	case !c.Source.IsValid():
		return netip.Addr{}
	case c.Source.Addr().Is4():
		return c.source4(n)
	}
	a := c.source6(n)
	if a.IsLinkLocalUnicast() {
		a = a.WithZone(c.Server.Addr().Zone())
	}
	return a
}

// source4 spreads over the hosts of a network, without its own address and the broadcast address.
func (c *Config) source4(n int) netip.Addr {
	hosts, first := 1<<(32-c.Source.Bits()), 0
	if hosts > 2 {
		hosts, first = hosts-2, 1
	}
	at := c.Source.Masked().Addr().As4()
	binary.BigEndian.PutUint32(at[:], binary.BigEndian.Uint32(at[:])+uint32(first+n%hosts))
	return netip.AddrFrom4(at)
}

// source6 spreads over the /64 networks first, each of which a server may take for one host, and over the hosts in them.
func (c *Config) source6(n int) netip.Addr {
	const half = 64
	bits, at := c.Source.Bits(), c.Source.Masked().Addr().As16()
	if bits == 2*half {
		return c.Source.Addr()
	}
	host := uint64(n)
	if bits < half {
		networks := uint64(1) << min(half-bits, half-1)
		network := binary.BigEndian.Uint64(at[:]) + host%networks
		binary.BigEndian.PutUint64(at[:], network)
		host /= networks
	} else if room := uint64(1) << min(2*half-bits, half-1); room > 1 {
		host %= room - 1 // the first address is the routers'
	}
	binary.BigEndian.PutUint64(at[half/8:], binary.BigEndian.Uint64(at[half/8:])+host+1)
	return netip.AddrFrom16(at)
}
