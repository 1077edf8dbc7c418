// Package load makes dial-in calls on many lines at once, and traffic in them, and measures: the sibling of pns/load on the telephone's side. Each
// line has a goroutine that makes its calls, one after the other, with the built-in client (pac/caller).
package load

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"trunkline.example/shared/line"
	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

// Config describes a run. Zero values ask for the defaults where one is named.
type Config struct {
	Number   string        // whom to call
	Lines    []line.Line   // that calls are made on at the same time; their events and data are the run's until it returns
	Calls    int           // one after the other on each line; 0 = 1
	AtOnce   int           // calls being set up at one time; 0 = as many as there are lines
	Rate     float64       // new calls per second; 0 = as fast as AtOnce lets them
	Limit    time.Duration // until a call is up; 0 = DefaultLimit
	Duration time.Duration // of the traffic, from when the last call is up; not with several calls
	Hold     time.Duration // of each call with its traffic, from when it is up; not with Duration

	Link    link.Config // user, with "%d" for the number of the user, secret, what is allowed
	Users   int         // how many there are; 0 = as many as lines
	Traffic *peer.Probe // the echo requests of each call, without end; nil: nothing is sent
	Sizes   []int       // octets of payload of Traffic, dealt to the lines in turn
	Seed    uint64      // of what the callers choose at random
}

// DefaultLimit is how long a call may take to be up.
const DefaultLimit = 2 * time.Minute

// ErrConfig: a run that cannot be made.
var ErrConfig = errors.New("unusable load")

// filled checks the configuration and puts defaults in.
func (c Config) filled() (Config, error) {
	if c.Calls == 0 {
		c.Calls = 1
	}
	if c.AtOnce == 0 || c.AtOnce > len(c.Lines) {
		c.AtOnce = len(c.Lines)
	}
	if c.Users == 0 {
		c.Users = len(c.Lines)
	}
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	if c.Traffic != nil && len(c.Sizes) == 0 {
		c.Sizes = []int{c.Traffic.Size}
	}
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{len(c.Lines) == 0, "at least one line"},
		{c.Calls < 1, "at least one call on each line"},
		{c.AtOnce < 1, "at least one call at once"},
		{c.Users < 1, "at least one user"},
		{measure.BadRate(c.Rate, measure.LeastRate), measure.RateText("calls", measure.LeastRate)},
		{c.Limit < 0 || c.Duration < 0 || c.Hold < 0, "a time cannot be negative"},
		{c.Duration > 0 && (c.Hold > 0 || c.Calls > 1), "calls in a row are held each for itself, not all until the last one is up"},
	} {
		if rule.broken {
			return c, fmt.Errorf("%w: %s", ErrConfig, rule.text)
		}
	}
	for _, size := range c.Sizes {
		if size < 0 || size > peer.MaxSize {
			return c, fmt.Errorf("%w: payloads of 0 to %d octets", ErrConfig, peer.MaxSize)
		}
	}
	return c, nil
}

// together says whether all calls are held until the last one is up, and carry their traffic then.
func (c *Config) together() bool { return c.Calls == 1 && c.Hold == 0 }

// user is the name of the caller on a line.
func (c *Config) user(line int) string {
	return strings.ReplaceAll(c.Link.User, "%d", strconv.Itoa(line%c.Users))
}
