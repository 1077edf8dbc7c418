package at

import (
	"slices"
	"testing"
	"time"
)

func TestRung(t *testing.T) {
	id := "\r\nDATE=1128\r\n\r\nNMBR=5551234\r\n"
	for _, c := range []struct {
		name   string
		pieces []string // each three seconds after the one before
		want   bool
	}{
		{"two rings", []string{"\r\nRING\r\n", "\r\nRING\r\n"}, true},
		{"behind data", []string{"~\x7d\x23\r\nRING\r\n" + id, "\r\nRING\r\n"}, true},
		{"behind a torn text", []string{"RRIER\r\n", "\r\nRING\r\n" + id, "\r\nERROR\r\n", "\r\nRING\r\n"}, true},
		{"torn apart", []string{"\r\nRI", "NG\r", "\n\r\nRIN", "G\r\n"}, true},
		{"one ring", []string{"\r\nRING\r\n" + id, id}, false},
		{"bursts of one ring", []string{"\r\nRING\r\n\r\nRING\r\n"}, false},
		{"data in between", []string{"\r\nRING\r\n", "~\xff\x03\xc0\x21~", "\r\nRING\r\n"}, false},
		{"a line in between", []string{"\r\nRING\r\n", "\r\nsaid the bell\r\n", "\r\nRING\r\n"}, false},
		{"within a line", []string{"\r\nthe bell said RING\r\n", "\r\nRING\r\n"}, false},
		{"no line", []string{"RING", "RING", "RING"}, false},
		{"a line without end", []string{"\r\nRING RING RING RING RING RING RING RING RING RING RING RING RING RING RING RING RING ", "\r\nRING\r\n"}, false},
	} {
		var r Rung
		now := time.Unix(1000, 0)
		got := false
		for _, p := range c.pieces {
			got = r.Feed(now, []byte(p)) || got
			now = now.Add(3 * time.Second)
		}
		if got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	var r Rung
	r.Feed(time.Unix(1000, 0), []byte("\r\nRING\r\n"+id))
	r.Feed(time.Unix(1006, 0), []byte("\r\nRING\r\n"))
	if want := []string{"RING", "DATE=1128", "NMBR=5551234"}; !slices.Equal(r.Lines(), want) {
		t.Errorf("%q, want %q", r.Lines(), want)
	}
}

func BenchmarkRung(b *testing.B) {
	data := make([]byte, 1500)
	for i := range data {
		data[i] = byte(i * 7)
	}
	var r Rung
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		r.Feed(time.Time{}, data)
	}
}
