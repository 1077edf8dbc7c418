package at

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
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

// The next caller may ring, and be identified, before the modem has been silent for long enough; what a user sends goes on behind it.
func TestWatchNextCallRings(t *testing.T) {
	at := time.Unix(1000, 0)
	const end = "\r\nNO CARRIER\r\n"
	for _, c := range []struct {
		after    string
		followed []string // nil: it is a user's data
	}{
		{"\r\nRING\r\n", []string{"RING"}},
		{"\r\nRING\r\n\r\nDATE=1127\r\nTIME=2143\r\nNMBR=2028\r\nNAME=PHONE 28\r\n", []string{"RING", "DATE=1127", "TIME=2143", "NMBR=2028", "NAME=PHONE 28"}},
		{"\r\nRING;5551234;77\r\n", []string{"RING;5551234;77"}},
		{"\r\nCALLER NUMBER: 5551234\r\n\r\nRING/77\r\n", []string{"CALLER NUMBER: 5551234", "RING/77"}},
		{"\r\nRING\r\nmore", nil},
		{"\r\nRINGO\r\n", nil},
		{"\r\nRING\r\n~\xff}#", nil},
		{strings.Repeat("\r\nRING\r\n", 200), nil},
	} {
		for _, piece := range []int{1, 7, 4096} {
			w := Watch{Guard: time.Second, Hold: 100 * time.Millisecond}
			now := at
			data := string(w.Feed(now, []byte(end)))
			for rest := []byte(c.after); len(rest) > 0; {
				n := min(piece, len(rest))
				now = now.Add(time.Millisecond)
				data += string(w.Feed(now, rest[:n]))
				rest = rest[n:]
			}
			rest, said := w.Tick(at.Add(time.Minute))
			data += string(rest)
			if c.followed != nil && (said != "NO CARRIER" || data != "" || !slices.Equal(w.Followed(), c.followed)) {
				t.Errorf("%q after it: data %q, said %q, followed by %q", c.after, data, said, w.Followed())
			}
			if c.followed == nil && (said != "" || data+string(w.Flush()) != end+c.after) {
				t.Errorf("%q after it: data %q, said %q", c.after, data, said)
			}
		}
	}
}

// The end is known when Guard is over, however much is told of the next caller; only a line that is under way is waited for.
func TestWatchGuardIsNotProlonged(t *testing.T) {
	at := time.Unix(1000, 0)
	w := Watch{Guard: time.Second, Hold: 100 * time.Millisecond}
	w.Feed(at, []byte("\r\nNO CARRIER\r\n"))
	w.Feed(at.Add(900*time.Millisecond), []byte("\r\nRING\r\n\r\nNMB"))
	if due := w.Deadline(); !due.Equal(at.Add(time.Second)) {
		t.Fatalf("due after %v", due.Sub(at))
	}
	w.Feed(at.Add(990*time.Millisecond), []byte("R=20"))
	if data, said := w.Tick(at.Add(time.Second)); len(data) > 0 || said != "" || !w.Deadline().Equal(at.Add(1090*time.Millisecond)) {
		t.Fatalf("in the middle of a line: %q, %q, due after %v", data, said, w.Deadline().Sub(at))
	}
	w.Feed(at.Add(1020*time.Millisecond), []byte("28\r\n"))
	if data, said := w.Tick(w.Deadline()); len(data) > 0 || said != "NO CARRIER" || len(w.Followed()) != 2 {
		t.Fatalf("%q, %q, %q", data, said, w.Followed())
	}
}

// A modem takes what comes after the end of the call for commands, and may refuse them.
func TestCarrierIsLostThoughDataIsRefused(t *testing.T) {
	w := Watch{Guard: time.Second, Hold: 50 * time.Millisecond}
	now := time.Unix(1000, 0)
	if data := w.Feed(now, []byte("~\r\nNO CARRIER\r\n")); string(data) != "~" {
		t.Errorf("%q", data)
	}
	if data := w.Feed(now.Add(500*time.Millisecond), []byte("\r\nERROR\r\n\r\nRING\r\n")); len(data) > 0 {
		t.Errorf("%q", data)
	}
	if data, said := w.Tick(now.Add(time.Second)); len(data) > 0 || said != "NO CARRIER" {
		t.Errorf("%q, %q", data, said)
	}
}
