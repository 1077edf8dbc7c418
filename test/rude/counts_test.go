package rude

import "testing"

func TestCounted(t *testing.T) {
	d := Deed{Name: "it", Counts: []string{"faults.a|faults.b", "gre.c"}}
	before := map[string]uint64{"faults.a": 1, "refused.x": 5}
	for _, test := range []struct {
		what  string
		after map[string]uint64
		good  bool
	}{
		{"either of two", map[string]uint64{"faults.a": 1, "faults.b": 1, "gre.c": 7, "refused.x": 5}, true},
		{"both of two", map[string]uint64{"faults.a": 2, "faults.b": 1, "gre.c": 7, "refused.x": 5}, true},
		{"none of two", map[string]uint64{"faults.a": 1, "gre.c": 7, "refused.x": 5}, false},
		{"one name missing", map[string]uint64{"faults.a": 2, "refused.x": 5}, false},
		{"one name too many", map[string]uint64{"faults.a": 2, "gre.c": 7, "refused.x": 6}, false},
	} {
		if err := Counted(Deed{Name: "it", Counts: append([]string{"|faults.maybe"}, d.Counts...)}, before, test.after); (err == nil) != test.good {
			t.Errorf("%s, and maybe another: %v", test.what, err)
		}
		if err := Counted(d, before, test.after); (err == nil) != test.good {
			t.Errorf("%s: %v", test.what, err)
		}
	}
}

// Every deed has a name of its own, so that a failure says which it was.
func TestDeedsHaveNames(t *testing.T) {
	for _, to := range []Victim{PNS, PAC, Caller} {
		seen := make(map[string]bool)
		for _, d := range Deeds(to) {
			if d.Name == "" || d.do == nil || seen[d.Name] {
				t.Errorf("%q is without a name of its own, or nothing is done", d.Name)
			}
			seen[d.Name] = true
		}
		if len(seen) < 20 {
			t.Errorf("only %d deeds", len(seen))
		}
	}
}
