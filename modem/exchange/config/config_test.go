package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"trunkline.example/modem/exchange"
	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/plan"
)

var sample = filepath.Join("..", "..", "..", "etc", "exchange.toml")

// The sample's lines, hunt group and impairment are examples; all else is what holds without it.
func TestSampleShowsTheDefaults(t *testing.T) {
	c, err := Load(sample)
	if err != nil {
		t.Fatal(err)
	}
	least, err := Parse("least", []byte("[[line]]\nname = \"line1\"\nnumber = \"1001\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Dir != least.Dir || c.Office.Training != least.Office.Training || c.Office.Timing != least.Office.Timing || c.Office.Latency != least.Office.Latency {
		t.Errorf("sample %+v\nnothing %+v", c, least)
	}
	if !reflect.DeepEqual(c.Office.Lines[0], least.Office.Lines[0]) || c.Ports["line1"] != least.Ports["line1"] {
		t.Errorf("sample %+v\nnothing %+v", c.Office.Lines[0], least.Office.Lines[0])
	}
	if n := len(c.Office.Lines); n != 16 || c.Office.Lines[7].Number != "1008" || c.Office.Lines[15].Name != "phone8" || len(c.Office.Hunts[0].Lines) != 8 {
		t.Errorf("%d lines: %+v", n, c.Office)
	}
	if c.Office.Timing != plan.DefaultTiming || c.Office.Lines[8].Trouble != (office.Trouble{RetrainTime: 2 * time.Second}) {
		t.Errorf("%+v", c.Office)
	}
	if l := c.Listeners; len(l) != 2 || l[0].Protocol != exchange.RFC2217 || len(l[0].Lines) != 8 || l[1].Dial != "1000" {
		t.Errorf("listeners %+v", l)
	}
	e, err := exchange.New(c)
	if err != nil || e == nil {
		t.Error(err)
	}
}

// Every key that the document may have stands in the sample.
func TestSampleShowsAllKeys(t *testing.T) {
	text, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	var keys func(of reflect.Type)
	keys = func(of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			key, kind := f.Tag.Get("toml"), f.Type
			if !regexp.MustCompile(`(?m)^(#?` + key + ` = |\[+([a-z]+\.)?` + key + `\]+$)`).Match(text) {
				t.Errorf("%s.%s is not in the sample", of.Name(), key)
			}
			if kind.Kind() == reflect.Slice {
				kind = kind.Elem()
			}
			if kind.PkgPath() == of.PkgPath() && kind.Kind() == reflect.Struct {
				keys(kind)
			}
		}
	}
	keys(reflect.TypeFor[raw]())
}

func TestImpairment(t *testing.T) {
	c, err := Parse("t", []byte(`
seed = "x"
latency = "10ms"
[training]
time = "0s"
spread = 0.0
[[line]]
name = "a"
number = "001"
count = 2
impairment = "mine"
latency = "3ms"
carrier = "text"
terminal = false
[[line]]
name = "b"
number = "3"
impairment = "noisy"
[[impairment]]
name = "mine"
receive = 9600
latency = "20ms"
error_control = false
retrain_every = "30s"
connect_noise = 9
[impairment.sends]
frame_error_rate = 0.5
`))
	if err != nil {
		t.Fatal(err)
	}
	l := c.Office.Lines[1]
	noisy, _ := office.NamedProfile("noisy")
	if l.Name != "a2" || l.Number != "002" || l.Receive != 9600 || l.Transmit != 33600 || l.Latency != 23*time.Millisecond || !l.NoErrorControl ||
		l.Trouble.Sends.FrameErrorRate != 0.5 || l.Trouble.RetrainEvery != 30*time.Second || l.Trouble.ConnectNoise != 9 {
		t.Errorf("%+v", l)
	}
	if c.Office.Lines[2].Trouble != noisy.Trouble || c.Office.Seed != Seed("x") || c.Office.Seed == Seed("y") || c.Office.Training.Time >= 0 || c.Office.Training.Spread >= 0 {
		t.Errorf("%+v", c.Office)
	}
	if p := c.Ports["a1"]; p != (exchange.PortConfig{NoTerminal: true, Carrier: exchange.CarrierText}) {
		t.Errorf("%+v", p)
	}
	if Seed("") != ([32]byte{}) {
		t.Error("no seed is one")
	}
}

func TestErrors(t *testing.T) {
	const line = "[[line]]\nname = \"a\"\nnumber = \"1\"\n"
	for text, want := range map[string]string{
		"":                                                       "line: there is no [[line]]",
		"dir = \"x\"\n" + line:                                   "t:1:1: dir: \"x\" is not an absolute path",
		"bsuy = \"1\"\n" + line:                                  `t:1:1: bsuy: unknown key (did you mean "busy"?)`,
		"[training]\nfailures = 2\n" + line:                      "t:2:1: training.failures: 2 is not between 0 and 1",
		"[timing]\nring_every = \"0s\"\n" + line:                 "t:2:1: timing.ring_every: 0s is too short",
		"[[line]]\nname = \"a/b\"\nnumber = \"1\"":               `line[0].name: "a/b" cannot be`,
		"[[line]]\nname = \"a\"\nnumber = \"+1\"":                `line[0].number: "+1" is not a telephone number`,
		"[[line]]\nname = \"a\"\nnumber = \"1\"\ncount = 2001":   "line[0].count: there can be at most 2000 lines",
		line + "transmit = 0":                                    "line[0].transmit: 0 is no speed",
		line + "carrier = \"maybe\"":                             `line[0].carrier: "maybe" is none of`,
		line + "impairment = \"x\"":                              `line[0].impairment: there is no impairment "x"; built in are bad, cable, clean`,
		line + "[[line]]\nname = \"a\"\nnumber = \"2\"":          `line[1].name: line "a" exists twice`,
		line + "[[line]]\nname = \"b\"\nnumber = \"1\"":          "t: exchange: plan: number 1 of line 1 is that of line 0 already",
		line + "[[hunt]]\nnumber = \"5\"\nlines = [\"b*\"]":      `hunt[0].lines[0]: there is no line "b*"`,
		line + "[[listener]]\naddress = \"x\"\nlines = [\"a\"]":  `listener[0].address: "x" is neither`,
		line + "[[listener]]\naddress = \":1\"":                  "listener[0].lines: a listener needs lines",
		line + "[[listener]]\naddress = \":1\"\nlines = [\"b\"]": `listener[0].lines[0]: there is no line "b"`,
		line + "[[listener]]\nprotocol = \"ssh\"":                `listener[0].protocol: "ssh" is none of`,
		line + "[[listener]]\ncarrier = \"no\"":                  `listener[0].carrier: "no" is none of`,
		line + "[[listener]]\ndial = \"x\"":                      `listener[0].dial: "x" is not a number`,
		line + "[[listener]]\norigins = [\"[\"]":                 `listener[0].origins[0]: "[" is not a pattern`,
		line + "[[listener]]\naddress = \":1\"\nlines = [\"a\"]\nprotocol = \"rfc2217\"\ndial = \"5\"": "a connection that is a call has no serial port",
		line + "[[impairment]]\nretrain_every = \"1s\"":                                                "impairment[0].name: missing",
		line + "[[impairment]]\nname = \"bad\"":                                                        `impairment[0].name: "bad" is built in`,
		line + "[[impairment]]\nname = \"x\"\n[[impairment]]\nname = \"x\"":                            `impairment[1].name: "x" is used twice`,
		line + "[[impairment]]\nname = \"x\"\nconnect_noise = -1":                                      "impairment[0].connect_noise: -1 is not between",
		line + "[[impairment]]\nname = \"x\"\nreceive = -2":                                            "impairment[0].receive: -2 is no speed",
		line + "[[impairment]]\nname = \"x\"\nreceives.burst = -2":                                     "impairment[0].receives.burst: -2 is negative",
		line + "[[impairment]]\nname = \"x\"\nsends.drop_rate = 1.5":                                   "impairment[0].sends.drop_rate: 1.5 is not between 0 and 1",
	} {
		if _, err := Parse("t", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
	if _, err := Load("/nonexistent"); !os.IsNotExist(err) {
		t.Error(err)
	}
}
