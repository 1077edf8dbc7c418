package pcapng

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"trunkline.example/test/capture"
)

var at = time.Date(2026, 11, 27, 12, 0, 0, 123456789, time.UTC)

// golden are blocks as the format's specification lays them out.
func TestGoldenOctets(t *testing.T) {
	for _, c := range []struct {
		name  string
		block interface{ Append([]byte) []byte }
		want  string
	}{
		{"section", Section{Application: "pac 1"}, `0a0d0d0a 2c000000 4d3c2b1a 0100 0000 ffffffffffffffff
			0400 0500 70616320 31000000 00000000 2c000000`},
		{"interface", Interface{Link: LinkRaw, SnapLength: 96, Name: "pptp"}, `01000000 28000000 6500 0000 60000000
			0200 0400 70707470 0900 0100 09000000 00000000 28000000`},
		{"packet", Packet{Interface: 2, Time: time.Unix(0, 0x0102030405060708), Direction: Sent, Data: []byte{1, 2, 3, 4, 5}, Length: 9, Dropped: 3, Comment: "hm"},
			`06000000 48000000 02000000 04030201 08070605 05000000 09000000 0102030405000000
			0100 0200 686d0000 0200 0400 02000000 0400 0800 0300000000000000 00000000 48000000`},
		{"statistics", Statistics{Interface: 1, Start: time.Unix(0, 1), End: time.Unix(0, 1<<32), Received: 7, Dropped: 2}, `05000000 4c000000 01000000 01000000 00000000
			0200 0800 0000000001000000 0300 0800 0100000000000000 0400 0800 0700000000000000 0500 0800 0200000000000000 00000000 4c000000`},
	} {
		want, err := hex.DecodeString(strings.Join(strings.Fields(c.want), ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.block.Append(nil); !bytes.Equal(got, want) {
			t.Errorf("%s:\n% x, want\n% x", c.name, got, want)
		}
		if got := c.block.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), want...)) {
			t.Errorf("%s behind something else: % x", c.name, got)
		}
	}
}

// What is written is read back, whatever it is.
func FuzzPacket(f *testing.F) {
	f.Add([]byte("data"), 1500, "", uint64(0), true)
	f.Add([]byte{}, 0, "a comment", uint64(1), false)
	f.Add(bytes.Repeat([]byte{7}, 100), 100, strings.Repeat("long", 1<<15), uint64(1)<<63, true)
	f.Fuzz(func(t *testing.T, data []byte, length int, comment string, dropped uint64, sent bool) {
		p := Packet{Interface: 1, Time: at, Direction: Received, Data: data, Length: length & 0xffffff, Dropped: dropped, Comment: comment}
		if sent {
			p.Direction = Sent
		}
		b := Section{Application: comment}.Append(nil)
		b = Interface{Link: LinkRaw}.Append(b)
		b = Interface{Link: LinkPPPDirection, SnapLength: 64, Name: comment}.Append(b)
		b = p.Append(b)
		b = Statistics{Interface: 1, Start: at, End: at, Received: dropped, Dropped: 5, Comment: comment}.Append(b)
		got, err := capture.ReadTrace(b)
		if err != nil {
			t.Fatal(err)
		}
		text := comment[:min(len(comment), 0xffff)]
		if len(got.Packets) != 1 || len(got.Interfaces) != 2 || got.Application != text {
			t.Fatalf("read %d packets of %d interfaces from %q", len(got.Packets), len(got.Interfaces), got.Application)
		}
		r, i := got.Packets[0], got.Interfaces[1]
		if r.Interface != 1 || !r.Time.Equal(at) || r.Sent != sent || !bytes.Equal(r.Data, data) || r.Length != max(length&0xffffff, len(data)) || r.Dropped != dropped || r.Comment != text {
			t.Errorf("read %+v of %+v", r, p)
		}
		if i.Name != text || i.Link != 204 || i.SnapLength != 64 || !i.Counted || i.Received != dropped || i.Dropped != 5 || i.Comment != text {
			t.Errorf("read interface %+v", i)
		}
	})
}
