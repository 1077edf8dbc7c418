package pac

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"trunkline.example/pac/config"
	"trunkline.example/shared/gre"
	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/record"
)

func allow(prefixes ...string) func(*config.Config) {
	return func(c *config.Config) { c.Dialout.Allow = prefixes }
}

func outgoing(number string) control.OutgoingRequest {
	return control.OutgoingRequest{
		CallSerialNumber: 77, MinimumBPS: 300, MaximumBPS: 115200, Bearer: pptp.BearerAny, Framing: pptp.FramingEither, Window: 8, PhoneNumber: number,
	}
}

// request has PNS "a" ask for a call.
func (x *bench) request(number string) (own uint16) {
	x.t.Helper()
	return x.requests(outgoing(number))
}

// requests is request with wishes.
func (x *bench) requests(r control.OutgoingRequest) (own uint16) {
	x.t.Helper()
	x.pns["a"].do(func(now time.Time, c *control.Connection) (err error) {
		own, err = c.RequestOutgoing(now, r)
		return err
	})
	return own
}

// refused is how many calls of PNS "a" were refused for a reason.
func (x *bench) refused(reason string) uint64 { return x.shownOf("a").Refused[reason] }

// shownOf is what the status tells of a network server.
func (x *bench) shownOf(name string) PNSStatus {
	x.t.Helper()
	for _, p := range x.server.PNS() {
		if p.Name == name {
			return p
		}
	}
	x.t.Fatalf("%q is not shown", name)
	return PNSStatus{}
}

func TestOutgoingCallIsRelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, allow("55"))
		defer x.end()
		x.request("5550199")
		far := x.fake.Lines()[0]
		if number, err := far.Dialed(t.Context()); err != nil || number != "5550199" {
			t.Fatalf("dialled %q, %v", number, err)
		}
		p := x.pns["a"]
		call := next[control.OutgoingConnected](p).Call
		if call.ConnectSpeed != 33600 || call.PACWindow == 0 {
			t.Errorf("the network server was told %+v", call)
		}
		synctest.Wait()
		if c := x.server.Lines()[0].Call; c == nil || c.Kind != record.KindOutgoing || c.Dialed != "5550199" || c.CallSerial != 77 || c.Stage != "established" {
			t.Errorf("shown as %+v", c)
		}
		x.must(far.Send(t.Context(), hdlc.AppendFrame(nil, lcpRequest, hdlc.DefaultACCM)))
		if h, payload := p.receive(); !bytes.Equal(payload, lcpRequest) || h.CallID != call.PNSCallID {
			t.Errorf("GRE %+v carries % x", h, payload)
		}
		data := []byte{0xff, 0x03, 0x00, 0x21, 0x45}
		stuffed := hdlc.AppendFrame(nil, data, hdlc.DefaultACCM)
		p.send(gre.Header{CallID: call.PACCallID, HasSequence: true}, data)
		if got, err := far.Receive(t.Context(), len(stuffed)); err != nil || !bytes.Equal(got, stuffed) {
			t.Errorf("on the line: % x (%v)", got, err)
		}
		p.do(func(now time.Time, c *control.Connection) error { return c.ClearCall(now, call.Own()) })
		if ended := next[control.CallEnded](p); ended.Why.Disconnect != pptp.DisconnectRequest {
			t.Errorf("ended %+v", ended.Why)
		}
		synctest.Wait()
		if l := x.server.Lines()[0]; l.State != line.StateIdle || l.Call != nil {
			t.Errorf("afterwards the line is %+v", l)
		}
	})
}

// What becomes of the call on the line is told in the Outgoing-Call-Reply.
func TestOutgoingCallFails(t *testing.T) {
	for outcome, want := range map[linetest.Outcome]pptp.OutgoingResult{
		linetest.OutcomeBusy: pptp.OutgoingBusy, linetest.OutcomeNoAnswer: pptp.OutgoingTimeOut, linetest.OutcomeNoCarrier: pptp.OutgoingNoCarrier,
		linetest.OutcomeNoDialtone: pptp.OutgoingNoDialTone, linetest.OutcomeUnanswered: pptp.OutgoingTimeOut,
	} {
		synctest.Test(t, func(t *testing.T) {
			x := start(t, accept, accept, func(c *config.Config) {
				allow("")(c)
				c.Timers.Connect = 30 * time.Second // less than the network server waits
			})
			defer x.end()
			x.must(x.fake.Lines()[0].Plan(t.Context(), outcome))
			x.request("1")
			if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Cause != control.CauseRefusedByPAC || ended.Why.Outgoing != want {
				t.Errorf("%v: ended %v, want %v", outcome, ended.Why, want)
			}
			synctest.Wait()
			if l := x.server.Lines()[0]; l.State != line.StateIdle || l.Call != nil {
				t.Errorf("%v: afterwards the line is %+v", outcome, l)
			}
		})
	}
}

func TestOutgoingCallIsClearedWhileItDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, allow(""))
		defer x.end()
		far := x.fake.Lines()[0]
		x.must(far.Plan(t.Context(), linetest.OutcomeUnanswered))
		own := x.request("1")
		synctest.Wait()
		if s := far.Status(); s.State != line.StateDialing {
			t.Fatalf("the line is %v", s.State)
		}
		x.pns["a"].do(func(now time.Time, c *control.Connection) error { return c.ClearCall(now, own) })
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Disconnect != pptp.DisconnectRequest {
			t.Errorf("ended %+v", ended.Why)
		}
		synctest.Wait()
		if s := far.Status(); s.State != line.StateIdle {
			t.Errorf("the line is %v", s.State)
		}
	})
}

// A call that is cleared before any line has its order is over at once, and the line that gets the order gives it up.
func TestOutgoingCallIsClearedBeforeALineHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, allow(""))
		defer x.end()
		x.pns["a"].do(func(now time.Time, c *control.Connection) error {
			own, err := c.RequestOutgoing(now, outgoing("1"))
			return errors.Join(err, c.ClearCall(now, own))
		})
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Disconnect != pptp.DisconnectRequest {
			t.Errorf("ended %+v", ended.Why)
		}
		synctest.Wait()
		for i, far := range x.fake.Lines() {
			if s := far.Status(); s.State != line.StateIdle {
				t.Errorf("line %d is %v", i+1, s.State)
			}
		}
	})
}

// A line that is taken is passed over, and when none is free that is said.
func TestOutgoingCallFindsAFreeLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, allow(""))
		defer x.end()
		x.up()
		p := x.pns["a"]
		x.request("1")
		next[control.OutgoingConnected](p)
		if s := x.fake.Lines()[1].Status(); s.State != line.StateConnected {
			t.Errorf("the second line is %v", s.State)
		}
		x.request("2")
		if ended := next[control.CallEnded](p); ended.Why.Outgoing != pptp.OutgoingGeneralError || ended.Why.Error != pptp.ErrorNoResource {
			t.Errorf("ended %v", ended.Why)
		}
		if x.refused("no-line") != 1 {
			t.Errorf("counted as %v", x.shownOf("a").Refused)
		}
	})
}

// Orders that all found the same line free end up on different ones.
func TestOutgoingCallsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, allow(""))
		defer x.end()
		for range 3 {
			x.request("1")
		}
		p := x.pns["a"]
		ended := next[control.CallEnded](p)
		if ended.Why.Outgoing != pptp.OutgoingGeneralError || ended.Why.Error != pptp.ErrorNoResource {
			t.Errorf("ended %v", ended.Why)
		}
		if x.refused("no-line") != 1 {
			t.Errorf("counted as %v", x.shownOf("a").Refused)
		}
		synctest.Wait()
		for _, l := range x.server.Lines() {
			if l.State != line.StateConnected {
				t.Errorf("line %s is %v", l.Name, l.State)
			}
		}
	})
}

func TestOutgoingCallsRefused(t *testing.T) {
	for _, test := range []struct {
		why    string
		change func(*config.Config)
		number string
	}{
		{"nothing is allowed", nil, "1"},
		{"not allowed", allow("55"), "0900"},
		{"denied", func(c *config.Config) { c.Dialout = config.Dialout{Allow: []string{"0"}, Deny: []string{"0900"}} }, "0,900123"},
		{"a command", allow(""), "1;+FCLASS=8"},
		{"no number", allow(""), ",,"},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := start(t, accept, accept, test.change)
			defer x.end()
			x.request(test.number)
			if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Outgoing != pptp.OutgoingDoNotAccept {
				t.Errorf("%s: ended %v", test.why, ended.Why)
			}
			if x.refused("number") != 1 {
				t.Errorf("%s: counted as %v", test.why, x.shownOf("a").Refused)
			}
			if s := x.fake.Lines()[0].Status(); s.State != line.StateIdle {
				t.Errorf("%s: the line is %v", test.why, s.State)
			}
		})
	}
}

// A network server that offers a call, as if it were a concentrator, is told no at once.
func TestOfferedCallIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, nil)
		defer x.end()
		began := time.Now()
		x.pns["a"].do(func(now time.Time, c *control.Connection) error {
			_, err := c.OfferIncoming(now, control.IncomingOffer{DialedNumber: "1", DialingNumber: "2"})
			return err
		})
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Cause != control.CauseRefusedByPNS || time.Since(began) > 0 {
			t.Errorf("ended %v after %v", ended.Why, time.Since(began))
		}
		if x.refused("not-a-pac") != 1 {
			t.Errorf("counted as %v", x.shownOf("a").Refused)
		}
	})
}

// A line that cannot connect at a speed within the bounds is not asked.
func TestLineIsPickedBySpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := startOn(t, accept, accept, allow(""), func(x *bench) Driver {
			x.fake = linetest.NewFake(
				line.Identity{Name: "slow", MinimumBPS: 300, MaximumBPS: 14400}, line.Identity{Name: "fast", MinimumBPS: 56000, MaximumBPS: 128000},
				line.Identity{Name: "unknown"})
			return fakeDriver{x.fake}
		})
		defer x.end()
		for _, c := range []struct {
			least, most uint32
			want        []string
		}{
			{0, 0, []string{"slow", "fast", "unknown"}}, {33600, 64000, []string{"fast", "unknown"}}, {300, 33600, []string{"slow", "unknown"}},
			{19200, 33600, []string{"unknown"}}, {14400, 56000, []string{"slow", "fast", "unknown"}},
		} {
			var names []string
			for _, o := range x.server.linesFor(control.Call{MinimumBPS: c.least, MaximumBPS: c.most}) {
				names = append(names, o.identity.Name)
			}
			if !slices.Equal(names, c.want) {
				t.Errorf("%d to %d bit/s: %q, want %q", c.least, c.most, names, c.want)
			}
		}
	})
}

// The budget is of an hour, whatever became of the calls.
func TestCallsPerHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := start(t, accept, accept, func(c *config.Config) {
			allow("")(c)
			c.Dialout.CallsPerHour = 2
		})
		defer x.end()
		x.must(x.fake.Lines()[0].Plan(t.Context(), linetest.OutcomeBusy))
		for i, want := range []pptp.OutgoingResult{pptp.OutgoingBusy, pptp.OutgoingBusy, pptp.OutgoingDoNotAccept} {
			x.request("1")
			if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Outgoing != want {
				t.Errorf("call %d ended %v", i+1, ended.Why)
			}
			synctest.Wait() // until the line is idle: the next call is to find the same one
		}
		if x.refused("calls-per-hour") != 1 {
			t.Errorf("counted as %v", x.shownOf("a").Refused)
		}
		<-time.After(time.Hour)
		x.request("1")
		if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Outgoing != pptp.OutgoingBusy {
			t.Errorf("an hour later the call ended %v", ended.Why)
		}
	})
}

// Every cause has its meaning, and Q.850 says more where the line does not.
func TestMeanings(t *testing.T) {
	for code := line.CauseUnknown; code <= line.CauseNetwork; code++ {
		m, ok := meanings[code]
		if !ok || m.disconnect == 0 || m.outgoing <= pptp.OutgoingConnected || m.by == nobody {
			t.Errorf("%v means %+v", code, m)
		}
		if (m.error != 0) != (m.outgoing == pptp.OutgoingGeneralError) {
			t.Errorf("%v: the error code goes with the general error, and only with it: %+v", code, m)
		}
	}
	for cause, want := range map[line.Cause]pptp.OutgoingResult{
		{Code: line.CauseNoCarrier, Q850: 17}: pptp.OutgoingBusy, {Code: line.CauseNoCarrier, Q850: 34}: pptp.OutgoingNoDialTone,
		{Code: line.CauseBusy, Q850: 34}: pptp.OutgoingBusy, {Code: line.CauseNoCarrier, Q850: 200}: pptp.OutgoingNoCarrier,
		{Code: 250}: pptp.OutgoingNoCarrier, {Q850: 102}: pptp.OutgoingTimeOut, {Code: line.CauseNoAnswer}: pptp.OutgoingTimeOut,
		{Code: line.CauseNoCarrier, Q850: 1}: pptp.OutgoingGeneralError, {Code: line.CauseNoCarrier, Q850: 18}: pptp.OutgoingTimeOut,
		{Code: line.CauseNoCarrier, Q850: 21}: pptp.OutgoingDoNotAccept, {Code: line.CauseNoCarrier, Q850: 65}: pptp.OutgoingGeneralError,
		{Code: line.CauseNoCarrier, Q850: 31}: pptp.OutgoingNoCarrier,
	} {
		got := outgoingFailure(ending{}, cause)
		if got.Result != want || got.Cause != pptp.CauseCode(cause.Q850) || (got.Error != 0) != (want == pptp.OutgoingGeneralError) {
			t.Errorf("%v is answered %+v, want %v", cause, got, want)
		}
	}
}
