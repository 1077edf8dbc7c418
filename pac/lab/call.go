package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"trunkline.example/shared/record"
)

// Where the built-in call comes from.
const (
	callerPhone  = "phone1"
	callerNumber = "2001"
)

// outcome is what the caller prints last, as far as the lab looks.
type outcome struct {
	Encrypted bool          `json:"encrypted"`
	Address   string        `json:"address"`
	FirstPing time.Duration `json:"first_ping"`
	FCSErrors uint64        `json:"fcs_errors"`
	Probes    []struct {
		Sent, Received     uint64
		Least, Most, Total time.Duration
	} `json:"probes"`
	Host struct {
		SentPackets, SentOctets, ReceivedPackets, ReceivedOctets uint64
	} `json:"host"`
}

// pings sums up the series.
func (o outcome) pings() (sent, received uint64, least, mean, most time.Duration) {
	var total time.Duration
	for i, p := range o.Probes {
		sent, received, total = sent+p.Sent, received+p.Received, total+p.Total
		if i == 0 || p.Least < least {
			least = p.Least
		}
		most = max(most, p.Most)
	}
	if received > 0 {
		mean = total / time.Duration(received)
	}
	return sent, received, least, mean, most
}

// firstCall is the built-in call in progress. Safe for concurrent use.
type firstCall struct {
	clean bool // the lines are to lose nothing

	mu        sync.Mutex
	began     time.Time
	connected time.Time
	network   time.Time
	result    *outcome
	records   map[string]record.Record // by daemon
	recorded  chan struct{}            // closed when both are there
}

func newFirstCall(clean bool) *firstCall {
	return &firstCall{clean: clean, records: map[string]record.Record{}, recorded: make(chan struct{})}
}

// line takes one line that the caller printed; it returns the step, unless it was the result.
func (f *firstCall) line(text []byte) (step, bool) {
	var c step
	if json.Unmarshal(text, &c) != nil {
		return c, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Kind == "" {
		var o outcome
		if json.Unmarshal(text, &o) == nil {
			f.result = &o
		}
		return c, false
	}
	switch {
	case c.Kind == "dialing":
		f.began = c.At
	case c.Kind == "connect":
		f.connected = c.At
	case c.Kind == "network" && f.network.IsZero():
		f.network = c.At
	}
	return c, true
}

// record takes the call records of the first call from its phone.
func (f *firstCall) record(r record.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.records[r.Daemon]; ok || r.Dialing != callerNumber {
		return
	}
	f.records[r.Daemon] = r
	if len(f.records) == 2 {
		close(f.recorded)
	}
}

// verdict is nil if a ping came back through MPPE, as the caller and pns have it.
func (f *firstCall) verdict(exit error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if exit != nil {
		return exit
	}
	if f.result == nil {
		return errors.New("the caller told no result")
	}
	sent, received, _, _, _ := f.result.pings()
	switch {
	case received == 0 || f.clean && received < sent:
		return fmt.Errorf("%d of %d pings came back", received, sent)
	case !f.result.Encrypted:
		return errors.New("the pings came back without encryption")
	}
	r, ok := f.records["pns"]
	switch {
	case !ok:
		return fmt.Errorf("pns has written no call record within %v", recordLimit)
	case !strings.Contains(r.Encryption, "MPPE"), r.PacketsIn < received:
		return fmt.Errorf("pns has not seen the pings encrypted: %d packets, encryption %q", r.PacketsIn, r.Encryption)
	}
	return nil
}

// summary is the call in two lines.
func (f *firstCall) summary() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	sent, received, least, mean, most := f.result.pings()
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("\nThe call worked: %d of %d pings came back through %s; least/mean/most %.1f/%.1f/%.1f ms.\n"+
		"From the dial: CONNECT after %.2f s, the network after %.2f s, the first ping back after %.2f s.\n\n",
		received, sent, f.records["pns"].Encryption, ms(least), ms(mean), ms(most),
		f.connected.Sub(f.began).Seconds(), f.network.Sub(f.began).Seconds(), f.result.FirstPing.Seconds())
}

// makeCall makes the built-in call and returns nil if it was as it should be.
func (l *lab) makeCall(ctx context.Context) error {
	l.screen.print("A call from %s to %s:\n\n%9s  %-7s  %-8s  %s\n", callerPhone, l.start.Options.Number, "seconds", "line", "who", "what")
	args := []string{"caller", l.start.Options.Number, "--port", linesDir + "/" + callerPhone, "--user", User, "--encryption", "required", "--limit", "60s", "--json"}
	if !l.first.clean {
		args = append(args, "--lossy")
	}
	k, err := l.reaper.spawn(command{
		name: "caller", dir: runDir, path: binDir + "/pac", limit: 5 * time.Second, input: l.start.Options.Password + "\n", args: args,
		out: func(text []byte) {
			if c, ok := l.first.line(text); ok {
				l.tell(func(s *story) []event { return s.caller(callerPhone, c) })
			}
		},
	})
	if err != nil {
		return err
	}
	if err := k.wait(ctx); err != nil {
		return err
	}
	exit := k.problem()
	if words := k.lastWords(); exit != nil && len(words) > 0 {
		exit = errors.New(strings.TrimPrefix(words[len(words)-1], "pac: "))
	}
	l.awaitRecords(ctx, exit == nil)
	l.countersOfCaller()
	l.screen.flush()
	return l.first.verdict(exit)
}

// awaitRecords waits for what both daemons write at the end of the call; of a call that failed there may be none.
func (l *lab) awaitRecords(ctx context.Context, certain bool) {
	limit := time.NewTimer(recordLimit)
	if !certain {
		limit.Reset(time.Second)
	}
	defer limit.Stop()
	select {
	case <-l.first.recorded:
	case <-limit.C:
	case <-ctx.Done():
	}
}

// countersOfCaller tells the caller's own counters, as the daemons' are told from their records.
func (l *lab) countersOfCaller() {
	l.first.mu.Lock()
	defer l.first.mu.Unlock()
	o := l.first.result
	if o == nil {
		return
	}
	errors := "no errors"
	if o.FCSErrors > 0 {
		errors = fmt.Sprintf("%d bad FCS", o.FCSErrors)
	}
	text := counters(o.Host.SentOctets, o.Host.SentPackets, o.Host.ReceivedOctets, o.Host.ReceivedPackets, errors)
	l.screen.tell(event{at: time.Now(), line: callerPhone, who: "caller", text: text, style: mark})
}
