package pptp

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readHex reads a file of hex digits; "#" begins a comment.
func readHex(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		for field := range strings.FieldsSeq(line) {
			digits.WriteString(field)
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return b
}

// goldens are the committed vectors, one for each message type, with what they
// mean and how people read them.
var goldens = []struct {
	file    string
	message Message
	summary string
}{
	{
		"start-control-connection-request",
		&StartControlConnectionRequest{
			ProtocolVersion: Version10, FramingCapabilities: FramingEither, BearerCapabilities: BearerAnalog,
			MaximumChannels: 240, FirmwareRevision: 519,
			HostName: MakeText64("pac.trunkline.example"), VendorName: MakeText64("Trunkline"),
		},
		`Start-Control-Connection-Request: version 1.0, framing asynchronous+synchronous, bearer analog, 240 channels, firmware 519, host "pac.trunkline.example", vendor "Trunkline"`,
	},
	{
		"start-control-connection-reply",
		&StartControlConnectionReply{
			ProtocolVersion: Version10, ResultCode: ControlGeneralError, ErrorCode: ErrorNoResource,
			FramingCapabilities: FramingSynchronous, BearerCapabilities: BearerAny, FirmwareRevision: 1,
			HostName: MakeText64(strings.Repeat("h", 64)),
		},
		`Start-Control-Connection-Reply: general error (no resource), version 1.0, framing synchronous, bearer analog+digital, 0 channels, firmware 1, host "` + strings.Repeat("h", 64) + `", vendor ""`,
	},
	{
		"stop-control-connection-request",
		&StopControlConnectionRequest{Reason: StopShutdown},
		"Stop-Control-Connection-Request: shutting down",
	},
	{
		"stop-control-connection-reply",
		&StopControlConnectionReply{ResultCode: StopGeneralError, ErrorCode: ErrorNotConnected},
		"Stop-Control-Connection-Reply: general error (not connected)",
	},
	{
		"echo-request",
		&EchoRequest{Identifier: 0xdeadbeef},
		"Echo-Request 3735928559",
	},
	{
		"echo-reply",
		&EchoReply{Identifier: 0xdeadbeef, ResultCode: EchoOK},
		"Echo-Reply 3735928559: OK",
	},
	{
		"outgoing-call-request",
		&OutgoingCallRequest{
			PNSCallID: 4660, CallSerialNumber: 22136, MinimumBPS: 300, MaximumBPS: 100000000,
			BearerType: BearerAny, FramingType: FramingAsynchronous, PacketRecvWindowSize: 64, PacketProcessingDelay: 5,
			PhoneNumberLength: 12, PhoneNumber: MakeText64("+15550123456"), Subaddress: MakeText64("42"),
		},
		`Outgoing-Call-Request: PNS Call ID 4660, serial 22136, number "+15550123456", 300..100000000 bit/s, bearer analog+digital, framing asynchronous, window 64, delay 500ms, subaddress "42"`,
	},
	{
		"outgoing-call-reply",
		&OutgoingCallReply{
			PACCallID: 65244, PNSCallID: 4660, ResultCode: OutgoingConnected, CauseCode: 16,
			ConnectSpeed: 33600, PacketRecvWindowSize: 16, PhysicalChannelID: 7,
		},
		"Outgoing-Call-Reply: PAC Call ID 65244, PNS Call ID 4660, connected, cause 16, 33600 bit/s, window 16, delay 0s, channel 7",
	},
	{
		"incoming-call-request",
		&IncomingCallRequest{
			PACCallID: 258, CallSerialNumber: 772, CallBearerType: BearerDigital, PhysicalChannelID: 65559,
			DialedNumberLength: 7, DialingNumberLength: 64, DialedNumber: MakeText64("5550100"),
			DialingNumber: MakeText64(strings.Repeat("0123456789", 7)),
		},
		`Incoming-Call-Request: PAC Call ID 258, serial 772, dialed "5550100", dialing "` + strings.Repeat("0123456789", 6) + `0123", bearer digital, channel 65559`,
	},
	{
		"incoming-call-reply",
		&IncomingCallReply{PNSCallID: 2571, PACCallID: 258, ResultCode: IncomingDoNotAccept, PacketRecvWindowSize: 32, PacketTransmitDelay: 64},
		"Incoming-Call-Reply: PAC Call ID 258, PNS Call ID 2571, not accepted, window 32, delay 6.4s",
	},
	{
		"incoming-call-connected",
		&IncomingCallConnected{PNSCallID: 2571, ConnectSpeed: 115200, PacketRecvWindowSize: 8, PacketTransmitDelay: 1, FramingType: FramingSynchronous},
		"Incoming-Call-Connected: PNS Call ID 2571, 115200 bit/s, framing synchronous, window 8, delay 100ms",
	},
	{
		"call-clear-request",
		&CallClearRequest{PNSCallID: 4660},
		"Call-Clear-Request: PNS Call ID 4660",
	},
	{
		"call-disconnect-notify",
		&CallDisconnectNotify{PACCallID: 65244, ResultCode: DisconnectRequest, CauseCode: 31, CallStatistics: MakeText128("in 1234 octets out 5678 octets")},
		`Call-Disconnect-Notify: PAC Call ID 65244, Call-Clear-Request received, cause 31, statistics "in 1234 octets out 5678 octets"`,
	},
	{
		"wan-error-notify",
		&WANErrorNotify{PNSCallID: 4660, WANErrors: WANErrors{1, 22, 333, 4444, 55555, 666666}},
		"WAN-Error-Notify: PNS Call ID 4660, 1 CRC, 22 framing, 333 hardware overruns, 4444 buffer overruns, 55555 time-outs, 666666 alignment",
	},
	{
		"set-link-info",
		&SetLinkInfo{PACCallID: 65244, SendACCM: 0x000a0000, ReceiveACCM: 0xffffffff},
		"Set-Link-Info: PAC Call ID 65244, send ACCM 0x000a0000, receive ACCM 0xffffffff",
	},
}

func goldenPath(file string) string { return filepath.Join("testdata", "golden", file+".hex") }

func TestGolden(t *testing.T) {
	seen := make(map[MessageType]bool)
	for _, g := range goldens {
		t.Run(g.file, func(t *testing.T) {
			wire := readHex(t, goldenPath(g.file))
			seen[g.message.Type()] = true
			if len(wire) != g.message.Type().Length() {
				t.Errorf("vector has %d octets, type %d", len(wire), g.message.Type().Length())
			}
			if got := g.message.Append(nil); !bytes.Equal(got, wire) {
				t.Errorf("encoded\n%x, want\n%x", got, wire)
			}
			prefix := []byte("prefix")
			if got := g.message.Append(prefix); !bytes.Equal(got, append([]byte("prefix"), wire...)) {
				t.Errorf("Append does not append: %x", got)
			}
			got, err := Decode(wire)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(g.message, got); diff != "" {
				t.Errorf("decoded differently (-want +got):\n%s", diff)
			}
			if s := got.Summary(); s != g.summary {
				t.Errorf("Summary\n%s, want\n%s", s, g.summary)
			}
		})
	}
	for _, mt := range MessageTypes() {
		if !seen[mt] {
			t.Errorf("no vector for %v", mt)
		}
	}
}

// TestAllOnes fills every field, reserved ones included, with ones: nothing may
// be lost, and nothing may be said in more than one line.
func TestAllOnes(t *testing.T) {
	for _, mt := range MessageTypes() {
		wire := mt.New().Append(nil)
		for i := HeaderLength - 2; i < len(wire); i++ {
			wire[i] = 0xff
		}
		m, err := Decode(wire)
		if err != nil {
			t.Errorf("%v: %v", mt, err)
			continue
		}
		if got := m.Append(nil); !bytes.Equal(got, wire) {
			t.Errorf("%v: encoded\n%x, want\n%x", mt, got, wire)
		}
		printable := func(r rune) bool { return r >= ' ' && r <= '~' }
		if s := m.Summary(); strings.ContainsFunc(s, func(r rune) bool { return !printable(r) }) || !strings.HasPrefix(s, mt.String()) {
			t.Errorf("%v: Summary %q", mt, s)
		}
	}
}
