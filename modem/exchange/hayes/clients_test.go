package hayes

import (
	"strings"
	"testing"
)

// What clients say before they dial or answer: each line is accepted.
func TestWhatClientsSay(t *testing.T) {
	for client, lines := range map[string][]string{
		"Windows, standard modem": {"AT", "AT&F E0 V1 &D2 &C1 S0=0", "AT E0 Q0 V1 W1 T L2 M1 &C1", "AT &D2 &S0 X4 %C1 \\J0 \\N7 \\Q3 \\V1 \\T0", "ATS7=50S30=0L0M1\\N3%C1&K3B1X4"},
		"Windows NT, Hayes":       {"AT&FE0V1W1&C1&D2S95=47", "ATS7=60S30=0L0M1&Q5S36=7S48=7S46=138&K3", "ATB0N1X4", "ATS0=0"},
		"Windows XP, USR":         {"AT&F1E0Q0V1&C1&D2S0=0", "ATS7=60S19=0M1&M4&K1&H1&R2&I0B0X4"},
		"Windows, detection":      {"ATE0V1", "ATI0", "ATI3", "ATI9", "AT+FCLASS=?", "AT#CLS=?", "AT+GMM", "AT+VCID=?", "AT+GCAP"},
		"wvdial":                  {"ATZ", "ATQ0 V1 E1 S0=0 &C1 &D2 +FCLASS=0"},
		"mgetty":                  {"ATQ0V1H0", "ATS0=0Q0&D3&C1"},
		"DreamPi":                 {"ATZ0", "AT&F0", "ATE0W2", "AT+FCLASS=0"},
		"Mac OS":                  {"AT&F1", "ATE0&D0&C1W2S0=0S95=1", "AT&F1&K3Q0V1X4S7=70S10=20", "ATX3"},
		"consoles":                {"AT&FE0V1&D2&C1X3", "AT+MS=V34,1,300,33600", "AT\\N3%C1&K3", "AT-V90=0", "AT+PIG=1;+PQC=3", "AT&L0&X0S37=9"},
	} {
		r := newRig(t, Config{})
		for _, line := range lines {
			if got := r.ask(line); !strings.HasSuffix(got, ok) {
				t.Errorf("%s: %s: %q", client, line, got)
			}
		}
	}
}

// What no modem of the lab has is refused, so that clients take another way.
func TestFaxAndVoiceAreRefused(t *testing.T) {
	for _, strict := range []bool{false, true} {
		r := quiet(t, Config{Strict: strict})
		for _, line := range []string{"AT+FCLASS=1", "AT+FCLASS=8", "AT#CLS=8", "ATS256=1", "ATE2", "ATX9", "AT&C2", "AT&D4", "ATV2", "ATQ3"} {
			r.want(line, bad)
		}
	}
}
