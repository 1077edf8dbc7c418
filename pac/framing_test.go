package pac

import (
	"testing"
	"testing/synctest"

	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// What is synchronous on the telephone line is told so, whatever an adapter makes of it for us; and Set-Link-Info changes nothing there.
func TestFramingOfLines(t *testing.T) {
	for name, c := range map[string]struct {
		line    line.Connected
		framing pptp.FramingType
		accm    uint32
	}{
		"modem":      {line.Connected{Framing: line.FramingAsync, Bearer: line.BearerAnalog, Modulation: "V.34"}, pptp.FramingAsynchronous, 5},
		"conversion": {line.Connected{Framing: line.FramingAsync, Bearer: line.BearerDigital, Modulation: "HDLC"}, pptp.FramingSynchronous, hdlc.DefaultACCM},
		"V.120":      {line.Connected{Framing: line.FramingAsync, Bearer: line.BearerDigital, Modulation: "V.120"}, pptp.FramingAsynchronous, 5},
		"frames":     {line.Connected{Framing: line.FramingSync, Bearer: line.BearerDigital}, pptp.FramingSynchronous, 5},
	} {
		if framing, accm := framingOf(c.line), sendACCM(c.line, 5); framing != c.framing || accm != c.accm {
			t.Errorf("%s: framing %v, map %08x", name, framing, accm)
		}
	}
}

// A network server gets the bearer and the framing it asks for, or no call: a terminal adapter may be synchronous on its line, which is told.
func TestOutgoingFraming(t *testing.T) {
	digital := line.Connected{RxSpeed: 64000, TxSpeed: 64000, SpeedKnown: true, Bearer: line.BearerDigital, Framing: line.FramingAsync}
	for _, c := range []struct {
		modulation string
		bearer     pptp.BearerType
		framing    pptp.FramingType
		want       pptp.OutgoingResult
	}{
		{"HDLC", pptp.BearerDigital, pptp.FramingSynchronous, pptp.OutgoingConnected},
		{"HDLC", pptp.BearerAny, pptp.FramingEither, pptp.OutgoingConnected},
		{"HDLC", pptp.BearerDigital, pptp.FramingAsynchronous, pptp.OutgoingGeneralError},
		{"V.120", pptp.BearerDigital, pptp.FramingSynchronous, pptp.OutgoingGeneralError},
		{"V.120", pptp.BearerDigital, pptp.FramingAsynchronous, pptp.OutgoingConnected},
		{"V.120", pptp.BearerAnalog, pptp.FramingAsynchronous, pptp.OutgoingGeneralError},
	} {
		synctest.Test(t, func(t *testing.T) {
			x := startOn(t, accept, accept, allow(""), func(x *bench) Driver {
				x.fake = linetest.NewFake(line.Identity{Bearers: line.BearerAnalog | line.BearerDigital})
				return fakeDriver{x.fake}
			})
			defer x.end()
			connected := digital
			connected.Modulation = c.modulation
			x.fake.Lines()[0].SetConnected(connected)
			if got := x.server.identity().FramingCapabilities; got != pptp.FramingEither {
				t.Errorf("capabilities %v", got)
			}
			request := outgoing("1")
			request.Bearer, request.Framing = c.bearer, c.framing
			x.requests(request)
			if c.want == pptp.OutgoingConnected {
				next[control.OutgoingConnected](x.pns["a"])
			} else if ended := next[control.CallEnded](x.pns["a"]); ended.Why.Outgoing != c.want || ended.Why.Error != pptp.ErrorBadValue {
				t.Errorf("%+v: ended %v", c, ended.Why)
			}
		})
	}
}
