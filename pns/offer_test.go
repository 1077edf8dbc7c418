package pns

import (
	"testing"
	"time"

	"trunkline.example/pns/config"
	"trunkline.example/shared/gre/tunnel/gretest"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// A call that its PAC offers and gives up before it was answered was given up by the PAC, whatever had come of an answer.
func TestOfferIsWithdrawn(t *testing.T) {
	for _, c := range []struct {
		name     string
		withdraw func(c *control.Connection, now time.Time, own uint16)
	}{
		{"the call", func(c *control.Connection, now time.Time, own uint16) {
			_ = c.EndCall(now, own, control.Disconnect{Result: pptp.DisconnectLostCarrier})
		}},
		{"the control connection", func(c *control.Connection, now time.Time, _ uint16) { c.Stop(now, pptp.StopShutdown) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, gretest.Config{}, func(cfg *config.Config) { pacAt(cfg, "127.77.0.0/16") })
			p := w.dial(dialer{from: "127.77.0.1", pac: true, noCall: true})
			await[control.Established](p)
			p.do(func(now time.Time) {
				own, err := p.control.OfferIncoming(now, control.IncomingOffer{Bearer: pptp.BearerAnalog, DialedNumber: "5550100"})
				if err != nil {
					t.Error(err)
				}
				c.withdraw(p.control, now, own)
				var octets []byte // in one piece, so that both are read before either is dealt with
				for _, a := range p.control.Actions() {
					if s, ok := a.(control.Send); ok {
						octets = append(octets, s.Bytes...)
					}
				}
				if _, err := p.nc.Write(octets); err != nil {
					t.Error(err)
				}
			})
			if r := w.records.next(t); r.Cause != "lower-down" || r.EndedBy != "peer" || !r.Connected.IsZero() || r.Dialed != "5550100" {
				t.Errorf("record %+v", r)
			}
			if s := w.server.Status(); s.Calls != 0 || s.HalfOpen != 0 {
				t.Errorf("%d calls are left, %d half-open", s.Calls, s.HalfOpen)
			}
			w.stop()
		})
	}
}
