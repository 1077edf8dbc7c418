package main

import (
	"strings"
	"testing"
	"time"

	"trunkline.example/pac"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/line"
)

// What network servers and strangers do wrong is shown by name, and what nobody has done is not.
func TestStatusTable(t *testing.T) {
	s := pac.Status{
		PNS: []pac.PNSStatus{
			{Name: "central", Address: "192.0.2.1:1723", Since: time.Now(), Faults: map[string]uint64{"bad-magic": 2}, Refused: map[string]uint64{"number": 3}},
			{Name: "good", Address: "192.0.2.2:1723", Since: time.Now()},
		},
		GRE: map[string]tunnel.MuxCounters{"192.0.2.9": {UnknownCall: 1, EarlyExpired: 3, ForeignAddress: 5}},
	}
	var b strings.Builder
	if err := statusTable(s).Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"its fault: bad-magic (2)", "its call refused: number (3)", "(GRE on 192.0.2.9)", "GRE of unknown calls (4)", "GRE into calls of other addresses (5)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "malformed") || strings.Count(b.String(), "good") != 1 {
		t.Errorf("too much in\n%s", b.String())
	}
}

// What `pac line` answers says why a line is down, and only then.
func TestLineText(t *testing.T) {
	for want, l := range map[string]pac.LineStatus{
		"line1: down, disabled (maintenance: busy-out), V.34": {Name: "line1", State: line.StateDown, Disabled: true, Cause: "maintenance: busy-out", Equipment: "V.34"},
		"line1: idle": {Name: "line1", State: line.StateIdle, Cause: "hangup"},
	} {
		if got := lineText(l); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
