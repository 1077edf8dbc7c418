package soak

import (
	"errors"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/record"
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// at is a time of the books, in seconds after noon.
func at(seconds float64) time.Time {
	return noon.Add(time.Duration(seconds * float64(time.Second)))
}

// kept are the books of one good call, which all agree on; the test changes what it likes.
func kept() (k *books, pac, pns *record.Record, a *attempt) {
	r := record.Record{
		ID: "1", Host: "pac1", PNS: "pns1", Started: at(1), Connected: at(2), Ended: at(9), CallSerial: 7, PACCallID: 70, PNSCallID: 71, Dialed: "1001", Dialing: "2001",
		SpeedIn: 57600, Line: "line1",
	}
	other := r
	other.Host, other.PNS, other.PAC, other.User = "pns1", "", "pac1", "phone1"
	k = &books{pac: map[string][]record.Record{"pac1": {r}}, pns: map[string][]record.Record{"pns1": {other}, "pns2": nil}}
	k.rings, k.home = []ring{{Time: at(0.5), Line: "line1", Dialing: "phone1"}}, map[string]string{"line1": "pac1", "line2": "pac1"}
	k.attempts = []attempt{{plan: clean("1001"), started: at(0), ended: at(10), replies: 2}}
	return k, &k.pac["pac1"][0], &k.pns["pns1"][0], &k.attempts[0]
}

func killed(pac, pns string, from, to float64) trouble {
	return trouble{what: "killed", pac: pac, pns: pns, from: at(from), to: at(to), lost: true}
}

// struck makes of the good call one that failed, with phone2 ringing before, and an operator's order.
func struck(k *books, a *attempt, before float64, o order) {
	a.err, k.orders = errors.New("no carrier"), []order{o}
	k.rings = append([]ring{{Time: at(before), Line: "line1", Dialing: "phone2"}}, k.rings...)
}

// bookCases are what may be in the books.
var bookCases = []struct {
	name   string
	change func(k *books, pac, pns *record.Record, a *attempt)
	want   string // empty: nothing is wrong
}{
	{"all agree", func(*books, *record.Record, *record.Record, *attempt) {}, ""},
	{"pac has no record", func(k *books, _, _ *record.Record, _ *attempt) { k.pac["pac1"] = nil }, "pns1 has a call that pac1 has not"},
	{"pac was killed after the call", func(k *books, _, _ *record.Record, _ *attempt) {
		k.pac["pac1"], k.troubles = nil, []trouble{killed("pac1", "", 10, 20)}
	}, ""},
	{"another pac was killed", func(k *books, _, _ *record.Record, _ *attempt) {
		k.pac["pac1"], k.troubles = nil, []trouble{killed("pac2", "", 10, 20)}
	}, "pns1 has a call that pac1 has not"},
	{"pns has no record", func(k *books, _, _ *record.Record, a *attempt) { k.pns["pns1"], a.replies = nil, 0 }, "pac1 has a call that pns1 has not"},
	{"pns was killed", func(k *books, _, _ *record.Record, a *attempt) {
		k.pns["pns1"], k.troubles = nil, []trouble{killed("", "pns1", 5, 20)}
	}, ""},
	{"pns was killed right after the call, with its record", func(k *books, _, _ *record.Record, _ *attempt) {
		k.pns["pns1"], k.troubles = nil, []trouble{killed("", "pns1", 10, 20)}
	}, ""},
	{"pns was killed long before", func(k *books, _, _ *record.Record, a *attempt) {
		k.pns["pns1"], k.troubles, a.replies = nil, []trouble{killed("", "pns1", -20, -10)}, 0
	}, "pac1 has a call that pns1 has not"},
	{"the serial of another call", func(_ *books, _, pns *record.Record, _ *attempt) { pns.CallSerial++ }, "has not"},
	{"the same serial at another time", func(_ *books, _, pns *record.Record, _ *attempt) {
		pns.Started, pns.Connected, pns.Ended = at(100), at(101), at(102)
	}, "has not"},
	{"a call twice", func(k *books, _, pns *record.Record, _ *attempt) { k.pns["pns1"] = append(k.pns["pns1"], *pns) }, "two records"},
	{"connected at two", func(k *books, _, pns *record.Record, _ *attempt) { k.pns["pns2"] = append(k.pns["pns2"], *pns) }, "had a call connected that pac1 had with another"},
	{"passed over by one", func(k *books, _, pns *record.Record, _ *attempt) {
		offered := *pns
		offered.Connected = time.Time{}
		k.pns["pns2"] = append(k.pns["pns2"], offered)
	}, ""},
	{"passed over by one, and the pac was killed much later", func(k *books, _, pns *record.Record, _ *attempt) {
		offered := *pns
		offered.Connected, offered.Ended = time.Time{}, at(1.5)
		k.pns["pns2"], k.pac["pac1"], k.troubles = append(k.pns["pns2"], offered), nil, []trouble{killed("pac1", "", 10, 20)}
	}, ""},
	{"passed over by one, and nobody was killed", func(k *books, _, pns *record.Record, _ *attempt) {
		offered := *pns
		offered.Connected, offered.Ended = time.Time{}, at(1.5)
		k.pns["pns2"], k.pac["pac1"] = append(k.pns["pns2"], offered), nil
	}, "pns2 has a call that pac1 has not"},
	{"connected at both, and the pac was killed much later", func(k *books, _, pns *record.Record, _ *attempt) {
		offered := *pns
		offered.Ended = at(1.5)
		k.pns["pns2"], k.pac["pac1"], k.troubles = append(k.pns["pns2"], offered), nil, []trouble{killed("pac1", "", 10, 20)}
	}, "pns2 has a call that pac1 has not"},
	{"another number", func(_ *books, _, pns *record.Record, _ *attempt) { pns.Dialed = "1002" }, "not the same"},
	{"another Call ID", func(_ *books, pac, _ *record.Record, _ *attempt) { pac.PNSCallID++ }, "not the same"},
	{"another speed", func(_ *books, _, pns *record.Record, _ *attempt) { pns.SpeedIn = 33600 }, "57600 and 33600 bit/s"},
	{"other errors", func(_ *books, pac, _ *record.Record, _ *attempt) { pac.Errors.FCS = 3 }, "3 and 0 frames with a bad FCS"},
	{"other errors, in trouble", func(k *books, pac, _ *record.Record, _ *attempt) {
		pac.Errors.FCS, k.troubles = 3, []trouble{{what: "driver killed", pac: "pac1", lines: []string{"line1"}, from: at(5), to: at(6)}}
	}, ""},
	{"pings of nobody's session", func(_ *books, _, pns *record.Record, _ *attempt) { pns.User = "phone2" }, "no PNS has a record of it"},
	{"a good call that failed", func(_ *books, _, _ *record.Record, a *attempt) { a.err = errors.New("no carrier") }, "nobody was in trouble"},
	{"a good call that failed in trouble", func(k *books, _, _ *record.Record, a *attempt) {
		a.err, k.troubles = errors.New("no carrier"), []trouble{{what: "driver killed", pac: "pac1", lines: []string{"line1"}, from: at(5), to: at(6)}}
	}, ""},
	{"a good call that failed in another line's trouble", func(k *books, _, _ *record.Record, a *attempt) {
		a.err, k.troubles = errors.New("no carrier"), []trouble{{what: "driver killed", pac: "pac1", lines: []string{"line2"}, from: at(5), to: at(6)}}
	}, "nobody was in trouble"},
	{"a good call of which a pac that was killed has no record", func(k *books, _, _ *record.Record, a *attempt) {
		a.err, k.pac["pac1"], k.pns["pns1"], a.replies, k.troubles = errors.New("no carrier"), nil, nil, 0, []trouble{killed("pac1", "", 5, 20)}
	}, ""},
	{"a good call of which another pac, that was killed, could have no record", func(k *books, _, _ *record.Record, a *attempt) {
		a.err, k.pac["pac1"], k.pns["pns1"], a.replies, k.troubles = errors.New("no carrier"), nil, nil, 0, []trouble{killed("pac2", "", 5, 20)}
	}, "nobody was in trouble"},
	{"given up before the answer", func(_ *books, pac, _ *record.Record, _ *attempt) { pac.PNSCallID = 0 }, ""},
	{"a good call that failed before the trouble", func(k *books, _, _ *record.Record, a *attempt) {
		a.err, k.troubles = errors.New("no carrier"), []trouble{{what: "pns killed", pns: "pns1", from: at(11), to: at(12)}}
	}, "nobody was in trouble"},
	{"a good call that the operator took for that of one who had just given up", func(k *books, _, _ *record.Record, a *attempt) {
		struck(k, a, 0.1, order{at(5), 1, "line1"})
	}, ""},
	{"the operator ended the call of one who had given up long before", func(k *books, _, _ *record.Record, a *attempt) {
		struck(k, a, -6, order{at(5), 1, "line1"})
	}, "nobody was in trouble"},
	{"the operator ended a call on another line", func(k *books, _, _ *record.Record, a *attempt) {
		struck(k, a, 0.1, order{at(5), 1, "line2"})
	}, "nobody was in trouble"},
	{"the operator ended the call before", func(k *books, _, _ *record.Record, a *attempt) {
		struck(k, a, 0.1, order{at(0.4), 1, "line1"})
	}, "nobody was in trouble"},
	{"the operator ended the call of one who has not rung", func(k *books, _, _ *record.Record, a *attempt) {
		struck(k, a, 0.1, order{at(5), 2, "line1"})
	}, "nobody was in trouble"},
	{"a call on a damaged line that failed", func(_ *books, _, _ *record.Record, a *attempt) { a.err, a.damage = errors.New("no carrier"), &damage{} }, ""},
}

// Each thing that is wrong is told, and what a trouble explains is not.
func TestBooks(t *testing.T) {
	for _, c := range bookCases {
		t.Run(c.name, func(t *testing.T) {
			k, pac, pns, a := kept()
			c.change(k, pac, pns, a)
			k.check()
			got := strings.Join(k.wrong, "\n")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("%q is told, want %q", got, c.want)
			}
		})
	}
}

func TestFailovers(t *testing.T) {
	k, pac, _, _ := kept()
	first := map[string]string{"pac1": "pns1"}
	windows := []window{{"pns1", at(0), at(5)}}
	if n := k.failovers(windows, first); n != 0 {
		t.Errorf("%d, though the call went to the first one", n)
	}
	pac.PNS = "pns2"
	if n := k.failovers(windows, first); n != 1 {
		t.Errorf("%d, want 1", n)
	}
	if n := k.failovers([]window{{"pns1", at(2), at(5)}}, first); n != 0 {
		t.Errorf("%d, though the call came before", n)
	}
}
