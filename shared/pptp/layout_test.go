package pptp

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"
)

// field is one field of RFC 2637: where it is and how long.
type field struct {
	name string
	off  int
	size int
}

// layoutsOfRFC are the tables of RFC 2637 section 2 once more, independent of
// the codec. A field that the codec puts elsewhere, swaps with another or
// forgets fails TestFieldOffsets.
var layoutsOfRFC = map[MessageType][]field{
	TypeStartControlConnectionRequest: {
		{"ProtocolVersion", 12, 2}, {"Reserved1", 14, 2}, {"FramingCapabilities", 16, 4}, {"BearerCapabilities", 20, 4},
		{"MaximumChannels", 24, 2}, {"FirmwareRevision", 26, 2}, {"HostName", 28, 64}, {"VendorName", 92, 64},
	},
	TypeStartControlConnectionReply: {
		{"ProtocolVersion", 12, 2}, {"ResultCode", 14, 1}, {"ErrorCode", 15, 1}, {"FramingCapabilities", 16, 4}, {"BearerCapabilities", 20, 4},
		{"MaximumChannels", 24, 2}, {"FirmwareRevision", 26, 2}, {"HostName", 28, 64}, {"VendorName", 92, 64},
	},
	TypeStopControlConnectionRequest: {{"Reason", 12, 1}, {"Reserved1", 13, 1}, {"Reserved2", 14, 2}},
	TypeStopControlConnectionReply:   {{"ResultCode", 12, 1}, {"ErrorCode", 13, 1}, {"Reserved1", 14, 2}},
	TypeEchoRequest:                  {{"Identifier", 12, 4}},
	TypeEchoReply:                    {{"Identifier", 12, 4}, {"ResultCode", 16, 1}, {"ErrorCode", 17, 1}, {"Reserved1", 18, 2}},
	TypeOutgoingCallRequest: {
		{"PNSCallID", 12, 2}, {"CallSerialNumber", 14, 2}, {"MinimumBPS", 16, 4}, {"MaximumBPS", 20, 4},
		{"BearerType", 24, 4}, {"FramingType", 28, 4}, {"PacketRecvWindowSize", 32, 2}, {"PacketProcessingDelay", 34, 2},
		{"PhoneNumberLength", 36, 2}, {"Reserved1", 38, 2}, {"PhoneNumber", 40, 64}, {"Subaddress", 104, 64},
	},
	TypeOutgoingCallReply: {
		{"PACCallID", 12, 2}, {"PNSCallID", 14, 2}, {"ResultCode", 16, 1}, {"ErrorCode", 17, 1}, {"CauseCode", 18, 2},
		{"ConnectSpeed", 20, 4}, {"PacketRecvWindowSize", 24, 2}, {"PacketProcessingDelay", 26, 2}, {"PhysicalChannelID", 28, 4},
	},
	TypeIncomingCallRequest: {
		{"PACCallID", 12, 2}, {"CallSerialNumber", 14, 2}, {"CallBearerType", 16, 4}, {"PhysicalChannelID", 20, 4},
		{"DialedNumberLength", 24, 2}, {"DialingNumberLength", 26, 2},
		{"DialedNumber", 28, 64}, {"DialingNumber", 92, 64}, {"Subaddress", 156, 64},
	},
	TypeIncomingCallReply: {
		{"PNSCallID", 12, 2}, {"PACCallID", 14, 2}, {"ResultCode", 16, 1}, {"ErrorCode", 17, 1},
		{"PacketRecvWindowSize", 18, 2}, {"PacketTransmitDelay", 20, 2}, {"Reserved1", 22, 2},
	},
	TypeIncomingCallConnected: {
		{"PNSCallID", 12, 2}, {"Reserved1", 14, 2}, {"ConnectSpeed", 16, 4},
		{"PacketRecvWindowSize", 20, 2}, {"PacketTransmitDelay", 22, 2}, {"FramingType", 24, 4},
	},
	TypeCallClearRequest: {{"PNSCallID", 12, 2}, {"Reserved1", 14, 2}},
	TypeCallDisconnectNotify: {
		{"PACCallID", 12, 2}, {"ResultCode", 14, 1}, {"ErrorCode", 15, 1}, {"CauseCode", 16, 2}, {"Reserved1", 18, 2},
		{"CallStatistics", 20, 128},
	},
	TypeWANErrorNotify: {
		{"PNSCallID", 12, 2}, {"Reserved1", 14, 2}, {"CRCErrors", 16, 4}, {"FramingErrors", 20, 4}, {"HardwareOverruns", 24, 4},
		{"BufferOverruns", 28, 4}, {"TimeoutErrors", 32, 4}, {"AlignmentErrors", 36, 4},
	},
	TypeSetLinkInfo: {{"PACCallID", 12, 2}, {"Reserved1", 14, 2}, {"SendACCM", 16, 4}, {"ReceiveACCM", 20, 4}},
}

// lengthsOfRFC are the values of the Length fields.
var lengthsOfRFC = [...]int{0, 156, 156, 16, 16, 16, 20, 168, 32, 220, 24, 28, 16, 148, 40, 24}

func TestLengths(t *testing.T) {
	if len(MessageTypes()) != 15 {
		t.Errorf("%d message types", len(MessageTypes()))
	}
	for _, mt := range MessageTypes() {
		if mt.Length() != lengthsOfRFC[mt] {
			t.Errorf("%v has length %d, want %d", mt, mt.Length(), lengthsOfRFC[mt])
		}
		m := mt.New()
		if m.Type() != mt {
			t.Errorf("New(%v) has type %v", mt, m.Type())
		}
		wire := m.Append(nil)
		if len(wire) != mt.Length() || int(binary.BigEndian.Uint16(wire)) != mt.Length() {
			t.Errorf("%v encodes to %d octets with Length %d, want %d", mt, len(wire), binary.BigEndian.Uint16(wire), mt.Length())
		}
	}
}

// TestFieldOffsets sets one field after the other to a distinctive value and
// looks for it at its offset, and only there.
func TestFieldOffsets(t *testing.T) {
	for _, mt := range MessageTypes() {
		fields := append([]field{{"Reserved0", 10, 2}}, layoutsOfRFC[mt]...)
		end := 10
		for _, f := range fields {
			if f.off != end {
				t.Fatalf("%v: table: %s at %d, want %d", mt, f.name, f.off, end)
			}
			end += f.size
			checkField(t, mt, f)
		}
		if end != mt.Length() {
			t.Errorf("%v: the fields end at %d, the message at %d", mt, end, mt.Length())
		}
		if n := countFields(reflect.TypeOf(mt.New()).Elem()); n != len(fields) {
			t.Errorf("%v: the struct has %d fields, RFC 2637 %d", mt, n, len(fields))
		}
	}
}

func checkField(t *testing.T, mt MessageType, f field) {
	t.Helper()
	pattern := make([]byte, f.size)
	for i := range pattern {
		pattern[i] = byte(0xa1 + i)
	}
	m := mt.New()
	set := reflect.ValueOf(m).Elem().FieldByName(f.name)
	if !set.IsValid() {
		t.Errorf("%v has no field %s", mt, f.name)
		return
	}
	if set.Kind() == reflect.Array {
		reflect.Copy(set, reflect.ValueOf(pattern))
	} else {
		wide := make([]byte, 8)
		copy(wide[8-f.size:], pattern)
		set.SetUint(binary.BigEndian.Uint64(wide))
	}
	want := mt.New().Append(nil)
	copy(want[f.off:], pattern)
	if got := m.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("%v with %s set:\n%x, want\n%x", mt, f.name, got, want)
	}
	back, err := Decode(want)
	if err != nil {
		t.Errorf("%v with %s set: %v", mt, f.name, err)
		return
	}
	if !reflect.DeepEqual(back, m) {
		t.Errorf("%v with %s set decodes to %+v, want %+v", mt, f.name, back, m)
	}
}

// countFields counts the fields of a struct and of those it embeds.
func countFields(st reflect.Type) (n int) {
	for i := range st.NumField() {
		if f := st.Field(i); f.Anonymous {
			n += countFields(f.Type)
		} else {
			n++
		}
	}
	return n
}
