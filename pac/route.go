package pac

import (
	"path"
	"time"

	"trunkline.example/pac/config"
)

// offer is what a route is chosen by.
type offer struct {
	line   string
	called string
	caller string
	// withheld: the caller asked for the number not to be shown.
	withheld bool
	at       time.Time
}

// chooseRoute returns the first route that matches, in the order of the configuration.
func chooseRoute(c config.Config, o offer) (config.Route, bool) {
	for _, r := range c.Routes {
		numbers := matches(r.Called, o.called) && matches(r.Caller, o.caller) && (o.withheld || !r.Withheld)
		if numbers && matches(r.Line, o.line) && (r.Hunt == "" || inHunt(c, r.Hunt, o.line)) && r.Hours.Contains(o.at) {
			return r, true
		}
	}
	return config.Route{}, false
}

// matches applies a pattern that Load has checked; the empty pattern matches everything.
func matches(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, s)
	return err == nil && ok
}

func inHunt(c config.Config, name, line string) bool {
	for _, h := range c.Hunts {
		if h.Name == name && huntHas(h, line) {
			return true
		}
	}
	return false
}

func huntHas(h config.Hunt, line string) bool {
	for _, pattern := range h.Lines {
		if matches(pattern, line) {
			return true
		}
	}
	return false
}

// calledNumber is the number a call came in by: what the line told, else its hunt group's, else its own. A driver that only knows the
// number it was configured with tells that one: it says nothing about how the call came in.
func calledNumber(c config.Config, line, told, own string) string {
	if told != "" && told != own {
		return told
	}
	for _, h := range c.Hunts {
		if h.Number != "" && huntHas(h, line) {
			return h.Number
		}
	}
	return own
}
