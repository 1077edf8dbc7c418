package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/line"
)

// kinds has one driver, whose options are a list of lines.
var kinds = Kinds{"modem": func(s line.Section) (names []string, err error) {
	var options struct {
		Lines []struct {
			Name   string `toml:"name"`
			Device string `toml:"device"`
			Number string `toml:"number"`
		} `toml:"line"`
	}
	if err := conf.Decode(s.File, s.Text, &options); err != nil {
		return nil, &line.Error{Code: line.CodeConfiguration, Text: err.Error()}
	}
	if len(options.Lines) == 0 {
		return nil, &line.Error{Code: line.CodeConfiguration, Text: s.File + ": line: there is no [[line]]"}
	}
	for _, l := range options.Lines {
		names = append(names, l.Name)
	}
	return names, nil
}}

func TestSampleIsValid(t *testing.T) {
	c, err := Load(filepath.Join("..", "..", "etc", "pac.toml"), kinds)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.PNS) != 1 || len(c.Drivers) != 1 || len(c.Hunts) != 1 || len(c.Routes) != 2 {
		t.Errorf("the sample has %d PNSes, %d drivers, %d hunt groups, %d routes", len(c.PNS), len(c.Drivers), len(c.Hunts), len(c.Routes))
	}
	section := string(c.Drivers[0].Section.Text)
	if !strings.Contains(section, "[[line]]\nname = \"line1\"\n") || strings.Contains(section, "hunt") {
		t.Errorf("the driver is handed:\n%s", section)
	}
	file, err := os.ReadFile(filepath.Join("..", "..", "etc", "pac.toml"))
	if err != nil {
		t.Fatal(err)
	}
	before := func(text string) int { n, _, _ := strings.Cut(text, "name = \"line2\""); return strings.Count(n, "\n") }
	if got, want := before(section), before(string(file)); got != want {
		t.Errorf("line2 stands on line %d of the section, on line %d of the file", got+1, want+1)
	}
}

// What the sample shows outside of its examples are the defaults.
func TestSampleShowsTheDefaults(t *testing.T) {
	sample, err := Load(filepath.Join("..", "..", "etc", "pac.toml"), kinds)
	if err != nil {
		t.Fatal(err)
	}
	defaults, err := Parse("", nil, kinds)
	if err != nil {
		t.Fatal(err)
	}
	sample.PNS, sample.Drivers, sample.Hunts, sample.Routes = defaults.PNS, defaults.Drivers, defaults.Hunts, defaults.Routes
	if !reflect.DeepEqual(sample, defaults) {
		t.Errorf("the sample: %+v\ndefaults: %+v", sample, defaults)
	}
}

// driver is the beginning of a driver's section.
const driver = "[[driver]]\nname = \"d\"\nkind = \"modem\"\n"

func TestErrorsNamePlaceAndKey(t *testing.T) {
	for name, test := range map[string]struct{ document, want string }{
		"unknown key":       {"nam = \"x\"", `t.toml:1:1: nam: unknown key (did you mean "name"?)`},
		"bad duration":      {"[timers]\nreply = 3", "t.toml:2:1: timers.reply:"},
		"short timer":       {"[timers]\nreply = \"1ms\"", "t.toml:2:1: timers.reply: 1ms is too short"},
		"long report":       {"[timers]\nreport = \"1m\"", "t.toml:2:1: timers.report: 1m is too long: at most 10s"},
		"driver's command":  {"[[driver]]\nname = \"a\"\nkind = \"telex\"\ncommand = [\"telex\"]", `t.toml:4:1: driver[0].command: the executable needs an absolute path, not "telex"`},
		"command, no kind":  {"[[driver]]\nname = \"a\"\ncommand = [\"/telex\"]", `t.toml:1:3: driver[0].kind: missing: the name by which the driver of that command goes`},
		"command of ours":   {"[[driver]]\nname = \"a\"\nkind = \"modem\"\ncommand = [\"/telex\"]", `t.toml:4:1: driver[0].command: driver "modem" ships with pac and needs no command; call the other one by its own name`},
		"command, inside":   {"[[driver]]\nname = \"a\"\nkind = \"telex\"\nprocess = false\ncommand = [\"/telex\"]", `t.toml:4:1: driver[0].process: a driver with a command of its own runs in a process of its own`},
		"confined inside":   {driver + "process = false\nconfine = true", `t.toml:5:1: driver[0].confine: only a driver in a process of its own can be kept from files`},
		"paths for nothing": {driver + "confine = false\npaths = [\"/a\"]", `t.toml:5:1: driver[0].paths: a driver that is not confined can open these`},
		"relative path":     {driver + "paths = [\"/a\", \"b\"]", `t.toml:4:16: driver[0].paths[1]: "b" is no absolute path`},
		"unknown driver":    {"[[driver]]\nname = \"a\"\nkind = \"telex\"", `t.toml:3:1: driver[0].kind: "telex" is no driver that ships with pac; those are: modem; for another one, set command`},
		"no address":        {"[[pns]]\nname = \"a\"", "t.toml:1:3: pns[0].address: missing"},
		"same name":         {"[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:1723\"\n[[pns]]\nname = \"a\"\naddress = \"192.0.2.2:1723\"", `t.toml:5:1: pns[1].name: "a" is used twice`},
		"own address":       {"[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:1723\"\nlocal = \"192.0.2.1\"", "t.toml:4:1: pns[0].local: is the PNS's own address"},
		"route to nobody":   {"[[route]]\ncalled = \"1\"", "t.toml:1:3: route[0].pns: missing"},
		"route to unknown":  {"[[route]]\npns = [\"x\"]", `route[0].pns[0]: there is no PNS "x"`},
		"route both":        {"[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:1723\"\n[[route]]\nrefuse = true\npns = [\"a\"]", "t.toml:6:1: route[0].pns: a route either refuses or names PNSes"},
		"no weight":         {"[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:1723\"\nweight = 0", "t.toml:4:1: pns[0].weight: 0 is not between 1 and 1000"},
		"no hours":          {"[[route]]\nhours = \"8-12\"\nrefuse = true", `t.toml:2:1: route[0].hours: "8-12" is not a part of the day`},
		"unknown order":     {"[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:1723\"\n[[route]]\npns = [\"a\"]\norder = \"best\"", `t.toml:6:1: route[0].order: "best" is neither "listed" nor "load"`},
		"command in number": {"[dialout]\nallow = [\"1;+F\"]", `t.toml:2:10: dialout.allow[0]: "1;+F" has other characters`},
		"pause in prefix":   {"[dialout]\ndeny = [\"0,\"]", `t.toml:2:9: dialout.deny[0]: "0," has a pause`},
		"deny all":          {"[dialout]\ndeny = [\"\"]", "t.toml:2:9: dialout.deny[0]: is empty"},
		"negative budget":   {"[dialout]\ncalls_per_hour = -1", "t.toml:2:1: dialout.calls_per_hour: -1 is less than none"},
		"odd connection":    {"[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:1723\"\nconnection = \"one\"", `t.toml:4:1: pns[0].connection: "one" is neither "shared" nor "per-call"`},
		"odd selftest":      {"[selftest]\nevery = \"1s\"", "t.toml:2:1: selftest.every: 1s is too short: at least 10m0s"},
		"long selftest":     {"[selftest]\nduration = \"1h\"", "t.toml:2:1: selftest.duration: 1h is not between 5s and 5m0s"},
		"number of no line": {driver + "[[driver.options.line]]\nname = \"x\"\n[selftest.numbers]\ny = \"1\"", `t.toml:7:1: selftest.numbers.y: there is no line "y"`},
		"command to a line": {driver + "[[driver.options.line]]\nname = \"x\"\n[selftest.numbers]\nx = \"1;+F\"", `t.toml:7:1: selftest.numbers.x: "1;+F" is no telephone number`},
		"named caller":      {"[selftest]\ncaller_ids = [\"me\"]", `t.toml:2:15: selftest.caller_ids[0]: "me" is no number as lines show it`},
		"failed is enough":  {"[selftest]\nminimum = \"failed\"", `t.toml:2:1: selftest.minimum: "failed" is neither "good" nor "poor"`},
		"negative patience": {"[selftest]\nquarantine = -1", "t.toml:2:1: selftest.quarantine: -1 is less than none"},
		"endless selftests": {"[selftest]\ncalls_per_hour = 0", "t.toml:2:1: selftest.calls_per_hour: 0 is not between 1 and 1000"},
		"no test in time":   {lines(43) + "[selftest]\ncalls_per_hour = 100\nevery = \"10m\"", `selftest.every: 43 lines are to be tested within 10m, which takes 132 test calls an hour: selftest.calls_per_hour = 100 allows no more than those`},
		"no test at night":  {lines(43) + "[selftest]\nevery = \"24h\"\nhours = \"23:30-00:30\"", `selftest.every: 43 lines are to be tested within 24h (selftest.hours = "23:30-00:30"), which takes 22 test calls an hour: selftest.calls_per_hour = 20 allows`},
		"twice a night":     {lines(43) + "[selftest]\nevery = \"12h\"\nhours = \"23:30-00:30\"", `selftest.every: 43 lines are to be tested within 12h (selftest.hours = "23:30-00:30"), which takes 22 test calls an hour: selftest.calls_per_hour = 20 allows`},
		"tests take longer": {lines(43) + "[selftest]\ncalls_per_hour = 100\nevery = \"2h\"\nduration = \"5m\"", `selftest.every: 43 lines are to be tested within 2h, which takes 11 test calls an hour: one after the other, with selftest.duration = "5m", there can be no more than 10`},
		"test of one":       {lines(3) + "[selftest]\nlines = [\"2\"]\nevery = \"2h\"", `selftest.every: line "2" is the only one that is tested (selftest.lines), and a test needs two`},
		"whose number":      {lines(3) + "[selftest.numbers]\n1 = \"7\"\n2 = \"7\"", `selftest.numbers.2: "7" is that of line "1" already`},
		"bad pattern":       {"[[route]]\ncalled = \"[\"\nrefuse = true", `t.toml:2:1: route[0].called: "[" is not a pattern`},
		"unknown hunt":      {"[[route]]\nhunt = \"h\"\nrefuse = true", `t.toml:2:1: route[0].hunt: there is no hunt group "h"`},
		"PNS on a link":     {"[[pns]]\nname = \"a\"\naddress = \"[fe80::1]:1723\"", "t.toml:3:1: pns[0].address: fe80::1 is an address on one link: the name of the interface is missing"},
		"port 0":            {"[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:0\"", "t.toml:3:1: pns[0].address:"},
		"PNS nowhere":       {"[[pns]]\nname = \"a\"\naddress = \"0.0.0.0:1723\"", "t.toml:3:1: pns[0].address:"},
		"local IPv6":        {"[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:1723\"\nlocal = \"::1\"", "t.toml:4:1: pns[0].local: ::1 and the PNS's address, 192.0.2.1, are not both IPv4 or both IPv6"},
		"local multicast":   {"[[pns]]\nname = \"a\"\naddress = \"[2001:db8::1]:1723\"\nlocal = \"ff02::1\"", "t.toml:4:1: pns[0].local: ff02::1 is not the address of a host"},
		"own IPv6 address":  {"[[pns]]\nname = \"a\"\naddress = \"[2001:db8::1]:1723\"\nlocal = \"2001:db8::1\"", "t.toml:4:1: pns[0].local: is the PNS's own address"},
		"escape in name":    {"name = \"\\u001b[2J\"", "t.toml:1:1: name: must have 1 to 64 octets and no control characters"},
		"escape in a name":  {"[[pns]]\nname = \"\\u009b\"\naddress = \"192.0.2.1:1723\"", `t.toml:2:1: pns[0].name: "\u009b" has control characters`},
		"inline options":    {driver + "options = {line = [{name = \"x\"}]}", "t.toml:4:1: driver[0].options: must be written as tables with headers"},
		"dotted options":    {driver + "options.line = [{name = \"x\"}]", "t.toml:4:1: driver[0].options: must be written as tables with headers"},
		"inline driver":     {"driver = [{name = \"d\", kind = \"modem\", options = {line = [{name = \"x\"}]}}]", "t.toml:1:40: driver[0].options: must be written as tables with headers"},
		"no options":        {driver, "t.toml:1:3: driver[0].options: line: there is no [[line]]"},
		"wrong option":      {driver + "[[driver.options.line]]\nname = \"x\"\ndevic = \"/dev/x\"", `t.toml:6:1: line[0].devic: unknown key (did you mean "device"?)`},
		"two wrong options": {driver + "[[driver.options.line]]\nname = 3\ndevic = \"/dev/x\"", "t.toml:5:1: line[0].name: 3 must be a string, not a whole number\nt.toml:6:1: line[0].devic:"},
		"line twice":        {driver + "[[driver.options.line]]\nname = \"x\"\n[[driver]]\nname = \"e\"\nkind = \"modem\"\n[[driver.options.line]]\nname = \"x\"", `driver[1].options: line "x" exists twice: in driver "d" and in driver "e"`},
		"hunt of no line":   {driver + "[[driver.options.line]]\nname = \"x\"\n[[hunt]]\nname = \"h\"\nlines = [\"x\", \"y*\"]", `t.toml:8:15: hunt[0].lines[1]: there is no line "y*"`},
		"route of no line":  {driver + "[[driver.options.line]]\nname = \"x\"\n[[route]]\nline = \"y\"\nrefuse = true", `t.toml:7:1: route[0].line: there is no line "y"`},
		"hunt of nothing":   {"[[hunt]]\nname = \"h\"", "t.toml:1:3: hunt[0].lines: a hunt group needs lines"},
		"unknown policy":    {"refused = \"no\"", `t.toml:1:1: refused: "no" is neither`},
		"name too long":     {"name = \"" + strings.Repeat("x", 65) + "\"", "t.toml:1:1: name: must have 1 to 64 octets"},
		"stray admin":       {"admin = \"/x.sock\"", "t.toml:1:1: admin:"},
		"open socket":       {"[admin]\nmode = \"0666\"", "t.toml:2:1: admin.mode:"},
		"unknown log level": {"[log]\nlevel = \"loud\"", "t.toml:2:1: log.level:"},
	} {
		_, err := Parse("t.toml", []byte(test.document), kinds)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %s", name, err, test.want)
		}
	}
}

// lines is a driver with lines "0", "1", ...
func lines(n int) string {
	text := "[[driver]]\nname = \"d\"\nkind = \"modem\"\n"
	for i := range n {
		text += fmt.Sprintf("[[driver.options.line]]\nname = \"%d\"\n", i)
	}
	return text
}

func TestEffectiveParsesAgain(t *testing.T) {
	first, err := Load(filepath.Join("..", "..", "etc", "pac.toml"), kinds)
	if err != nil {
		t.Fatal(err)
	}
	first.PNS[0].PerCall = true // not the default
	first.SelfTest.Numbers = map[string]string{"line1": "0,5550101"}
	first.SelfTest.Every = time.Hour
	if err := first.SelfTest.Hours.UnmarshalText([]byte("02:00-05:00")); err != nil {
		t.Fatal(err)
	}
	again, err := Parse("effective", []byte(first.Effective()), kinds)
	if err != nil {
		t.Fatalf("%v\n%s", err, first.Effective())
	}
	if !reflect.DeepEqual(again.Drivers[0].Options, first.Drivers[0].Options) || again.Timers != first.Timers || len(again.Routes) != len(first.Routes) || again.PNS[0] != first.PNS[0] || !reflect.DeepEqual(again.SelfTest, first.SelfTest) {
		t.Errorf("what is printed as effective says something else:\n%s", first.Effective())
	}
}

func TestOnePNSNeedsNoRoute(t *testing.T) {
	c, err := Parse("", []byte("[[pns]]\nname = \"a\"\naddress = \"192.0.2.1:1723\"\n"), kinds)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Routes) != 1 || c.Routes[0].PNS[0] != "a" || c.Timers.Reply != 3*time.Second {
		t.Errorf("%+v", c)
	}
}

func TestPNSOverIPv6(t *testing.T) {
	for address, want := range map[string]string{
		"[2001:db8::1]:1723": "[2001:db8::1]:1723", "[fe80::1%eth0]:17": "[fe80::1%eth0]:17", "[::ffff:192.0.2.1]:1723": "192.0.2.1:1723",
	} {
		c, err := Parse("t.toml", []byte("[[pns]]\nname = \"a\"\naddress = \""+address+"\""), kinds)
		if err != nil || c.PNS[0].Address.String() != want {
			t.Errorf("%s: %+v, %v; want %s", address, c.PNS, err, want)
		}
	}
}
