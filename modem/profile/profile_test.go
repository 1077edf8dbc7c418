package profile

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"trunkline.example/shared/conf"
)

// sections parses what a configuration adds.
func sections(t *testing.T, text string) []conf.Section {
	t.Helper()
	var root struct {
		Family []conf.Section `toml:"family"`
	}
	if err := conf.Decode("pac.toml", []byte(text), &root); err != nil {
		t.Fatal(err)
	}
	return root.Family
}

func TestRecognise(t *testing.T) {
	for _, c := range []struct {
		want string
		usb  string
		said []string
	}{
		{"usr", "0baf:0303", nil},
		{"usr", "0403:6001", []string{"U.S. Robotics 56K FAX USB V1.2.23"}},
		{"usr", "", []string{"5601"}},
		{"usr", "", []string{"USRobotics Courier V.Everything"}},
		{"conexant", "0572:1329", []string{"V2.0"}},
		{"conexant", "", []string{"56000", "CX93001-EIS_V0.2002-V92"}},
		{"zoom", "0803:3095", []string{"CX93001-EIS_V0.2002-V92"}},
		{"lucent", "", []string{"LT V.90 Data+Fax Modem Version 5.68"}},
		{"multitech", "06e0:f107", nil},
		{"multitech", "067b:2303", []string{"Lucent Technologies", "MT5634ZBA-V92"}},
		{"zyxel", "", []string{"U336S V 1.12"}},
		{"zyxel", "", []string{"28642"}},
		{"generic", "10c4:ea60", []string{"33600", "Standard 33600 bps Modem"}},
		{"generic", "", nil},
	} {
		if got := Builtin().Recognise(Identity{USB: c.usb, Said: c.said}); got.Name != c.want {
			t.Errorf("%s %q: %s instead of %s", c.usb, c.said, got.Name, c.want)
		}
	}
}

func TestEveryFamilyIsComplete(t *testing.T) {
	for _, p := range Builtin() {
		p.check(func(key string, err error) { t.Errorf("%s: %s: %v", p.Name, key, err) })
		if len(p.Flow) == 0 || len(p.CallerID) == 0 || len(p.Identify) == 0 {
			t.Errorf("%s: %+v", p.Name, p)
		}
		if recognised := len(p.USB)+len(p.Says) > 0; recognised == (p.Name == Generic) {
			t.Errorf("%s: recognised by %q %q", p.Name, p.USB, p.Says)
		}
	}
}

func TestCap(t *testing.T) {
	for _, c := range []struct {
		family string
		limit  uint32
		want   string
	}{
		{"generic", 28800, "AT+MS=V34,1,0,28800,0,28800"}, {"generic", 30000, "AT+MS=V34,1,0,28800,0,28800"},
		{"generic", 56000, "AT+MS=V34,1,0,33600,0,33600"}, {"generic", 14400, "AT+MS=V32B,1,0,14400,0,14400"},
		{"generic", 300, ""}, {"usr", 28800, "AT&U1&N14"}, {"usr", 300, "AT&U1&N1"}, {"zyxel", 14400, ""},
		{"zoom", 33600, "AT+MS=V34,1,0,33600,0,33600"},
	} {
		p, ok := Builtin().Get(c.family)
		if got := p.CapAt(c.limit); !ok || got != c.want {
			t.Errorf("%s at %d: %q", c.family, c.limit, got)
		}
	}
}

func TestExtend(t *testing.T) {
	s, err := Builtin().Extend(sections(t, `
[[family]]
name = "usr"
init = ["AT&C1&D2"]

[[family]]
name = "mine"
extends = "conexant"
usb = ["1234:*"]
says = ["5601"]
fixed_speed = ["AT+IPR={port_speed}"]

[[family]]
name = "plain"
says = ["PLAIN*"]
`))
	if err != nil {
		t.Fatal(err)
	}
	usr, _ := s.Get("usr")
	if len(usr.Init) != 1 || usr.Reset != "AT&F1" || len(usr.USB) != 1 {
		t.Errorf("%+v", usr)
	}
	mine := s.Recognise(Identity{Said: []string{"5601"}})
	if mine.Name != "mine" || mine.ErrorControl[0] != `AT\N3%C3` || len(mine.USB) != 1 || mine.Fixed(57600)[0] != "AT+IPR=57600" {
		t.Errorf("%+v", mine)
	}
	if plain := s.Recognise(Identity{Said: []string{"plain old"}}); plain.Name != "plain" || plain.Answer != "ATA" {
		t.Errorf("%+v", plain)
	}
	if old, _ := Builtin().Get("usr"); len(old.Init) != 3 {
		t.Error("the built-in family has changed")
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"reset = \"ATZ\"", "pac.toml:1:3: family[0].name: a profile needs a name"},
		{"name = \"auto\"", "other than \"auto\""},
		{"name = \"x\"\nextends = \"y\"", "pac.toml:3:1: family[0].extends: \"y\" is no other profile"},
		{"name = \"usr\"\nextends = \"zoom\"", "is no other profile"},
		{"name = \"x\"\nrest = \"ATZ\"", `family[0].rest: unknown key (did you mean "reset"?)`},
		{"name = \"x\"\nanswer = \"A\"", `family[0].answer: "A" does not begin with AT`},
		{"name = \"x\"\ninit = [\"ATX3\\rATD5\"]", "not printable"},
		{"name = \"x\"\nusb = [\"baf:1\"]", `"baf:1" is not vendor:product`},
		{"name = \"x\"\nsubaddress = \"/\"", "family[0].subaddress: \"/\" is not a text"},
		{"name = \"x\"\nsays = [\"*\"]", `"*" matches everything`},
		{"name = \"x\"\n[[family.cap]]\nspeeds = [2, 2]\ncommand = \"AT\"", "family[0].cap[0].speeds: 2: speeds must grow"},
	} {
		_, err := Builtin().Extend(sections(t, "[[family]]\n"+c.text+"\n"))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
}

// ModemManager is kept away from every modem that is known by its USB identity.
func TestUdevRule(t *testing.T) {
	text, err := os.ReadFile("../../etc/70-trunkline-modems.rules")
	if err != nil {
		t.Fatal(err)
	}
	ids := 0
	for _, p := range Builtin() {
		for _, id := range p.USB {
			ids++
			vendor, product, _ := strings.Cut(id, ":")
			rule := fmt.Sprintf("\nATTR{idVendor}==%q, ", vendor)
			if product != "*" {
				rule += fmt.Sprintf("ATTR{idProduct}==%q, ", product)
			}
			if !strings.Contains(string(text), rule+`ENV{ID_MM_DEVICE_IGNORE}="1", `) {
				t.Errorf("%s of %s is missing", id, p.Name)
			}
		}
	}
	if rules := strings.Count(string(text), "\nATTR{"); rules != ids {
		t.Errorf("%d rules for %d identities", rules, ids)
	}
}

func TestMatch(t *testing.T) {
	for pattern, texts := range map[string][2]string{
		"abc": {"abc", "abcd"}, "a*": {"abc", "ba"}, "*c": {"abc", "abcd"}, "*b*": {"abc", "ac"}, "a*c*e": {"abcde", "abcd"}, "ab*ba": {"abba", "aba"},
	} {
		if !match(pattern, texts[0]) || match(pattern, texts[1]) {
			t.Errorf("%q: %v %v", pattern, match(pattern, texts[0]), match(pattern, texts[1]))
		}
	}
}
