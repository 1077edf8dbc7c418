package pac

import (
	"testing"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/shared/conf"
)

func TestFirstMatchingRouteWins(t *testing.T) {
	var night conf.Hours
	if err := night.UnmarshalText([]byte("22:00-06:00")); err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	c := config.Config{
		Hunts: []config.Hunt{{Name: "public", Number: "5550100", Lines: []string{"bank/*"}}},
		Routes: []config.Route{
			{Caller: "900*", Refuse: true},
			{Called: "5550300", Withheld: true, Refuse: true},
			{Called: "5550300", Hours: night, PNS: []string{"night"}},
			{Called: "5550300", PNS: []string{"day"}},
			{Called: "555020?", PNS: []string{"a"}},
			{Hunt: "public", PNS: []string{"b", "c"}},
			{Line: "desk", PNS: []string{"d"}},
		},
	}
	for _, test := range []struct {
		offer offer
		want  string // first PNS, "refuse", or "" for none
	}{
		{offer{line: "bank/1", called: "5550201", caller: "9001234"}, "refuse"},
		{offer{line: "bank/1", called: "5550201", caller: "123"}, "a"},
		{offer{line: "bank/1", called: "5550100"}, "b"},
		{offer{line: "desk", called: "1"}, "d"},
		{offer{line: "attic", called: "1"}, ""},
		{offer{line: "desk", called: "5550300", at: noon}, "day"},
		{offer{line: "desk", called: "5550300", at: noon.Add(11 * time.Hour)}, "night"},
		{offer{line: "desk", called: "5550300", at: noon, withheld: true}, "refuse"},
	} {
		r, ok := chooseRoute(c, test.offer)
		got := ""
		switch {
		case ok && r.Refuse:
			got = "refuse"
		case ok:
			got = r.PNS[0]
		}
		if got != test.want {
			t.Errorf("%+v goes to %q, want %q", test.offer, got, test.want)
		}
	}
	for _, test := range []struct{ line, told, own, want string }{
		{"bank/1", "77", "5550101", "77"}, {"bank/1", "", "5550101", "5550100"}, {"bank/1", "5550101", "5550101", "5550100"}, {"desk", "", "5550109", "5550109"},
	} {
		if got := calledNumber(c, test.line, test.told, test.own); got != test.want {
			t.Errorf("called number of %+v is %q", test, got)
		}
	}
}

// By load, calls go where they are fewest for the weight; equal ones and those that cannot be reached leave the order as listed.
func TestCandidatesByLoad(t *testing.T) {
	server := func(name string, weight, calls int, up bool) *network {
		n := &network{cfg: config.PNS{Name: name, Weight: weight}}
		n.status.Store(&PNSStatus{Name: name, Calls: calls})
		if up {
			n.up.Store(&connection{})
		}
		return n
	}
	for _, test := range []struct {
		why     string
		servers []*network
		order   config.Order
		want    string
	}{
		{"as listed", []*network{server("a", 1, 9, true), server("b", 1, 0, true)}, config.OrderListed, "ab"},
		{"fewest first", []*network{server("a", 1, 9, true), server("b", 1, 0, true), server("c", 1, 4, true)}, config.OrderLoad, "bca"},
		{"equal", []*network{server("a", 1, 3, true), server("b", 1, 3, true)}, config.OrderLoad, "ab"},
		{"by weight", []*network{server("a", 1, 2, true), server("b", 4, 7, true)}, config.OrderLoad, "ba"},
		{"none yet", []*network{server("a", 1, 0, true), server("b", 4, 0, true)}, config.OrderLoad, "ba"},
		{"one is away", []*network{server("a", 1, 0, false), server("b", 1, 5, true)}, config.OrderLoad, "b"},
	} {
		s, route := &Server{networks: map[string]*network{}}, config.Route{Order: test.order}
		for _, n := range test.servers {
			s.networks[n.cfg.Name] = n
			route.PNS = append(route.PNS, n.cfg.Name)
		}
		got := ""
		for _, n := range s.candidates(route) {
			got += n.cfg.Name
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.why, got, test.want)
		}
	}
}
