package lab

import (
	"fmt"
	"os"
	"strings"
)

// pnsText is the configuration of pns. The daemons' timers are such that the lab ends within stopLimit. Nothing in it needs nftables, which
// not every kernel lets ordinary users have.
func pnsText() string {
	return fmt.Sprintf(`name = "pns.lab"

[[listener]]
name = "lab"
address = "%[1]s:1723"

# What dial-in callers may do; encryption is used where they can.
[[pac]]
name = "pac"
address = ["%[2]s"]
authentication = ["ms-chapv2", "chap-md5", "pap"]
encryption = "preferred"

[pool]
ranges = ["%[3]s"]
server = "%[4]s"

[users]
file = "%[5]s"

[network]
isolation = false
clamp_mss = false

[timers]
shutdown = "3s"

[admin]
socket = "%[6]s"

[records]
file = "%[7]s"

[log]
format = "json"
`, pnsAddress, pacAddress, pool, innerPNS, usersFile, pnsSocket, pnsRecords)
}

// pacText is the configuration of pac.
func pacText(o Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, `name = "pac.lab"
[admin]
socket = %q
[records]
file = %q

[log]
format = "json"

[timers]
reconnect = "200ms"
shutdown = "5s"

[[pns]]
name = "pns"
address = "%s:1723"
local = "%s"

[dialout]
allow = [""]
calls_per_hour = 0

[[driver]]
name = "exchange"
kind = "modem"
[driver.options]
connect_speed = "line"
`, pacSocket, pacRecords, pnsAddress, pacAddress)
	lines := func(name string, first, count int) {
		for i := range count {
			fmt.Fprintf(&b, "[[driver.options.line]]\nname = \"%s%d\"\ndevice = \"%s/%s%d\"\nnumber = \"%d\"\n", name, i+1, linesDir, name, i+1, first+i)
		}
	}
	lines("line", 1001, o.Lines)
	if o.ISDN > 0 {
		b.WriteString("\n[[driver]]\nname = \"isdn\"\nkind = \"isdn\"\n[driver.options]\n" + protocolKey[o.Dialect])
		lines("isdn", 4001, o.ISDN)
	}
	return b.String()
}

// protocolKey is what the adapters of a dialect speak: as they come, they convert, or speak X.75.
var protocolKey = map[string]string{"elsa": "protocol = \"ppp\"\n", "isdn4linux": "protocol = \"x75\"\n"}

// wvdialText is a configuration of wvdial for use outside, with a section for each phone.
func wvdialText(pid int, o Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[Dialer Defaults]
Baud = 115200
Init1 = ATZ
Phone = %s
Username = %s
Password = %s
Stupid Mode = yes
Carrier Check = no
Auto Reconnect = off
PPPD Option = require-mppe-128
`, HuntNumber, User, Password)
	for i := range o.Phones {
		fmt.Fprintf(&b, "\n[Dialer phone%d]\nModem = %s/phone%d\n", i+1, outside(pid, linesDir), i+1)
	}
	for i := range o.ISDN {
		fmt.Fprintf(&b, "\n[Dialer ta%d]\nModem = %s/ta%d\nPhone = %s\n", i+1, outside(pid, linesDir), i+1, isdnNumber)
	}
	return b.String()
}

// shellText is what those who enter the lab start.
func shellText() string {
	return fmt.Sprintf("#!/bin/sh\ncd %s && PATH=%s:$PATH && export PATH && exec \"${SHELL:-/bin/sh}\"\n", runDir, binDir)
}

// writeFiles writes all of them.
func writeFiles(s start) error {
	for _, f := range []struct {
		path, text string
		mode       os.FileMode
	}{
		{pnsConfig, pnsText(), 0o644},
		{pacConfig, pacText(s.Options), 0o644},
		{wvdialFile, wvdialText(s.PID, s.Options), 0o644},
		{shellFile, shellText(), 0o755},
	} {
		if err := os.WriteFile(f.path, []byte(f.text), f.mode); err != nil {
			return err
		}
	}
	return nil
}
