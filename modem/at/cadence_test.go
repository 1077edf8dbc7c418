package at

import (
	"strings"
	"testing"
)

func TestCadence(t *testing.T) {
	for _, c := range []struct {
		lines, want string
		rings       int
	}{
		{"DROF=0 DRON=20", "", 1},
		{"DROF=0 DRON=20 DROF=40 DRON=20", "", 2},
		{"DROF=0 DRON=8 DROF=4 DRON=8", "SS", 1},
		{"DROF=0 DRON=8 DROF=4 DRON=8 DROF=40 DRON=8", "SS", 2},
		{"drof=0 dron = 3 DROF=2 DRON=10 DROF=2 DRON=3", "SLS", 1},
		{"DRON=" + strings.Repeat("1 DRON=", 20) + "1", "SSSSSSSS", 1},
		{"RING DRON= DRON=x DROF", "", 0},
	} {
		var cadence Cadence
		rings := 0
		for _, text := range strings.Split(strings.ReplaceAll(c.lines, " = ", "="), " ") {
			if _, ring := cadence.Add(text); ring {
				rings++
			}
		}
		if cadence.String() != c.want || rings != c.rings {
			t.Errorf("%s: %q, %d rings", c.lines, cadence.String(), rings)
		}
	}
}
