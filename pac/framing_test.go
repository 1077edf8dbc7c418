package pac

import (
	"testing"

	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line"
	"trunkline.example/shared/pptp"
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
