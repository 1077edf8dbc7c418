package lab

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/shared/record"
)

// call is one call as the processes tell it: who says it, and what, in the order in which the lab reads it.
var call = []struct{ who, line string }{
	{"caller", `{"at":"2026-11-21T08:00:00Z","kind":"dialing","text":"dialing 1000"}`},
	{"exchange", `{"level":"info","time":"2026-11-21T08:00:00.373Z","message":"line rings","line":"line1","dialing":"phone1","dialed":"1000"}`},
	{"pac", `{"level":"info","time":"2026-11-21T08:00:00.88Z","message":"ringing","driver":"exchange","line":"line1"}`},
	{"pac", `{"level":"info","time":"2026-11-21T08:00:00.88Z","message":"ringing","line":"line1","dialed":"1001","dialing":"2001"}`},
	{"pac", `{"level":"info","time":"2026-11-21T08:00:00.883Z","message":"call accepted, answering","line":"line1","pac_call_id":7,"pns_call_id":9}`},
	{"pns", `{"level":"info","time":"2026-11-21T08:00:00.881Z","message":"call started","session":1,"pac":"pac","dialing":"2001","dialed":"1001"}`}, // read late
	{"pac", `{"level":"info","time":"2026-11-21T08:00:01.4Z","message":"connected","line":"line1","speed":33600,"receive_speed":31200,"modulation":"V34","text":"CONNECT 33600"}`},
	{"pns", `{"level":"info","time":"2026-11-21T08:00:01.5Z","message":"link up","session":1,"mru":1400,"peer_mru":1500,"protocol":"MS-CHAPv2"}`},
	{"pns", `{"level":"info","time":"2026-11-21T08:00:01.6Z","message":"logged in","session":1,"user":"demo","address":"10.97.0.2"}`},
	{"pns", `{"level":"info","time":"2026-11-21T08:00:01.7Z","message":"session up","session":1,"user":"demo","address":"10.97.0.2","encryption":"MPPE-128 stateless","mtu":1396}`},
	{"caller", `{"at":"2026-11-21T08:00:01.8Z","kind":"ppp","text":"network: ..."}`},
	{"caller", `{"at":"2026-11-21T08:00:01.9Z","kind":"ping","text":"56 octets from 10.97.0.1: seq=0 time=69.5 ms"}`},
	{"pns", `{"level":"warn","time":"2026-11-21T08:00:02Z","message":"host network","warning":"odd \u001b[2J"}`},
	{"pac", `panic: no`},
}

const told = `    0.000  phone1   caller    dialing 1000
    0.373  line1    exchange  rings: phone1 has dialed 1000
    0.880  line1    pac       RING: called 1001, calling 2001; asking pns
    0.881  line1    pns       offered by pac: accepted
    0.883  line1    pac       pns takes the call (Call IDs 7, 9): answering
    1.400  line1    pac       CONNECT 33600: 31200 bit/s from the caller, 33600 to the caller, V34
    1.500  line1    pns       LCP: open; MRU 1400, the caller's 1500; authentication MS-CHAPv2
    1.600  line1    pns       authentication: MS-CHAPv2, "demo" has logged in
    1.700  line1    pns       MPPE: MPPE-128 stateless
    1.700  line1    pns       addresses: the caller is 10.97.0.2, pns is 10.97.0.1; MTU 1396
    1.900  phone1   caller    ping: 56 octets from 10.97.0.1: seq=0 time=69.5 ms
                    pns       host network, warning: odd ?[2J
                    pac       panic: no
`

func testBook() book {
	var b book
	for _, l := range [][2]string{{"line1", "1001"}, {"line2", "1002"}, {"phone1", "2001"}, {"isdn1", "4001"}, {"ta1", "5001"}} {
		b.Lines = append(b.Lines, bookLine{Name: l[0], Number: l[1], Port: linesDir + "/" + l[0], TTY: "/dev/pts/4", Digital: l[1] > "4000"})
	}
	b.Busy, b.NoAnswer, b.Reorder = "3001", "3002", "3003"
	return b
}

func TestTimeline(t *testing.T) {
	s, tl, first := newStory(), newTimeline(false), newFirstCall(true)
	s.learn(testBook())
	var got strings.Builder
	for _, c := range call {
		if c.who == "caller" {
			if step, ok := first.line([]byte(c.line)); ok {
				tl.add(s.caller("phone1", step)...)
			}
			continue
		}
		tl.add(s.log(c.who, []byte(c.line))...)
	}
	early := tl.take(time.Date(2026, 11, 21, 8, 0, 0, 400e6, time.UTC))
	if strings.Count(early, "\n") != 1 {
		t.Errorf("an event that is %v old does not wait for others:\n%s", hold/5, early)
	}
	got.WriteString(early + tl.take(time.Time{}))
	if got.String() != told {
		t.Errorf("told:\n%s\nwant:\n%s", got.String(), told)
	}
	tl.color = true
	tl.add(event{line: "line1", style: warn, text: "x"})
	if got := tl.take(time.Time{}); !strings.Contains(got, escRed+"x"+escReset) {
		t.Errorf("no colour in %q", got)
	}
}

// The counters of both records have one form; a call that failed says why.
func TestRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "calls.jsonl")
	write := func(text string) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	var got []record.Record
	take := func(r record.Record) { got = append(got, r) }
	offset := newRecords(path, 0, take) // not there yet
	write(`{"daemon":"pac","line":"line1","dialing":"2001","octets_in":653,"packets_in":15,"octets_out":666,"packets_out":16,"ended_by":"client","cause":"carrier-lost","reason":"carrier-lost: NO CARRIER","seconds":2.5,"connected":"2026-11-21T08:00:01Z"}` + "\n" + `{"daemon":"pns"`)
	offset = newRecords(path, offset, take)
	write(`,"dialed":"1001","dialing":"2001","errors":{"fcs":2,"lost":1},"ended_by":"self","cause":"auth-failed","reason":"wrong password"}` + "\n")
	offset = newRecords(path, offset, take)
	if newRecords(path, offset, take) != offset || len(got) != 2 {
		t.Fatalf("%d records", len(got))
	}
	s, tl, first := newStory(), newTimeline(false), newFirstCall(true)
	s.learn(testBook())
	for _, r := range got {
		tl.add(s.record(r)...)
		first.record(r)
	}
	<-first.recorded
	const want = `           line1    pac       counters: from the caller    653 octets   15 packets, to the caller    666 octets   16 packets; no errors
           line1    pac       hang-up: after 2.50 s, by the caller: carrier-lost
           line1    pns       counters: from the caller      0 octets    0 packets, to the caller      0 octets    0 packets; 2 bad FCS, 1 lost
           line1    pns       hang-up: never up, by pns: auth-failed (wrong password)
`
	if told := tl.take(time.Time{}); told != want {
		t.Errorf("told:\n%s\nwant:\n%s", told, want)
	}
}

// A call counts only if all pings came back, through MPPE, as the caller and pns have it.
func TestFirstCall(t *testing.T) {
	const result = `{"encrypted":true,"first_ping":1694000000,"probes":[{"Sent":5,"Received":5,"Least":59900000,"Most":69500000,"Total":327000000}]}`
	encrypted := record.Record{Daemon: "pns", Dialing: callerNumber, Encryption: "MPPE-128 stateless", PacketsIn: 5}
	clear := encrypted
	clear.Encryption = ""
	other := encrypted
	other.Dialing = "2002"
	failed := errors.New("busy")
	for _, c := range []struct {
		name, result string
		record       record.Record
		exit         error
		want         string
	}{
		{"good", result, encrypted, nil, ""},
		{"failed", result, encrypted, failed, "busy"},
		{"no result", `{"kind":"dialing"}`, encrypted, nil, "no result"},
		{"lost", strings.Replace(result, `"Received":5`, `"Received":4`, 1), encrypted, nil, "4 of 5"},
		{"lost on a noisy line", strings.Replace(result, `"Received":5`, `"Received":4`, 1), encrypted, nil, ""},
		{"no pings", `{"encrypted":true}`, encrypted, nil, "0 of 0"},
		{"in clear", strings.Replace(result, "true", "false", 1), encrypted, nil, "without encryption"},
		{"in clear at pns", result, clear, nil, "not seen the pings encrypted"},
		{"no record", result, other, nil, "no call record"},
	} {
		f := newFirstCall(c.name != "lost on a noisy line")
		f.line([]byte(c.result))
		f.record(c.record)
		err := f.verdict(c.exit)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err == nil && c.name == "good" && !strings.Contains(f.summary(), "5 of 5 pings came back through MPPE-128 stateless; least/mean/most 59.9/65.4/69.5 ms") {
			t.Errorf("the summary: %s", f.summary())
		}
	}
}

// The directory names every number and port, and the exact lines.
func TestDirectory(t *testing.T) {
	text, err := directoryText(start{Options: Options{Lines: 2, Phones: 1, ISDN: 1}, PID: 7, Access: accessUser}, testBook())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"1001    line1      /dev/pts/4  /proc/7/root/run/trunkline/lines/line1   pac answers",
		"2001    phone1     /dev/pts/4  /proc/7/root/run/trunkline/lines/phone1  the built-in call, then free for you",
		"3001    busy", "3002    no answer", "3003    reorder",
		"sudo pppd /proc/7/root/run/trunkline/lines/phone1 115200 connect 'chat ", "ATDT1000", " user demo password demo noauth ", "require-mppe-128\n",
		"sudo pppd /proc/7/root/run/trunkline/lines/ta1 115200 connect 'chat ", "ATDT4000",
		"4001    isdn1      /dev/pts/4  /proc/7/root/run/trunkline/lines/isdn1   pac answers: ISDN",
		"5001    ta1        /dev/pts/4  /proc/7/root/run/trunkline/lines/ta1     free for you: ISDN",
		"sudo wvdial -C /proc/7/root/run/trunkline/wvdial.conf phone1\n",
		"nsenter -t 7 -U --preserve-credentials -m -n -p /run/trunkline/shell\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// slow is a terminal that takes nothing until it is let.
type slow struct {
	taken  bytes.Buffer
	let    chan struct{}
	broken error
}

func (s *slow) Write(b []byte) (int, error) {
	<-s.let
	s.taken.Write(b)
	return len(b), s.broken
}

// Whoever tells the screen something never waits, and what was left out is told.
func TestSlowTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slow{let: make(chan struct{})}
		s := newScreen(out, false, func(err error) { t.Error(err) })
		s.print("first\n")
		synctest.Wait()
		for range screenQueue + 3 {
			s.print("x\n")
		}
		s.flush() // in vain
		close(out.let)
		s.flush()
		s.close()
		if text := out.taken.String(); !strings.HasPrefix(text, "first\n") || !strings.Contains(text, "(3 lines were not shown") {
			t.Errorf("printed %d octets, without a word of what was lost", len(text))
		}
	})
}

// A terminal that is gone is reported once.
func TestBrokenTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &slow{let: make(chan struct{}), broken: os.ErrClosed}
		close(out.let)
		reports := 0
		s := newScreen(out, false, func(err error) {
			if reports++; !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
		})
		s.print("a\n")
		s.print("b\n")
		s.flush()
		s.close()
		if reports != 1 {
			t.Errorf("%d reports", reports)
		}
	})
}
