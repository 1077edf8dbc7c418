package conf

import (
	"testing"
	"time"
)

func TestHours(t *testing.T) {
	for _, c := range []struct {
		text    string
		in, out []string
	}{
		{"08:00-18:30", []string{"08:00", "12:00", "18:29"}, []string{"07:59", "18:30", "00:00"}},
		{"22:00-06:00", []string{"22:00", "23:59", "00:00", "05:59"}, []string{"06:00", "21:59", "12:00"}},
		{"00:00-12:00", []string{"00:00"}, []string{"12:00"}},
	} {
		var h Hours
		if err := h.UnmarshalText([]byte(c.text)); err != nil || h.String() != c.text {
			t.Errorf("%q is %q, %v", c.text, h, err)
		}
		for inside, clocks := range map[bool][]string{true: c.in, false: c.out} {
			for _, clock := range clocks {
				at, err := time.ParseInLocation("15:04", clock, time.FixedZone("somewhere", 7200))
				if err != nil || h.Contains(at) != inside {
					t.Errorf("%s contains %s: %v %v", c.text, clock, !inside, err)
				}
			}
		}
	}
	if all := (Hours{}); !all.Contains(time.Now()) || all.String() != "" {
		t.Error("the zero Hours is not the whole day")
	}
	for _, text := range []string{"", "8-18", "08:00", "08:00-08:00", "24:00-06:00", "08:00-18:60", "08:00-12:00-13:00"} {
		var h Hours
		if h.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}
