package linkreport

import (
	"strings"
	"testing"
)

func TestReports(t *testing.T) {
	for text, want := range map[string]Link{
		"": {}, "OK": {}, "Model 5601": {},
		// A USRobotics, as the driver hands it over: lines with "; " between them.
		"USRobotics Courier V.Everything Link Diagnostics...; Chars sent                 64500      Chars Received             2201; Blocks sent 410 Blocks Received 17; " +
			"Blocks resent                  7; Retrains Requested             2      Retrains Granted               1; Link Timeouts 0 Link Naks 1; " +
			"Data Compression       V42BIS 2048/32; Protocol               LAPM; Speed                  33600/31200; Last Call              00:01:10; Disconnect Reason is Loss of carrier": {
			Reason: "loss-of-carrier", SpeedIn: 33600, SpeedOut: 31200, Retrains: 3, Resent: 7},
		// A Lucent: its second page is shown after a key, and may be missing.
		"Description Status; 1 Last Connection V.34; 2 Initial Transmit Carrier Rate 33600; 4 Final   Transmit Carrier Rate   28800; 5 Final   Receive  Carrier Rate   26400; " +
			"11 Round Trip Delay (msec) 4; 15 Transmit Frame Error Count 12; 18 Retrain by Local Modem 1; 19 Retrain by Remote Modem 2; 20 Call Termination Cause 1; 22 Digital Loss (dB) 6": {
			Reason: "remote", SpeedIn: 26400, SpeedOut: 28800, Retrains: 3, Resent: 12, RoundTrip: 4},
		"DIAG <2A4D3263 0=10>; DIAG <2A4D3263 1=07 2=0 3=0>; DIAG <2A4D3263 17=1A>; DIAG <2A4D3263 26=8340 27=8340 32=1 33=2 34=7080 35=6720>; DIAG <2A4D3263 58=A>; DIAG <2A4D3263 60=3C>": {
			Reason: "loss-of-carrier", SpeedIn: 26400, SpeedOut: 28800, Retrains: 3, Resent: 10, RoundTrip: 26},
		"DIAG <2A4D3263 60=FF>": {}, "DIAG <12345678 60=3C>": {},
		"Last call ANSWER; Line speed TX/RX 31200/33600; Modulation V34 protocol LAPM; Octets sent 1 received 2; Duration 3 s; Ended: remote hang-up": {
			Reason: "remote-hang-up", SpeedIn: 33600, SpeedOut: 31200},
		"Disconnect Reason is cause=\x1b[2J  x=y; z":          {Reason: "cause-2j-x-y"},
		"Disconnect Reason is " + strings.Repeat("very ", 20): {Reason: "very-very-very-very-very"},
	} {
		if got := Parse(text); got != want {
			t.Errorf("%q\nis read as %+v, want %+v", text, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Speed 33600/31200; Disconnect Reason is Loss of carrier")
	f.Add("DIAG <2A4D3263 60=3C 34=7080>")
	f.Fuzz(func(t *testing.T, text string) {
		l := Parse(text)
		if len(l.Reason) > MaxReason || strings.Trim(l.Reason, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("the reason is %q", l.Reason)
		}
	})
}
