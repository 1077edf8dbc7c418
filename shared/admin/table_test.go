package admin

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	table := &Table{Columns: Columns("id", ">octets", "user"), Empty: "no sessions"}
	var b bytes.Buffer
	if err := table.Write(&b); err != nil || b.String() != "no sessions\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	table.Add(7, uint64(123456), "ann")
	table.Add(10000, "", "grün\x1b[31m")
	table.Add("x")
	b.Reset()
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := "ID     OCTETS  USER\n7      123456  ann\n10000       -  grün?[31m\nx           -  -\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestNotes(t *testing.T) {
	table := &Table{Columns: Columns(">id", "user")}
	table.Add(7, "alice")
	table.Note("link", "MTU %d", 1400)
	table.Note("received", "%d packets\x1b", 3)
	table.Add(8, "bob")
	var b strings.Builder
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	if want := "ID  USER\n 7  alice\n    link      MTU 1400\n    received  3 packets?\n 8  bob\n"; b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

func TestPrint(t *testing.T) {
	var b bytes.Buffer
	describe := func() *Table { return &Table{Columns: Columns("a"), Rows: [][]string{{"1"}}} }
	if err := Print(&b, true, map[string]int{"a": 1}, describe); err != nil || b.String() != "{\n  \"a\": 1\n}\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	b.Reset()
	if err := Print(&b, false, nil, describe); err != nil || b.String() != "A\n1\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestFigures(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1.0k", 12345: "12.3k", 999949: "999.9k", 999950: "1.0M", 4e9: "4.0G", 1 << 63: "9.2E"} {
		if got := Octets(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-1: "0s", 59 * time.Second: "59s", 190 * time.Second: "3m10s", 125 * time.Minute: "2h05m", 103 * time.Hour: "4d07h"} {
		if got := Age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
