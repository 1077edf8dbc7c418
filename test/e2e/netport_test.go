package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"trunkline.example/test/output"
)

// startProgram starts a program of the host in the site's network namespace, and waits until it is ready.
func (s *site) startProgram(ready func() bool, program string, args ...string) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := s.space.Command(ctx, program, args...)
	var out output.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-ended
		if s.t.Failed() {
			s.t.Logf("%s printed:\n%s", program, out.String())
		}
	})
	eventually(s.t, program+" is not ready", 20*time.Second, ready)
}

// takes tells whether a TCP port in the site's network namespace takes connections.
func (s *site) takes(address string) bool {
	return s.space.Do(func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	}) == nil
}

// A modem behind a terminal server is a line like others: calls come in, are hung up from either side, and the line is free again.
func TestModemsBehindATerminalServer(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ser2net"); err != nil {
		t.Skip("needs ser2net (test/setup installs it)")
	}
	for scheme, accepter := range map[string]string{"rfc2217": "telnet(rfc2217)", "telnet": "telnet", "tcp": ""} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			b := newBankOn(t, overIPv4, 2, 115200, "", func(b *bank, i int) string {
				port := fmt.Sprint(7000 + i)
				accepters := append(strings.Fields(accepter), "tcp", pacAddress, port)
				text := fmt.Sprintf("connection: &line%d\n  accepter: %s\n  connector: serialdev(nouucplock=true),%s/line%d,115200n81,local\n",
					i, strings.Join(accepters, ","), b.ports(), i)
				config := write(b.t, b.dir, fmt.Sprintf("ser2net%d.yaml", i), text)
				b.startProgram(func() bool { return b.takes(net.JoinHostPort(pacAddress, port)) }, "ser2net", "-n", "-d", "-u", "-c", config)
				return fmt.Sprintf("%s://%s:%s", scheme, pacAddress, port)
			})
			x := b.exchangeDir()
			g := b.dialing(x, 2, `
call 0 1000 `+password+` require-mppe-128 asyncmap 0
up ppp0
pings `+innerAddress+` 64 1400
down
touch /xchg/first
until_true 90 test -e /xchg/again
call 1 1002 `+password+` require-mppe-128
up ppp0
touch /xchg/second
wait $pid || echo "pppd ended: $?"
`)
			awaitFile(t, g, x, "first")
			b.pacRecord(0)
			b.awaitIdle()
			write(t, x, "again", "")
			awaitFile(t, g, x, "second")
			if out, err := cli(t, "", "pns", "kick", b.admin(), "alice"); err != nil {
				t.Errorf("pns kick: %v\n%s", err, out)
			}
			if out, status := g.Wait(t); status != 0 {
				t.Fatalf("the guest ended with %d:\n%s", status, out)
			}
			for n := range 2 {
				if r := b.pacRecord(n); r["line"] != fmt.Sprintf("line%d", n+1) || r["errors"] != nil && len(r["errors"].(map[string]any)) > 0 {
					t.Errorf("pac's call record %d: %v", n, r)
				}
			}
			b.awaitIdle()
		})
	}
}
