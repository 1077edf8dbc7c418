// Package statetest helps to test that the state of a machine survives being written
// out.
package statetest

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"reflect"
	"testing"
)

// Gob writes v out by encoding/gob and reads it back.
func Gob[T any](t testing.TB, v T) (out T) {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := gob.NewDecoder(&b).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// JSON writes v out by encoding/json and reads it back.
func JSON[T any](t testing.TB, v T) (out T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// RoundTrip sends v both ways, checks that nothing was lost, and returns what was
// read back by the name of the way.
func RoundTrip[T any](t testing.TB, v T) map[string]T {
	t.Helper()
	all := map[string]T{"gob": Gob(t, v), "json": JSON(t, v)}
	for name, got := range all {
		if !reflect.DeepEqual(got, v) {
			t.Errorf("by way of %s: %+v, want %+v", name, got, v)
		}
	}
	return all
}
