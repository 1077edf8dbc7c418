package pns

import (
	"context"
	"errors"
	"testing"

	"trunkline.example/pns/config"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// concentrator is a PAC that answers orders to dial.
func (w *world) concentrator(answer *control.OutgoingAnswer) *client {
	w.t.Helper()
	c := w.dial(dialer{from: "127.77.0.1", host: "pac.example", pac: true, noCall: true, answer: answer})
	await[control.Established](c)
	return c
}

func TestCallIsPlaced(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	w.startEcho()
	c := w.concentrator(&control.OutgoingAnswer{ConnectSpeed: 33600, Window: 16, PhysicalChannelID: 3})
	result, err := w.server.Call(t.Context(), CallRequest{PAC: "modems", Number: "5550199", Subaddress: "7"})
	if err != nil || !result.Up || result.Speed != 33600 || result.User == "" || result.Address == "" {
		t.Fatalf("%+v, %v", result, err)
	}
	if info := await[control.OutgoingRequested](c).Call; info.DialedNumber != "5550199" || info.Subaddress != "7" || info.MinimumBPS != leastBPS || info.MaximumBPS != mostBPS {
		t.Errorf("the PAC was asked for %+v", info)
	}
	await[control.LinkInfoSet](c)
	await[link.NetworkUp](c)
	c.ping(farAway, 500, 10)
	if all := w.sessions(); len(all) != 1 || all[0].ID != result.Session || all[0].Kind != "outgoing" || all[0].Dialed != "5550199" || all[0].MRU != 576 {
		t.Errorf("sessions %+v", all)
	}
	if _, err := w.server.Kick(t.Context(), Kick{Session: result.Session}); err != nil {
		t.Error(err)
	}
	await[control.ClearRequested](c)
	if r := w.records.next(t); r.Kind != "outgoing" || r.EndedBy != "operator" || r.Dialed != "5550199" || r.Channel != 3 || r.SpeedOut != 33600 {
		t.Errorf("record %+v", r)
	}
	w.stop()
}

func TestCallFails(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	c := w.concentrator(&control.OutgoingAnswer{Result: pptp.OutgoingBusy, Cause: 17})
	result, err := w.server.Call(t.Context(), CallRequest{PAC: "PAC.example", Number: "1"})
	if err != nil || result.Up || result.Result != uint8(pptp.OutgoingBusy) || result.Q931 != 17 || result.Reason == "" {
		t.Errorf("%+v, %v", result, err)
	}
	if r := w.records.next(t); r.Kind != "outgoing" || r.Reason == "" {
		t.Errorf("record %+v", r)
	}
	if lines := w.server.Lines(); len(lines) != 0 {
		t.Errorf("a call that never had a line is counted to one: %+v", lines)
	}
	if o := w.server.admission.occupancy(); o.calls != 0 || o.halfOpen != 0 {
		t.Errorf("left behind: %+v", o)
	}
	w.server.Drain(true)
	if _, err := w.server.Call(t.Context(), CallRequest{PAC: "modems", Number: "1"}); err == nil {
		t.Error("a server that takes no new calls places one")
	}
	w.server.Drain(false)
	c.kill()
	w.stop()
}

// Who answers has to log in.
func TestCallToAStranger(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	c := w.dial(dialer{from: "127.77.0.1", user: "alice", password: "wrong", pac: true, noCall: true, answer: &control.OutgoingAnswer{ConnectSpeed: 33600, Window: 16}})
	await[control.Established](c)
	result, err := w.server.Call(t.Context(), CallRequest{PAC: "modems", Number: "1"})
	if err != nil || result.Up || result.Reason == "" {
		t.Errorf("%+v, %v", result, err)
	}
	w.stop()
}

// giveUp orders a call of a PAC that does not answer and gives it up: the PAC is asked to clear it.
func (w *world) giveUp(r CallRequest) {
	w.t.Helper()
	c := w.concentrator(nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := w.server.Call(ctx, r)
		done <- err
	}()
	await[control.OutgoingRequested](c)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		w.t.Errorf("the order ended %v", err)
	}
	await[control.ClearRequested](c)
}

// An order that is given up clears the call.
func TestCallIsGivenUp(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	w.giveUp(CallRequest{PAC: "modems", Number: "1"})
	if r := w.records.next(t); r.EndedBy != "operator" {
		t.Errorf("record %+v", r)
	}
	w.stop()
}

func TestOrdersThatMakeNoSense(t *testing.T) {
	w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
	w.concentrator(nil)
	for _, r := range []CallRequest{{PAC: "modems"}, {PAC: "nobody", Number: "1"}, {Number: "1"}} {
		var refused *admin.Error
		if _, err := w.server.Call(t.Context(), r); !errors.As(err, &refused) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	w.stop()
}
