package pns

import (
	"math"
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/linkreport"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/callstats"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
)

// What a PAC tells of its line is shown while the call lasts, kept in the record and added up by line.
func TestLineErrors(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	for calls, statistics := range []string{
		callstats.Statistics{Cause: "carrier-lost", Connected: true, FCSErrors: 9, SpeedIn: 31200, SpeedOut: 33600, Link: linkreport.Link{Reason: "loss-of-carrier", Retrains: 2}}.String(),
		"a foreign text, 7 errors",
	} {
		c := w.dial(dialer{from: "127.77.0.1", pac: true})
		await[link.NetworkUp](c)
		c.do(func(now time.Time) {
			_ = c.control.NotifyWANErrors(now, c.call.Own(), pptp.WANErrors{CRCErrors: 7, BufferOverruns: 2})
		})
		for w.sessions()[0].LineErrors != (LineErrors{CRC: 7, BufferOverruns: 2}) {
		}
		if s := w.sessions()[0]; s.Bearer != "analog" || s.Framing != "asynchronous" {
			t.Errorf("shown as %+v", s)
		}
		c.do(func(now time.Time) {
			_ = c.control.DisconnectCall(now, c.call.Own(), control.Disconnect{Result: pptp.DisconnectLostCarrier, Statistics: statistics})
		})
		r := w.records.next(t)
		if r.Statistics != statistics || r.Bearer != "analog" || r.Framing != "asynchronous" {
			t.Errorf("the record has the statistics %q, bearer %q, framing %q", r.Statistics, r.Bearer, r.Framing)
		}
		if own := calls == 0; own && (r.LineCause != "carrier-lost" || r.SpeedIn != 31200 || r.SpeedOut != 33600 || r.Errors.FCS != 9 || r.Link != record.Link{Reason: "loss-of-carrier", Retrains: 2}) ||
			!own && (r.LineCause != "" || r.SpeedIn != 33600 || r.Errors.FCS != 7 || r.Link != record.Link{}) {
			t.Errorf("record %+v", r)
		}
		lines := w.server.Lines()
		if n := uint64(calls + 1); len(lines) != 1 || lines[0].Calls != n || lines[0].Errors != (LineErrors{CRC: 7 * n, BufferOverruns: 2 * n}) || lines[0].PAC != "modems" {
			t.Errorf("lines %+v", lines)
		}
		if lines[0].LastCause == "" || (lines[0].LastCause == "carrier-lost") != (calls == 0) {
			t.Errorf("last cause %q", lines[0].LastCause)
		}
		c.kill()
	}
}

// A PAC that has waited for its modem's report says how long ago the call has ended; it cannot put that before its beginning.
func TestEndOfCallWasBefore(t *testing.T) {
	began := time.Unix(1e9, 0)
	for _, test := range []struct {
		ago  uint64
		want time.Duration // after the beginning; it is told after two minutes
	}{{0, 2 * time.Minute}, {1830, 2*time.Minute - 1830*time.Millisecond}, {60_000, time.Minute}, {60_001, time.Minute}, {math.MaxUint64, time.Minute}} {
		if got := endedAt(began.Add(2*time.Minute), began, test.ago).Sub(began); got != test.want {
			t.Errorf("%d ms ago: after %v, want %v", test.ago, got, test.want)
		}
	}
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	c := w.dial(dialer{from: "127.77.0.1", pac: true})
	await[link.NetworkUp](c)
	c.do(func(now time.Time) {
		_ = c.control.DisconnectCall(now, c.call.Own(), control.Disconnect{Result: pptp.DisconnectLostCarrier, Statistics: callstats.Statistics{Connected: true, Ago: 59_000}.String()})
	})
	if r := w.records.next(t); !r.Ended.Equal(r.Started) || r.Seconds != 0 {
		t.Errorf("from %v to %v, %v s", r.Started, r.Ended, r.Seconds)
	}
}

// A PAC that invents channels cannot make us remember ever more of them.
func TestLinesAreBounded(t *testing.T) {
	var b lineBook
	now := time.Unix(1e9, 0)
	for i := range uint32(mostLines + 10) {
		b.ended(lineKey{"pac", i}, now.Add(time.Duration(i)*time.Second), LineErrors{CRC: 1}, control.Ending{})
	}
	if all := b.list(); len(all) != mostLines || all[0].Channel != 10 {
		t.Errorf("%d lines from channel %d on", len(all), all[0].Channel)
	}
}
