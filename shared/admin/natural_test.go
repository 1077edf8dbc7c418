package admin

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestCompareNames(t *testing.T) {
	// In order, and no two are equal.
	names := []string{
		"", "0", "00", "1", "001x", "1x", "2", "9x10", "10", "18446744073709551615", "18446744073709551616", "bank1/1", "bank1/2", "bank1/10", "bank2/1", "bank10/1",
		"line", "line01", "line1", "line1a", "line1b", "line2", "line10", "line10/2", "line10/11", "line100", "linea", "ÄÖ1", "ÄÖ2", "ÄÖ10",
	}
	for i, a := range names {
		for j, b := range names {
			if got, want := CompareNames(a, b), cmp.Compare(i, j); got != want {
				t.Errorf("%q and %q: %d, want %d", a, b, got, want)
			}
		}
	}
	shuffled := slices.Clone(names)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	if slices.SortFunc(shuffled, CompareNames); !slices.Equal(shuffled, names) {
		t.Errorf("sorted: %q", shuffled)
	}
}

func FuzzCompareNames(f *testing.F) {
	f.Add("line1", "line01", "line10")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		x, y, z := CompareNames(a, b), CompareNames(b, c), CompareNames(a, c)
		if x != -CompareNames(b, a) || (x == 0) != (a == b) || x <= 0 && y <= 0 && z > 0 || x >= 0 && y >= 0 && z < 0 {
			t.Errorf("%q %q %q: %d %d %d", a, b, c, x, y, z)
		}
	})
}
