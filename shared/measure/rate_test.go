package measure

import (
	"math"
	"testing"
)

func TestBadRate(t *testing.T) {
	for rate, bad := range map[float64]bool{
		0: false, LeastRate: false, 3.5: false, MostRate: false, -1: true, LeastRate / 2: true, MostRate + 1: true, math.Inf(1): true, math.Inf(-1): true,
	} {
		if BadRate(rate, LeastRate) != bad {
			t.Errorf("%v: bad is %v", rate, !bad)
		}
	}
	if !BadRate(math.NaN(), 1) || !BadRate(0.5, 1) {
		t.Error("NaN, or less than the least, is taken")
	}
	if got := RateText("calls", LeastRate); got != "a rate of calls is 0, or 0.001 to 10000000 a second" {
		t.Error(got)
	}
}
