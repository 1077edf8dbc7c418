package at

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"
)

// goodbye is the text without a reason.
const goodbye = noCarrier + "\r\n"

func watched(chunks ...string) (string, *Watch) {
	w := &Watch{Guard: time.Second, Hold: 100 * time.Millisecond}
	var out []byte
	for _, c := range chunks {
		out = append(out, w.Feed(time.Unix(0, 0), []byte(c))...)
	}
	return string(out), w
}

func TestWatch(t *testing.T) {
	start := time.Unix(0, 0)
	t.Run("end of call", func(t *testing.T) {
		for _, last := range []string{"NO CARRIER", "NO CARRIER/E0010", "NO CARRIER;16", "NO CARRIER (normal clearing)"} {
			text := "~data~\r\n" + last + "\r\n"
			for cut := range len(text) {
				out, w := watched(text[:cut], text[cut:])
				if out != "~data~" || w.Deadline() != start.Add(time.Second) {
					t.Fatalf("cut at %d: %q until %v", cut, out, w.Deadline())
				}
				if data, said := w.Tick(start.Add(999 * time.Millisecond)); said != "" || data != nil {
					t.Fatal("too early")
				}
				if data, said := w.Tick(start.Add(time.Second)); said != last || data != nil {
					t.Fatalf("%q, %q", data, said)
				}
			}
		}
	})
	t.Run("inside data", func(t *testing.T) {
		for _, text := range []string{"~" + goodbye + "more\r", "~\r\nNO CARRIERS\r\n", "~\r\nNO CARRIER/\x01\r\n", "~\r\nNO CARRIER;\r\r\n", "~\r\nNO CARRIER; so I have dialed once more, and\r\n"} {
			out, w := watched(text[:7], text[7:])
			data, said := w.Tick(start.Add(100 * time.Millisecond))
			if out+string(data) != text || said != "" || !w.Deadline().IsZero() {
				t.Errorf("%q %q %q", out, data, said)
			}
		}
	})
	t.Run("slowly", func(t *testing.T) { // part of it had been given up as data
		out, w := watched("~\r\nNO CAR")
		data, _ := w.Tick(start.Add(time.Minute))
		if out+string(data) != "~\r\nNO CAR" {
			t.Errorf("%q %q", out, data)
		}
		if rest := w.Feed(start.Add(time.Minute), []byte("RIER\r\n")); len(rest) != 0 {
			t.Errorf("rest %q", rest)
		}
		if _, said := w.Tick(start.Add(2 * time.Minute)); said == "" {
			t.Error("not noticed")
		}
	})
	t.Run("not believed", func(t *testing.T) {
		out, w := watched(goodbye)
		if got := out + string(w.Flush()); got != goodbye || !w.Deadline().IsZero() {
			t.Errorf("%q", got)
		}
		if _, said := w.Tick(start.Add(time.Hour)); said != "" {
			t.Error("believed after all")
		}
	})
	t.Run("ended by other means", func(t *testing.T) {
		_, w := watched("~" + goodbye)
		if got, said := w.End(); len(got) != 0 || said != "NO CARRIER" || !w.Deadline().IsZero() {
			t.Errorf("%q, %q", got, said)
		}
		_, w = watched("~\r\nNO")
		if got, said := w.End(); string(got) != "\r\nNO" || said != "" {
			t.Errorf("%q, %q", got, said)
		}
	})
	t.Run("repeated beginnings", func(t *testing.T) {
		out, w := watched("\r\r\n\r\nNO \r\nNO CARRIER\r" + goodbye)
		if want := "\r\r\n\r\nNO \r\nNO CARRIER\r"; out != want {
			t.Errorf("%q instead of %q", out, want)
		}
		if _, said := w.Tick(start.Add(time.Second)); said == "" {
			t.Error("not noticed")
		}
	})
	t.Run("no copy without CR", func(t *testing.T) {
		var w Watch
		b := []byte("plain data")
		if out := w.Feed(start, b); &out[0] != &b[0] {
			t.Error("copied")
		}
	})
}

func FuzzWatch(f *testing.F) {
	f.Add([]byte("~\r\nNO CARRIER\r\n~"), uint64(1))
	f.Add([]byte("\r\nNO CARRIER\r\n"), uint64(2))
	f.Add([]byte("~\r\nNO CARRIER/E0010\r\n"), uint64(3))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		w := Watch{Guard: time.Second, Hold: time.Millisecond}
		now := time.Unix(0, 0)
		var out []byte
		for rest := stream; len(rest) > 0; {
			n := r.IntN(len(rest)) + 1
			out = append(out, w.Feed(now, rest[:n])...)
			rest = rest[n:]
			if r.IntN(2) == 0 {
				now = now.Add(2 * time.Millisecond)
				data, said := w.Tick(now)
				if said != "" {
					t.Fatal("lost within the guard time")
				}
				out = append(out, data...)
			}
		}
		out = append(out, w.Flush()...)
		if !bytes.Equal(out, stream) {
			t.Fatalf("%q became %q", stream, out)
		}
	})
}

func BenchmarkWatch(b *testing.B) {
	w := Watch{Guard: time.Second, Hold: time.Millisecond}
	data := bytes.Repeat([]byte("~\xff}#\xc0!\rmore data here"), 10)
	now := time.Unix(0, 0)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		w.Feed(now, data)
	}
}

// The next caller may ring before it has been silent for long enough; what a user sends goes on behind it.
func TestWatchNextCallRings(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, c := range []struct{ after, data, said string }{
		{"\r\nRING\r\n", "", "NO CARRIER"},
		{"\r\nRING\r\nmore", "\r\nNO CARRIER\r\n\r\nRING\r\nmore", ""},
		{"\r\nRINGO\r\n", "\r\nNO CARRIER\r\n\r\nRINGO\r\n", ""},
	} {
		w := Watch{Guard: time.Second, Hold: 100 * time.Millisecond}
		data := string(w.Feed(at, []byte("\r\nNO CARRIER\r\n")))
		data += string(w.Feed(at.Add(300*time.Millisecond), []byte(c.after)))
		rest, said := w.Tick(at.Add(3 * time.Second))
		if data += string(rest); said != c.said || said == "" && data != c.data || said != "" && data != "" {
			t.Errorf("%q after it: data %q, said %q", c.after, data, said)
		}
	}
}
