package conf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unit is a suffix and what it stands for. A list of them begins with what is preferred in texts and ends with 1.
type unit struct {
	suffix string
	factor int64
}

// quantity parses a whole number with one of the units, or "0". what and examples are for the error's text.
func quantity(s string, units []unit, most int64, what, examples string) (int64, error) {
	if s == "0" {
		return 0, nil
	}
	for _, u := range units {
		number, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 {
			break
		}
		if n > most/u.factor {
			return 0, fmt.Errorf("%q is too large", s)
		}
		return n * u.factor, nil
	}
	return 0, fmt.Errorf("%q is not a %s: write a number with its unit, as in %s", s, what, examples)
}

// quantityText renders n with the first unit that divides it.
func quantityText(n int64, units []unit) string {
	if n == 0 {
		return "0"
	}
	i := 0
	for n%units[i].factor != 0 {
		i++
	}
	return strconv.FormatInt(n/units[i].factor, 10) + units[i].suffix
}

// Size is a number of octets, written with its unit: "64KiB", "1MiB", "10MB", "512B", and "0" for none.
type Size struct{ Octets int64 }

var sizeUnits = []unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// UnmarshalText parses the text.
func (z *Size) UnmarshalText(text []byte) (err error) {
	z.Octets, err = quantity(string(text), sizeUnits, math.MaxInt64, "size", `"512B", "64KiB" or "10MB"`)
	return err
}

// MarshalText is String.
func (z Size) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// String renders the size with the largest binary unit that divides it, else the largest decimal one.
func (z Size) String() string { return quantityText(z.Octets, sizeUnits) }

// BitRate is a number of bits per second, written with its unit: "512kbit/s", "10Mbit/s", and "0" for no limit.
type BitRate struct{ PerSecond int64 }

var bitRateUnits = []unit{{"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}, {"bit/s", 1}}

// maxBitRate is far beyond what a session can carry.
const maxBitRate = 1e12

// UnmarshalText parses the text.
func (r *BitRate) UnmarshalText(text []byte) (err error) {
	r.PerSecond, err = quantity(string(text), bitRateUnits, maxBitRate, "rate", `"512kbit/s" or "10Mbit/s"`)
	return err
}

// MarshalText is String.
func (r BitRate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// String renders the rate with the largest unit that divides it.
func (r BitRate) String() string { return quantityText(r.PerSecond, bitRateUnits) }
