package pac

import (
	"testing"

	"trunkline.example/pac/config"
)

func TestFirstMatchingRouteWins(t *testing.T) {
	c := config.Config{
		Hunts: []config.Hunt{{Name: "public", Number: "5550100", Lines: []string{"bank/*"}}},
		Routes: []config.Route{
			{Caller: "900*", Refuse: true},
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
