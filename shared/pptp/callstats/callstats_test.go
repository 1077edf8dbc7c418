package callstats

import (
	"math"
	"testing"

	"trunkline.example/shared/linkreport"
)

var call = Statistics{
	Cause: "carrier-lost", Connected: true, Seconds: 4, OctetsIn: 4990, OctetsOut: 5008, FramesIn: 19, FramesOut: 20,
	FCSErrors: 1, Dropped: 2, Lost: 3, SpeedIn: 31200, SpeedOut: 33600,
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		s    Statistics
		want string
	}{
		{call, "cause=carrier-lost s=4 rx=4990 tx=5008 rxf=19 txf=20 speed=31200/33600 fcs=1 drop=2 lost=3"},
		{Statistics{Cause: "busy"}, "cause=busy"},
		{Statistics{Cause: "hangup", Connected: true, Seconds: 9, Ago: 1830, SpeedIn: 31200, SpeedOut: 33600, Lost: 1, Link: linkreport.Link{
			Reason: "loss-of-carrier", SpeedIn: 26400, SpeedOut: 28800, Retrains: 3, Resent: 7, RoundTrip: 40}},
			"cause=hangup s=9 ago=1830 rx=0 tx=0 rxf=0 txf=0 speed=31200/33600 fcs=0 why=loss-of-carrier last=26400/28800 retrain=3 resent=7"},
		{Statistics{Connected: true, SpeedIn: 1200, SpeedOut: 75, Link: linkreport.Link{Reason: "remote", SpeedIn: 1200, SpeedOut: 75}},
			"s=0 rx=0 tx=0 rxf=0 txf=0 speed=1200/75 fcs=0 why=remote drop=0 lost=0"},
		{Statistics{Connected: true, FramesIn: 7}, "s=0 rx=0 tx=0 rxf=7 txf=0 fcs=0 drop=0 lost=0"},
	} {
		if got := test.s.String(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
		if test.s.Link.RoundTrip > 0 {
			test.s.Link.RoundTrip, test.s.Lost = 0, 0 // there was no room
		}
		if test.s.Link.SpeedIn == test.s.SpeedIn {
			test.s.Link.SpeedIn, test.s.Link.SpeedOut = 0, 0 // no news
		}
		if back, ok := Parse(test.want); !ok || back != test.s {
			t.Errorf("%q is read as %+v, %v", test.want, back, ok)
		}
	}
}

// What does not fit is left out whole, from the end.
func TestTextFits(t *testing.T) {
	s := call
	for _, i := range s.items() {
		if p, ok := i.place.(*uint64); ok {
			*p = math.MaxUint64
		}
	}
	got := s.String()
	if len(got) > Length {
		t.Errorf("%d octets", len(got))
	}
	back, ok := Parse(got)
	if !ok || back.Cause != s.Cause || back.OctetsOut != s.OctetsOut || back.Lost != 0 {
		t.Errorf("%q is read as %+v, %v", got, back, ok)
	}
}

func TestForeignTexts(t *testing.T) {
	for _, text := range []string{
		"", " ", "in 34 packets 2040 octets", "vendor=x", "rx=1 then something", "rx=", "=1", "rx=-1", "rx=99999999999999999999", "speed=1", "speed=1/x",
		"speed=5000000000/1", "retrain=x", "last=1", "ago=-5", "cause=a  rx=1", "\x00\xff",
	} {
		if s, ok := Parse(text); ok || s != (Statistics{}) {
			t.Errorf("%q is read as %+v", text, s)
		}
	}
	if s, ok := Parse("cause=hangup later=7 rx=5"); !ok || s.OctetsIn != 5 {
		t.Errorf("an unknown key among known ones: %+v, %v", s, ok)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{call.String(), "cause=busy", "speed=1/2", "in 3 packets", "a=b rx=1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, ok := Parse(text)
		if !ok {
			return
		}
		again := s.String()
		if len(again) > Length {
			t.Fatalf("%d octets", len(again))
		}
		if len(text) > Length || again == "" {
			return
		}
		if _, ok := Parse(again); !ok {
			t.Fatalf("%q is written as %q, which is not read again", text, again)
		}
	})
}
