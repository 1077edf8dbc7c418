package load

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

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

// Config describes a run. Zero values ask for the defaults where one is named.
type Config struct {
	Server   netip.AddrPort
	Source   netip.Prefix  // the sessions' own addresses are spread over it; zero: the one that the system chooses
	Sessions int           // 1
	AtOnce   int           // calls being set up at one time; 0 = DefaultAtOnce, or as many as there are when Rate is set
	Rate     float64       // new calls per second; 0 = as fast as AtOnce lets them
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
)

// Bounds on a Config.
const (
	MaxSessions = 1 << 20
	MaxShards   = 64
	MaxWindow   = 1024
	minSize     = ipHeader + icmpHeader + stampLength
	maxSize     = 1500
	maxRate     = 10_000_000
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
	def(&c.Users, c.Sessions)
	def(&c.Connections, 1)
	def(&c.Shards, 1)
	def(&c.Traffic.Size, DefaultSize)
	def(&c.Traffic.Window, 1)
	if c.AtOnce == 0 {
		c.AtOnce = DefaultAtOnce
		if c.Rate > 0 {
			c.AtOnce = c.Sessions
		}
	}
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	if c.Traffic.Timeout == 0 {
		c.Traffic.Timeout = DefaultTimeout
	}
	if c.Encryption != ccp.Required && len(c.Authentication) == 0 {
		c.Authentication = []auth.Protocol{auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}
	} else if len(c.Authentication) == 0 {
		c.Authentication = []auth.Protocol{auth.MSCHAPv2}
	}
	c.AtOnce = min(c.AtOnce, c.Sessions)
	c.Shards = min(c.Shards, c.AtOnce, MaxShards)
	if c.AsPAC {
		c.Shards = min(c.Shards, c.Connections)
	}
	return c, c.check()
}

func (c *Config) check() error {
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{!c.Server.Addr().Is4() || c.Server.Addr().IsUnspecified() || c.Server.Port() == 0, "the server must be an IPv4 address with a port"},
		{c.Source.IsValid() && !c.Source.Addr().Is4(), "the source addresses must be IPv4"},
		{c.Sessions < 1 || c.Sessions > MaxSessions, fmt.Sprintf("1 to %d sessions", MaxSessions)},
		{c.AtOnce < 1, "at least one call at once"},
		{c.Rate < 0 || c.Traffic.Rate < 0, "a rate cannot be negative"},
		{c.Limit < 0 || c.Duration < 0 || c.Traffic.Interval < 0 || c.Traffic.Timeout < 0, "a time cannot be negative"},
		{c.Users < 1, "at least one user"},
		{c.Connections < 1 || c.Connections > c.Sessions, "as many connections as sessions at most"},
		{c.Shards < 1, "at least one thread"},
		{c.Traffic.Size < minSize || c.Traffic.Size > maxSize, fmt.Sprintf("packets of %d to %d octets", minSize, maxSize)},
		{c.Traffic.Window < 1 || c.Traffic.Window > MaxWindow, fmt.Sprintf("a window of 1 to %d", MaxWindow)},
		{c.Traffic.Target.IsValid() && !c.Traffic.Target.Is4(), "the target must be an IPv4 address"},
		{c.Traffic.Shape > Both, c.Traffic.Shape.String()},
		{c.Traffic.Shape >= Up && (!c.Traffic.Responder.Addr().Is4() || c.Traffic.Responder.Port() == 0), "UDP traffic needs the IPv4 address and port of a responder"},
		{c.Traffic.Rate > maxRate || c.Traffic.Rate > 0 && c.Traffic.Rate < 1, fmt.Sprintf("1 to %d datagrams a second", int(maxRate))},
		{c.Source.IsValid() && c.Source.Bits() == 32 && c.Source.Addr() == c.Server.Addr(), "the source must not be the server's address"},
	} {
		if rule.broken {
			return fmt.Errorf("%w: %s", ErrConfig, rule.text)
		}
	}
	return nil
}

// user is the name of session n.
func (c *Config) user(n int) string {
	return strings.ReplaceAll(c.User, "%d", strconv.Itoa(n%c.Users))
}

// source is the address of control connection n; the zero address is the system's choice. Network and broadcast
// addresses are left out.
func (c *Config) source(n int) netip.Addr {
	if !c.Source.IsValid() {
		return netip.Addr{}
	}
	hosts, first := 1<<(32-c.Source.Bits()), 0
	if hosts > 2 {
		hosts, first = hosts-2, 1
	}
	base := c.Source.Masked().Addr().As4()
	at := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	at += uint32(first + n%hosts)
	return netip.AddrFrom4([4]byte{byte(at >> 24), byte(at >> 16), byte(at >> 8), byte(at)})
}
