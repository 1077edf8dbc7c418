package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"trunkline.example/test/guest"
)

// measureKernel has pns measured beside pptpd, with a client on the Linux kernel's own PPTP, in a guest of two processors: the only place
// where all of them run on one kernel. What is measured there is in kernelguest.go.
func measureKernel(r *run, o options) {
	exchange := r.TempDir()
	plugin := filepath.Join(exchange, "kpptp.so")
	_, file, _, _ := runtime.Caller(0)
	source := filepath.Join(filepath.Dir(file), "..", "kpptp", "kpptp.c")
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-o", plugin, source).CombinedOutput(); err != nil {
		r.Skip("the client cannot be built (gcc, Debian's package ppp-dev):", err, string(out))
	}
	for _, program := range []string{"pptpd", "pppd", "iperf3"} {
		if _, err := exec.LookPath(program); err != nil {
			r.Skip("needs Debian's packages pptpd, ppp and iperf3:", err)
		}
	}
	for name, from := range map[string]string{"figures": "/proc/self/exe", "pns": filepath.Join(binDir, "pns")} {
		octets, err := os.ReadFile(from)
		if err != nil {
			r.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(exchange, name), octets, 0o755); err != nil {
			r.Fatal(err)
		}
	}
	order, err := json.Marshal(o)
	if err != nil {
		r.Fatal(err)
	}
	r.writeFile(exchange, "order", string(order))
	g := guest.Start(r, guest.Config{Exchange: exchange, Processors: 2, Timeout: 14 * time.Minute}, `
modprobe -a ppp_async ppp_mppe pptp tun
cd /xchg
exec -a `+guestName+` ./figures "$(cat order)"
`)
	out, status := g.Wait(r)
	report, err := os.ReadFile(filepath.Join(exchange, guestReport))
	var m message
	if err == nil {
		err = json.Unmarshal(report, &m)
	}
	if err != nil || status != 0 {
		r.Fatalf("the guest ended with %d: %v\n%s", status, err, lastLines(out, 30))
	}
	r.result = m.Result
}
