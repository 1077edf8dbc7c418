package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func lines(t *testing.T, path string) []Record {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, data)
}

func decode(t *testing.T, data []byte) []Record {
	t.Helper()
	var all []Record
	for line := range bytes.Lines(data) {
		var r Record
		if err := json.Unmarshal(line, &r); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

func TestWriterAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log", "calls.jsonl")
	for round := 1; round <= 2; round++ {
		w, err := Open(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if !w.Append(Record{ID: fmt.Sprint(round, "-", i), User: "a\nb", Cause: "x"}) {
				t.Fatal("lost")
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if c := w.Counters(); c != (Counters{Written: 100}) {
			t.Errorf("counters %+v", c)
		}
		if w.Append(Record{}) || w.Counters().Lost != 1 {
			t.Error("a record after Close was taken")
		}
		if err := w.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if err := w.Reopen(); !errors.Is(err, ErrClosed) {
			t.Errorf("Reopen after Close: %v", err)
		}
		got := lines(t, path)
		if len(got) != 100*round || got[len(got)-1].ID != fmt.Sprint(round, "-99") || got[0].Version != Version {
			t.Errorf("round %d: %d lines", round, len(got))
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestReopenAfterRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	w, err := Open(path, Options{Sync: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Append(Record{ID: "old"})
	for w.Counters().Written == 0 { // it is the writer's goroutine that must have been there
		if err := w.Reopen(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reopen(); err != nil {
		t.Fatal(err)
	}
	w.Append(Record{ID: "new"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if a, b := lines(t, path+".1"), lines(t, path); len(a) != 1 || a[0].ID != "old" || len(b) != 1 || b[0].ID != "new" {
		t.Errorf("%+v and %+v", a, b)
	}
}

// A file that ends in the middle of a line, after a full disk or a crash, does not spoil the next record.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	if err := os.WriteFile(path, []byte(`{"id":"half`), 0o640); err != nil {
		t.Fatal(err)
	}
	w, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Append(Record{ID: "whole"})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(data, []byte("\n"))
	if all := decode(t, rest); len(all) != 1 || all[0].ID != "whole" {
		t.Errorf("%q", data)
	}
}

// A disk that was full in the middle of a line, and a file moved away then: the line is in the new file as a whole.
func TestRotationOfAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &disk{room: 30}, &disk{room: 1 << 20}
		files := []*disk{first, second}
		w, err := start(Options{}, func() (file, error) {
			f := files[0]
			files = files[1:]
			return f, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		w.Append(Record{ID: "one"})
		synctest.Wait()
		if err := w.Reopen(); err != nil {
			t.Fatal(err)
		}
		w.Append(Record{ID: "two"})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if all := decode(t, second.data); len(all) != 2 || all[0].ID != "one" || all[1].ID != "two" {
			t.Errorf("%q", second.data)
		}
	})
}

func TestOpenFails(t *testing.T) {
	if _, err := Open(t.TempDir(), Options{}); err == nil || !strings.HasPrefix(err.Error(), "call records: ") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Open("/dev/null/x/y", Options{}); err == nil {
		t.Error("below a file")
	}
}

// disk is a file that can be full.
type disk struct {
	mu    sync.Mutex
	data  []byte
	room  int
	syncs int
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(b), d.room)
	d.data, d.room = append(d.data, b[:n]...), d.room-n
	if n < len(b) {
		return n, errors.New("disk full")
	}
	return n, nil
}

func (d *disk) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs++
	return nil
}

func (d *disk) Close() error { return nil }

func (d *disk) synced() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

func (d *disk) clear(room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = room
}

func TestFullDiskLosesNothingThatFitsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{room: 100} // less than one line
		var reports []string
		w, err := start(Options{Report: func(err error) { reports = append(reports, fmt.Sprint(err)) }}, func() (file, error) { return d, nil })
		if err != nil {
			t.Fatal(err)
		}
		w.Append(Record{ID: "0"})
		synctest.Wait()
		for i := 1; i <= QueueLength+5; i++ {
			w.Append(Record{ID: fmt.Sprint(i)})
		}
		time.Sleep(3 * retryEvery)
		synctest.Wait()
		if c := w.Counters(); c != (Counters{Lost: 5, Waiting: QueueLength}) {
			t.Errorf("counters %+v", c)
		}
		d.clear(1 << 30)
		time.Sleep(retryEvery)
		synctest.Wait()
		if c := w.Counters(); c != (Counters{Written: QueueLength + 1, Lost: 5}) {
			t.Errorf("counters %+v", c)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		got := decode(t, d.data)
		for i, r := range got {
			if r.ID != fmt.Sprint(i) {
				t.Fatalf("record %d is %s", i, r.ID)
			}
		}
		if len(got) != QueueLength+1 || strings.Join(reports, "; ") != "disk full; <nil>" {
			t.Errorf("%d records, reports %q", len(got), reports)
		}
	})
}

func TestCloseWithAFullDiskTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := start(Options{}, func() (file, error) { return &disk{}, nil })
		if err != nil {
			t.Fatal(err)
		}
		w.Append(Record{ID: "1"})
		synctest.Wait()
		w.Append(Record{ID: "2"})
		if err := w.Close(); err == nil || !strings.Contains(err.Error(), "2 could not be written") {
			t.Errorf("%v", err)
		}
		if c := w.Counters(); c.Lost != 2 {
			t.Errorf("counters %+v", c)
		}
	})
}

func TestSyncPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		each, lazy := &disk{room: 1 << 20}, &disk{room: 1 << 20}
		a, errA := start(Options{}, func() (file, error) { return each, nil })
		b, errB := start(Options{Sync: time.Minute}, func() (file, error) { return lazy, nil })
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for range 3 {
			a.Append(Record{})
			b.Append(Record{})
			synctest.Wait()
			time.Sleep(time.Second)
		}
		if each.synced() != 3 || lazy.synced() != 0 {
			t.Errorf("%d and %d syncs", each.synced(), lazy.synced())
		}
		time.Sleep(57*time.Second + time.Millisecond)
		synctest.Wait()
		if lazy.synced() != 1 { // a minute after the first of them, although others came meanwhile
			t.Errorf("%d syncs after a minute", lazy.synced())
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	w, err := start(Options{Sync: time.Hour}, func() (file, error) { return &disk{room: 1 << 62}, nil })
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w.Append(Record{ID: "x", User: "user"})
	}
	_ = w.Close()
}
