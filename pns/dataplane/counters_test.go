package dataplane

import (
	"reflect"
	"testing"
)

// Every field takes part in sums.
func TestCountersAdd(t *testing.T) {
	var a, sum Counters
	for i := range reflect.TypeFor[Counters]().NumField() {
		reflect.ValueOf(&a).Elem().Field(i).SetUint(uint64(i + 1))
	}
	sum.Add(a)
	sum.Add(a)
	for i := range reflect.TypeFor[Counters]().NumField() {
		if got := reflect.ValueOf(sum).Field(i).Uint(); got != uint64(2*(i+1)) {
			t.Errorf("%s: %d", reflect.TypeFor[Counters]().Field(i).Name, got)
		}
	}
}
