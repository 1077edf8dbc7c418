package e2e

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/pcapng"
	"trunkline.example/shared/pptp"
)

// values are fields of a control message by Wireshark's names for them, without "pptp.": numbers and texts.
type values map[string]any

// judged are messages of every type, each field with another value, and what tshark must make of them.
var judged = []struct {
	message pptp.Message
	fields  values
}{
	{&pptp.StartControlConnectionRequest{
		ProtocolVersion: pptp.Version10, FramingCapabilities: pptp.FramingEither, BearerCapabilities: pptp.BearerAnalog,
		MaximumChannels: 240, FirmwareRevision: 519, HostName: pptp.MakeText64("pac.example"), VendorName: pptp.MakeText64("Trunkline"),
	}, values{
		"protocol_version": 0x100, "framing_capabilities": 3, "bearer_capabilities": 1, "maximum_channels": 240, "firmware_revision": 519,
		"host_name": "pac.example", "vendor_name": "Trunkline",
	}},
	{&pptp.StartControlConnectionReply{
		ProtocolVersion: pptp.Version10, ResultCode: pptp.ControlGeneralError, ErrorCode: pptp.ErrorNoResource, FramingCapabilities: pptp.FramingSynchronous,
		BearerCapabilities: pptp.BearerAny, MaximumChannels: 7, FirmwareRevision: 1, HostName: pptp.MakeText64(strings.Repeat("h", 64)),
	}, values{
		"protocol_version": 0x100, "control_result": 2, "error": 4, "framing_capabilities": 2, "bearer_capabilities": 3, "maximum_channels": 7,
		"firmware_revision": 1, "host_name": strings.Repeat("h", 64), "vendor_name": "",
	}},
	{&pptp.StopControlConnectionRequest{Reason: pptp.StopShutdown}, values{"reason": 3}},
	{&pptp.StopControlConnectionReply{ResultCode: pptp.StopGeneralError, ErrorCode: pptp.ErrorNotConnected}, values{"stop_result": 2, "error": 1}},
	{&pptp.EchoRequest{Identifier: 0xdeadbeef}, values{"identifier": 0xdeadbeef}},
	{&pptp.EchoReply{Identifier: 0xdeadbef0, ResultCode: pptp.EchoOK}, values{"identifier": 0xdeadbef0, "echo_result": 1, "error": 0}},
	{&pptp.OutgoingCallRequest{
		PNSCallID: 4660, CallSerialNumber: 22136, MinimumBPS: 300, MaximumBPS: 100_000_000, BearerType: pptp.BearerAny, FramingType: pptp.FramingAsynchronous,
		PacketRecvWindowSize: 64, PacketProcessingDelay: 5, PhoneNumberLength: 12, PhoneNumber: pptp.MakeText64("+15550123456"), Subaddress: pptp.MakeText64("42"),
	}, values{
		"call_id": 4660, "call_serial_number": 22136, "minimum_bps": 300, "maximum_bps": 100_000_000, "bearer_type": 3, "framing_type": 1,
		"packet_receive_window_size": 64, "packet_processing_delay": 5, "phone_number_length": 12, "phone_number": "+15550123456", "subaddress": "42",
	}},
	{&pptp.OutgoingCallReply{
		PACCallID: 65244, PNSCallID: 4660, ResultCode: pptp.OutgoingConnected, CauseCode: 16, ConnectSpeed: 33600, PacketRecvWindowSize: 17,
		PacketProcessingDelay: 3, PhysicalChannelID: 65559,
	}, values{
		"call_id": 65244, "peer_call_id": 4660, "out_result": 1, "error": 0, "cause": 16, "connect_speed": 33600, "packet_receive_window_size": 17,
		"packet_processing_delay": 3, "physical_channel_id": 65559,
	}},
	{&pptp.IncomingCallRequest{
		PACCallID: 258, CallSerialNumber: 772, CallBearerType: pptp.BearerDigital, PhysicalChannelID: 65559, DialedNumberLength: 7, DialingNumberLength: 9,
		DialedNumber: pptp.MakeText64("5550100"), DialingNumber: pptp.MakeText64("030123456"), Subaddress: pptp.MakeText64("7"),
	}, values{
		"call_id": 258, "call_serial_number": 772, "bearer_type": 2, "physical_channel_id": 65559, "dialed_number_length": 7, "dialing_number_length": 9,
		"dialed_number": "5550100", "dialing_number": "030123456", "subaddress": "7",
	}},
	{&pptp.IncomingCallReply{PNSCallID: 2571, PACCallID: 258, ResultCode: pptp.IncomingDoNotAccept, PacketRecvWindowSize: 32, PacketTransmitDelay: 64},
		values{"call_id": 2571, "peer_call_id": 258, "in_result": 3, "error": 0, "packet_receive_window_size": 32, "packet_processing_delay": 64}},
	{&pptp.IncomingCallConnected{PNSCallID: 2571, ConnectSpeed: 115200, PacketRecvWindowSize: 8, PacketTransmitDelay: 1, FramingType: pptp.FramingSynchronous},
		values{"peer_call_id": 2571, "connect_speed": 115200, "packet_receive_window_size": 8, "packet_processing_delay": 1, "framing_type": 2}},
	{&pptp.CallClearRequest{PNSCallID: 4660}, values{"call_id": 4660}},
	{&pptp.CallDisconnectNotify{
		PACCallID: 65244, ResultCode: pptp.DisconnectRequest, CauseCode: 31, CallStatistics: pptp.MakeText128("s=8 rx=1234 tx=5678"),
	}, values{"call_id": 65244, "disc_result": 4, "error": 0, "cause": 31, "call_Statistics": "s=8 rx=1234 tx=5678"}},
	{&pptp.WANErrorNotify{PNSCallID: 4660, WANErrors: pptp.WANErrors{CRCErrors: 1, FramingErrors: 22, HardwareOverruns: 333, BufferOverruns: 4444, TimeoutErrors: 55555, AlignmentErrors: 666666}},
		values{"peer_call_id": 4660, "crc_errors": 1, "framing_errors": 22, "hardware_overruns": 333, "buffer_overruns": 4444, "timeout_errors": 55555, "alignment_errors": 666666}},
	{&pptp.SetLinkInfo{PACCallID: 65244, SendACCM: 0x000a0000, ReceiveACCM: 0xffffffff}, values{"peer_call_id": 65244, "send_accm": 0x000a0000, "receive_accm": 0xffffffff}},
}

// recorded writes messages of a control connection as a recording, each in a segment of its own: tshark puts none together.
func recorded(t testing.TB, messages ...[]byte) (file string) {
	t.Helper()
	b := pcapng.Section{}.Append(nil)
	b = pcapng.Interface{Link: pcapng.LinkRaw}.Append(b)
	sequence := uint32(1)
	for i, octets := range messages {
		p := make([]byte, 40, 40+len(octets))
		p[0], p[8], p[9] = 0x45, 64, 6
		binary.BigEndian.PutUint16(p[2:], uint16(40+len(octets)))
		copy(p[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
		binary.BigEndian.PutUint16(p[20:], 40000)
		binary.BigEndian.PutUint16(p[22:], pptp.Port)
		binary.BigEndian.PutUint32(p[24:], sequence)
		p[32], p[33] = 0x50, 0x18 // 20 octets of header, PSH and ACK
		binary.BigEndian.PutUint16(p[34:], 0xffff)
		sequence += uint32(len(octets))
		b = pcapng.Packet{Time: time.Unix(1_700_000_000+int64(i), 0), Data: append(p, octets...)}.Append(b)
	}
	return write(t, t.TempDir(), "messages.pcapng", string(b))
}

// TestEveryMessageDecodes: tshark finds each field of each of the fifteen messages where and as we have meant it, and no fault.
func TestEveryMessageDecodes(t *testing.T) {
	t.Parallel()
	needTshark(t)
	var messages [][]byte
	columns := []string{"control_message_type", "length", "type", "magic_cookie"}
	seen := map[pptp.MessageType]bool{}
	for _, j := range judged {
		messages = append(messages, j.message.Append(nil))
		seen[j.message.Type()] = true
		for name := range j.fields {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	for _, mt := range pptp.MessageTypes() {
		if !seen[mt] {
			t.Errorf("%v is not judged", mt)
		}
	}
	args := []string{"-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=/"}
	for _, c := range columns {
		args = append(args, "-e", "pptp."+c)
	}
	args = append(args, "-e", "_ws.col.Info")
	file := recorded(t, messages...)
	rows := tshark(t, file, "pptp", args...)
	if len(rows) != len(judged) {
		t.Fatalf("tshark sees %d messages, not %d:\n%s", len(rows), len(judged), strings.Join(rows, "\n"))
	}
	for i, j := range judged {
		cells := strings.Split(rows[i], "|")
		want := values{"control_message_type": int(j.message.Type()), "length": len(messages[i]), "type": 1, "magic_cookie": pptp.MagicCookie}
		for name, v := range j.fields {
			want[name] = v
		}
		for n, name := range columns {
			v, ok := want[name]
			if !ok {
				v = ""
			}
			if !equalCell(cells[n], v) {
				t.Errorf("%v: %s is %q for tshark, not %v", j.message.Type(), name, cells[n], v)
			}
		}
		if info := cells[len(cells)-1]; !strings.Contains(info, j.message.Type().String()) {
			t.Errorf("%v is called %q by tshark", j.message.Type(), info)
		}
	}
	faultless(t, file)
}

// equalCell compares what tshark prints of a field with a number, however it is written, or a text.
func equalCell(cell string, v any) bool {
	if text, ok := v.(string); ok {
		return cell == text
	}
	n, err := strconv.ParseUint(cell, 0, 64)
	return err == nil && fmt.Sprint(n) == fmt.Sprint(v)
}

// faultless checks that tshark finds nothing malformed, and nothing to warn of.
func faultless(t testing.TB, file string) {
	t.Helper()
	for _, bad := range tshark(t, file, "_ws.malformed || _ws.expert.severity >= 0x00400000", "-T", "fields", "-e", "frame.number", "-e", "_ws.col.Info", "-e", "_ws.expert.message") {
		t.Errorf("tshark finds fault with message %s", bad)
	}
}

// TestEveryCodeHasAName: tshark knows each of the codes that we send by a name.
func TestEveryCodeHasAName(t *testing.T) {
	t.Parallel()
	needTshark(t)
	var messages [][]byte
	add := func(m pptp.Message) { messages = append(messages, m.Append(nil)) }
	for code := range uint8(8) {
		c := code + 1
		add(&pptp.OutgoingCallReply{PACCallID: 1, PNSCallID: 2, ResultCode: pptp.OutgoingResult(min(c, uint8(pptp.OutgoingDoNotAccept)))})
		add(&pptp.IncomingCallReply{PACCallID: 1, PNSCallID: 2, ResultCode: pptp.IncomingResult(min(c, uint8(pptp.IncomingDoNotAccept)))})
		add(&pptp.CallDisconnectNotify{PACCallID: 1, ResultCode: pptp.DisconnectResult(min(c, uint8(pptp.DisconnectRequest)))})
		add(&pptp.StartControlConnectionReply{ProtocolVersion: pptp.Version10, ResultCode: pptp.ControlResult(min(c, uint8(pptp.ControlVersionUnsupported)))})
		add(&pptp.StopControlConnectionRequest{Reason: pptp.StopReason(min(c, uint8(pptp.StopShutdown)))})
		add(&pptp.StopControlConnectionReply{ResultCode: pptp.StopResult(min(c, uint8(pptp.StopGeneralError)))})
		add(&pptp.EchoReply{ResultCode: pptp.EchoResult(min(c, uint8(pptp.EchoGeneralError)))})
		add(&pptp.OutgoingCallReply{ResultCode: pptp.OutgoingGeneralError, ErrorCode: pptp.ErrorCode(min(code, uint8(pptp.ErrorPACError)))})
		add(&pptp.OutgoingCallRequest{BearerType: pptp.BearerType(min(c, uint8(pptp.BearerAny))), FramingType: pptp.FramingType(min(c, uint8(pptp.FramingEither)))})
	}
	out, err := exec.Command("tshark", "-n", "-r", recorded(t, messages...), "-O", "pptp").CombinedOutput()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, out)
	}
	codes := 0
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if slices.Contains([]string{"Result Code", "Error Code", "Reason", "Bearer Type", "Framing Type"}, name) {
			codes++
			if strings.Contains(value, "Unknown") || !strings.Contains(value, "(") {
				t.Errorf("tshark does not know %s: %s", name, value)
			}
		}
	}
	if codes < 8*9 {
		t.Errorf("tshark has shown %d codes:\n%s", codes, out)
	}
}

// needTshark skips the test where there is no tshark, and says so.
func needTshark(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("needs Debian's package tshark:", err)
	}
}
