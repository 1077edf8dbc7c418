package main

import (
	"bytes"
	"context"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"trunkline.example/pns/load"
	"trunkline.example/shared/command"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
)

func TestLoadFlags(t *testing.T) {
	f := loadFlags{source: "198.19.0.0/16", passwordFile: "-", mppe: "optional", traffic: "echo", target: "10.0.0.7", authentication: []string{"pap", "ms-chapv2"}}
	c, err := f.config("192.0.2.1", strings.NewReader("secret\n"))
	password, _ := c.Password.Reveal()
	if err != nil || c.Server != netip.MustParseAddrPort("192.0.2.1:1723") || c.Source != netip.MustParsePrefix("198.19.0.0/16") || c.Encryption != ccp.Preferred ||
		!slices.Equal(c.Authentication, []auth.Protocol{auth.PAP, auth.MSCHAPv2}) || c.Traffic.Shape != load.Echo || c.Traffic.Target != netip.MustParseAddr("10.0.0.7") || password != "secret" {
		t.Fatalf("%+v %v", c, err)
	}
	for name, change := range map[string]func(*loadFlags){
		"source": func(f *loadFlags) { f.source = "here" }, "mppe": func(f *loadFlags) { f.mppe = "some" }, "traffic": func(f *loadFlags) { f.traffic = "jam" },
		"target": func(f *loadFlags) { f.target = "there" }, "auth": func(f *loadFlags) { f.authentication = []string{"eap"} },
		"password": func(f *loadFlags) { f.passwordFile = filepath.Join(t.TempDir(), "none") },
	} {
		bad := f
		change(&bad)
		if _, err := bad.config("192.0.2.1:17", strings.NewReader("secret\n")); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := f.config("server", strings.NewReader("secret\n")); err == nil {
		t.Error("a server by its name")
	}
}

func TestLoadWrongUsage(t *testing.T) {
	for _, args := range [][]string{{"load"}, {"load", "192.0.2.1", "--mppe", "some"}, {"load", "192.0.2.1", "--sessions", "-1"}, {"load", "192.0.2.1", "--window", "9999"}} {
		cmd := root()
		cmd.SetArgs(args)
		cmd.SetIn(strings.NewReader("secret\n"))
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		if status := exitStatus(&out, cmd.ExecuteContext(context.Background())); status != command.StatusUsage {
			t.Errorf("%q: exit status %d\n%s", args, status, out.String())
		}
	}
}

func TestLoadTable(t *testing.T) {
	r := load.Report{Sessions: 3, Started: 3, Up: 2, Failed: 1, Failures: []load.Failure{{Reason: "TCP: refused", Count: 1, Example: "why"}},
		SetUp:   load.SetUp{PerSecond: 123.456, Latency: load.Latency{Count: 2, Median: 1.5}},
		Traffic: &load.Carried{Up: load.Way{Sent: 10, Received: 9, Lost: 1, LostShare: 0.1}, RoundTrip: &load.Latency{Max: 7}}}
	var out bytes.Buffer
	if err := loadTable(&r).Write(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"of 3", "TCP: refused: why", "123.46", "calls/s", "10.0000 % of 10", "round trip, max"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if line := progressLine(load.Progress{Phase: "carrying", Up: 2, Sessions: 3, Sent: 5, Received: 4}); !strings.Contains(line, "carrying: 2 of 3 up") || !strings.Contains(line, "5 packets sent, 4 received") {
		t.Error(line)
	}
}
