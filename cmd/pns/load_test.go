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
	f := loadFlags{source: "198.19.0.0/16", passwordFile: "-", mppe: "optional", traffic: "echo", flood: "down", target: "10.0.0.7", authentication: []string{"pap", "ms-chapv2"}}
	c, err := f.config("192.0.2.1", strings.NewReader("secret\n"))
	password, _ := c.Password.Reveal()
	if err != nil || c.Server != netip.MustParseAddrPort("192.0.2.1:1723") || c.Source != netip.MustParsePrefix("198.19.0.0/16") || c.Encryption != ccp.Preferred ||
		!slices.Equal(c.Authentication, []auth.Protocol{auth.PAP, auth.MSCHAPv2}) || c.Traffic.Shape != load.Echo || c.Traffic.Target != netip.MustParseAddr("10.0.0.7") || password != "secret" {
		t.Fatalf("%+v %v", c, err)
	}
	for name, change := range map[string]func(*loadFlags){
		"source": func(f *loadFlags) { f.source = "here" }, "mppe": func(f *loadFlags) { f.mppe = "some" }, "traffic": func(f *loadFlags) { f.traffic = "jam" }, "flood": func(f *loadFlags) { f.flood = "jam" },
		"target": func(f *loadFlags) { f.target = "there" }, "auth": func(f *loadFlags) { f.authentication = []string{"eap"} },
		"password": func(f *loadFlags) { f.passwordFile = filepath.Join(t.TempDir(), "none") },
	} {
		bad := f
		change(&bad)
		if _, err := bad.config("192.0.2.1:17", strings.NewReader("secret\n")); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for text, want := range map[string]string{"2001:db8::1": "[2001:db8::1]:1723", "[2001:db8::1]:17": "[2001:db8::1]:17", "192.0.2.1:17": "192.0.2.1:17", "fe80::1%wire": "[fe80::1%wire]:1723"} {
		if got, err := parseServer(text); err != nil || got.String() != want {
			t.Errorf("%s: %v %v", text, got, err)
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
