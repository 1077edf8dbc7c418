package modem

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trunkline.example/modem/profile"
	"trunkline.example/shared/line"
)

var sameDialect = cmp.Comparer(func(a, b *Dialect) bool { return a == b })

func TestDefaultsOfASection(t *testing.T) {
	got, err := ParseSection(Analog, line.Section{Text: []byte("[[line]]\nname = \"a\"\ndevice = \"/dev/x\"\n")})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults(Analog)
	if want.Profile != profile.Auto || len(want.Profiles) < 7 {
		t.Errorf("profile %q of %q", want.Profile, want.Profiles.Names())
	}
	want.Name, want.Device, want.Channel = "a", "/dev/x", 1
	if d := cmp.Diff([]Config{want}, got, sameDialect); d != "" {
		t.Error(d)
	}
}

func TestEveryKey(t *testing.T) {
	got, err := ParseSection(Analog, line.Section{Text: []byte(`
profile = "generic"
speed = 57600
flow_control = false
reset = "ATZ"
init = ["ATM0"]
caller_id = []
dial = "pulse"
rings = 2
numbers = ["5550100"]
analog = true
ring_numbers = { SS = "5550102" }
answer_timeout = "60s"
ring_timeout = "8s"
caller_id_wait = "3s"
probe_interval = "1h"
carrier_loss = "5s"
escape = "on"
reject = "hook"
usb_reset = "power"
max_speed = 28800
assumed_speed = 14400
connect_speed = "line"
command_timeout = "3s"
command_gap = "100ms"
reset_pause = "1s"
dtr_low = "2s"
device_wait = "10s"
write_stall = "20s"

[[line]]
name = "a"
device = "/dev/a"
number = "5550100"

[[line]]
name = "b"
device = "/dev/b"
channel = 7
speed = 115200
init = ["ATM1", "ATL0"]
dial = "tone"
escape = "off"
`)})
	if err != nil {
		t.Fatal(err)
	}
	a := Config{Name: "a", Device: "/dev/a", Channel: 1, Number: "5550100", Profile: "generic", Profiles: profile.Builtin(), Reset: "ATZ", CallerID: &[]string{}, LineSpeed: true, MaxSpeed: 28800,
		Speed: 57600, Init: []string{"ATM0"}, Pulse: true,
		AnswerTimeout: time.Minute, RingTimeout: 8 * time.Second, Rings: 2, Numbers: []string{"5550100"}, Analog: true, Dialect: Analog, RingNumbers: map[string]string{"SS": "5550102"}, CallerIDWait: 3 * time.Second, ProbeInterval: time.Hour, CarrierLoss: 5 * time.Second,
		Escape: EscapeOn, RejectByHook: true, USBReset: USBResetPower, AssumedSpeed: 14400, CommandTimeout: 3 * time.Second, CommandGap: 100 * time.Millisecond,
		ResetPause: time.Second, DTRLow: 2 * time.Second, DeviceWait: 10 * time.Second, WriteStall: 20 * time.Second}
	b := a
	b.Name, b.Device, b.Channel, b.Number = "b", "/dev/b", 7, ""
	b.Speed, b.Init, b.Pulse, b.Escape = 115200, []string{"ATM1", "ATL0"}, false, EscapeOff
	if d := cmp.Diff([]Config{a, b}, got, sameDialect); d != "" {
		t.Error(d)
	}
	// A key that is added must be added above.
	text := reflect.TypeFor[Settings]()
	if text.NumField() != 30 {
		t.Errorf("Settings has %d keys, this test and that of the ISDN driver (protocol, protocols) know 30", text.NumField())
	}
	if registers := a.registers(); registers != "ATS0=0S7=60" {
		t.Errorf("%q", registers)
	}
}

func TestMistakesInASection(t *testing.T) {
	const good = "[[line]]\nname = \"a\"\ndevice = \"/dev/a\"\n"
	for _, c := range []struct{ name, text, want string }{
		{"no line", "speed = 9600\n", "there is no [[line]]"},
		{"unknown key", "sped = 9600\n" + good, `pac.toml:11:1: sped: unknown key (did you mean "speed"?)`},
		{"unknown key of a line", good + "chanel = 3\n", `pac.toml:14:1: line[0].chanel: unknown key (did you mean "channel"?)`},
		{"no name", "[[line]]\ndevice = \"/dev/a\"\n", "line[0].name: a line needs a name"},
		{"relative device", "[[line]]\nname = \"a\"\ndevice = \"ttyS0\"\n", "line[0].device: \"ttyS0\" is not an absolute path"},
		{"no port", strings.Replace(good, "/dev/a", "rfc2217://host", 1), "line[0].device: \"rfc2217://host\": host and port are needed"},
		{"number", good + "number = \"555-x\"\n", "line[0].number"},
		{"name twice", good + strings.Replace(good, "/dev/a", "/dev/b", 1), "line[1].name: name a is that of line[0] already"},
		{"device twice", good + strings.Replace(good, `"a"`, `"b"`, 1), "line[1].device: device /dev/a is that of line[0] already"},
		{"channel twice", good + "channel = 2\n[[line]]\nname = \"b\"\ndevice = \"/dev/b\"\n", "line[1].channel: channel 2 is that of line[0] already"},
		{"profile", "profile = \"x\"\n" + good, `profile: there is no profile "x"; there are "auto" and conexant, generic,`},
		{"max_speed", "profile = \"usr\"\nmax_speed = 200\n" + good, `line[0].max_speed: profile "usr" has no command for a bound of 200`},
		{"family", good + "[[family]]\nname = \"x\"\nanswer = \"A\"\n", `pac.toml:16:1: family[0].answer: "A" does not begin with AT`},
		{"speed", "speed = 1\n" + good, "speed: 1 is no speed of a serial port"},
		{"init", "init = [\"X3\"]\n" + good, `init: "X3" does not begin with AT`},
		{"init with CR", "init = [\"ATX3\\rATD5\"]\n" + good, "not printable"},
		{"init too long", "init = [\"AT" + strings.Repeat("X", 120) + "\"]\n" + good, "longer than 120"},
		{"reset", "reset = \"\"\n" + good, "does not begin with AT"},
		{"caller_id", "caller_id = [\"x\"]\n" + good, "caller_id"},
		{"rings", "rings = 0\n" + good, "rings: 0 is not between 1 and 20"},
		{"ring_numbers", "ring_numbers = { B = \"x\" }\n" + good, `ring_numbers: "B" = "x" is not a cadence`},
		{"dial", "dial = \"voice\"\n" + good, `dial: "voice" is neither "tone" nor "pulse"`},
		{"reject", good + "reject = \"x\"\n", `line[0].reject: "x" is neither "ignore" nor "hook"`},
		{"escape", "escape = \"x\"\n" + good, `escape: "x" is neither "auto", "on" nor "off"`},
		{"usb_reset", "usb_reset = \"x\"\n" + good, `usb_reset: "x" is neither "off", "authorize" nor "power"`},
		{"connect_speed", "connect_speed = \"x\"\n" + good, "connect_speed"},
		{"answer_timeout", "answer_timeout = \"10m\"\n" + good, "answer_timeout: 10m0s is not between 1s and 4m15s"},
		{"ring_timeout", "ring_timeout = \"0s\"\n" + good, "ring_timeout"},
		{"no unit", "dtr_low = 500\n" + good, "dtr_low"},
		{"syntax", "= 5\n", "pac.toml:11:"},
	} {
		_, err := ParseSection(Analog, line.Section{File: "pac.toml", Line: 10, Text: []byte(c.text)})
		if !errors.Is(err, line.ErrConfiguration) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.name != "line twice" && err != nil && strings.Count(err.Error(), c.want) > 1 {
			t.Errorf("%s: said twice: %v", c.name, err)
		}
	}
}

func TestOpenRefusesABadSection(t *testing.T) {
	d := New(Options{})
	if _, err := d.Open(t.Context(), line.Section{Text: []byte("x = 1")}); !errors.Is(err, line.ErrConfiguration) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Open(ctx, section("")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if i := d.Info(); i.Name != Name || i.Contract != line.ContractVersion || !i.Capabilities.Answer || !i.Capabilities.Dial || i.Capabilities.Reject {
		t.Errorf("%+v", i)
	}
}

func TestInboxKeepsOrderAcrossItsBounds(t *testing.T) {
	b := newInbox()
	b.reset(nil)
	var put, got byte
	chunk := make([]byte, 1000)
	for range 2000 {
		room := true
		for room {
			for i := range chunk {
				chunk[i] = put
				put++
			}
			room = b.put(chunk)
		}
		select {
		case <-b.space:
			t.Fatal("space without a reader")
		default:
		}
		p := make([]byte, 777)
		for freed := false; !freed; {
			n, err := b.read(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range p[:n] {
				if c != got {
					t.Fatalf("octet %d instead of %d", c, got)
				}
				got++
			}
			select {
			case <-b.space:
				freed = true
			default:
			}
		}
		if cap(b.data) > 4*inboxCapacity {
			t.Fatalf("the inbox holds %d octets", cap(b.data))
		}
	}
}
