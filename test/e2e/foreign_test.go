package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"trunkline.example/pac"
	"trunkline.example/shared/confine"
	"trunkline.example/test/guest"
)

// Drivers that do not ship with pac, one in Go and one in Python: a real pppd calls over a cable of each as Windows does over a direct one.
func TestForeignDrivers(t *testing.T) {
	t.Parallel()
	s := newSite(t, 1, `
[[pac]]
name = "bank"
address = ["`+pacAddress+`"]
`)
	s.space.Run("ip", "addr", "add", pacAddress+"/24", "dev", "br0")
	example := filepath.Join("..", "..", "plugins", "example")
	inGo, inPython := filepath.Join(s.dir, "cable"), filepath.Join(s.dir, "cable.py")
	for _, make := range [][]string{
		{"go", "build", "-C", example, "-o", inGo, "."},
		{"protoc", "-I", filepath.Join(example, "..", "lineplugin", "linepb"), "--python_out=" + s.dir, "line.proto"},
		{"install", "-m", "755", filepath.Join(example, "python", "cable.py"), inPython},
	} {
		if out, err := exec.Command(make[0], make[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", make, err, out)
		}
	}
	b := &bank{site: s, lines: 2}
	text := fmt.Sprintf(`
[admin]
socket = %q
[records]
file = %q
[timers]
reconnect = "200ms"
[[pns]]
name = "main"
address = "%s:1723"
local = "%s"
`, b.socket(), b.callRecords(), serverAddress, pacAddress)
	serials := map[int]string{}
	for n, driver := range []struct{ kind, program string }{{"cable", inGo}, {"cable-python", inPython}} {
		serials[n] = "unix:" + filepath.Join(s.dir, fmt.Sprintf("far%d", n))
		text += fmt.Sprintf(`
[[driver]]
name = "driver%d"
kind = %q
command = [%q]
paths = [%q]
[[driver.options.line]]
name = "cable%d"
listen = %q
number = "100%d"
`, n, driver.kind, driver.program, s.dir, n, serials[n], n)
	}
	b.config = write(t, s.dir, "pac.toml", text)
	b.startPAC()
	b.confined()
	x := b.exchangeDir()
	out, status := guest.Run(t, guest.Config{Serials: serials, Exchange: x}, caller+`
cable() {
	secrets "alice * `+password+` *"
	pppd /dev/ttyS$1 115200 nodetach noauth noipv6 debug user alice logfile /xchg/client$1.log connect "chat -v -s TIMEOUT 10 '' CLIENT CLIENTSERVER ''" require-mppe-128 &
	pid=$!
}
interval=0.1
for n in 0 1; do
	cable $n
	up ppp0
	pings `+innerAddress+` 64 1400
	down
done
`)
	if status != 0 {
		t.Fatalf("the guest ended with %d:\n%s\n%s", status, out, readFile(t, path(x, "client0.log")))
	}
	for n := range 2 {
		if r := b.record(n); r["user"] != "alice" || r["dialed"] != fmt.Sprintf("100%d", n) {
			t.Errorf("call record %d of pns: %v", n, r)
		}
		if r := b.pacRecord(n); r["line"] != fmt.Sprintf("cable%d", n) {
			t.Errorf("call record %d of pac: %v", n, r)
		}
	}
}

// confined checks that all drivers are kept from files that are none of their business, where the kernel can do that, and that it is said where it cannot.
func (b *bank) confined() {
	b.t.Helper()
	var drivers []pac.DriverStatus
	shown(b.t, &drivers, "pac", "drivers", "--json", "--admin", b.socket())
	_, missing := confine.Version()
	for _, d := range drivers {
		if d.Confined != (missing == nil) || d.Confined != (d.Unconfined == "") {
			b.t.Errorf("driver %s: confined: %v, because %q; the kernel: %v", d.Name, d.Confined, d.Unconfined, missing)
		}
	}
	if len(drivers) == 0 {
		b.t.Error("there are no drivers")
	}
}
