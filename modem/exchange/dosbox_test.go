package exchange

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// talkProgram is a DOS program for the serial port at an address: it sends its argument and CR, and prints what it hears, up to the second LF.
func talkProgram(base uint16) []byte {
	low, high := byte(base), byte(base>>8)
	status := low + 5
	return []byte{
		0x31, 0xc9, 0x8a, 0x0e, 0x80, 0x00, 0xbe, 0x82, 0x00, 0x49, // CX: length of the argument, SI: where it is
		0xba, status, high, 0xec, 0xa8, 0x20, 0x74, 0xfb, // wait until the transmitter is empty
		0xac, 0xba, low, high, 0xee, 0xe2, 0xf1, // send one octet; loop
		0xba, status, high, 0xec, 0xa8, 0x20, 0x74, 0xfb, 0xb0, '\r', 0xba, low, high, 0xee, // send CR
		0xb3, 2, // BL: lines to be heard
		0xba, status, high, 0xec, 0xa8, 0x01, 0x74, 0xfb, 0xba, low, high, 0xec, // wait for an octet
		0x88, 0xc2, 0xb4, 0x02, 0x52, 0xcd, 0x21, 0x5a, // print it
		0x80, 0xfa, '\n', 0x75, 0xe7, 0xfe, 0xcb, 0x75, 0xe3, 0xcd, 0x20,
	}
}

// DOSBox has a modem of the exchange behind one serial port, by its null modem over TCP; at the other one its own modem makes a connection that is a call.
func TestDOSBox(t *testing.T) {
	need(t, "dosbox")
	cfg := quick(t.TempDir(), 2, 2)
	cfg.Listeners = []Listener{{Address: "127.0.0.1:0", Lines: []string{"phone1"}}, {Address: "127.0.0.1:0", Lines: []string{"phone2"}, Dial: "1000"}}
	d, err := running(t, cfg).Directory()
	if err != nil {
		t.Fatal(err)
	}
	var answerers []*person
	for _, line := range []string{"line1", "line2"} {
		p, _ := open(t, cfg.Dir, line)
		p.ask("ATE0S0=1", "OK\r\n")
		answerers = append(answerers, p)
	}
	drive := t.TempDir()
	for name, base := range map[string]uint16{"TALK1.COM": 0x3f8, "TALK2.COM": 0x2f8} {
		if err := os.WriteFile(filepath.Join(drive, name), talkProgram(base), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(d.Listeners[0].Address)
	config := filepath.Join(t.TempDir(), "dosbox.conf")
	text := fmt.Sprintf(`[sdl]
output=surface
[mixer]
nosound=true
[midi]
mididevice=none
[cpu]
core=normal
cycles=3000
[serial]
serial1=nullmodem server:127.0.0.1 port:%s transparent:1
serial2=modem listenport:0
[autoexec]
mount c "%s"
c:
talk1 ATE0V1 >> one.txt
talk1 ATDT1000 >> one.txt
talk1 hello >> one.txt
talk2 ATE0 >> two.txt
talk2 ATDT%s >> two.txt
talk2 again >> two.txt
exit
`, port, drive, d.Listeners[1].Address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dosbox", "-conf", config, "-noconsole")
	cmd.Env = append(os.Environ(), "SDL_VIDEODRIVER=dummy", "SDL_AUDIODRIVER=dummy")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		if t.Failed() {
			cancel()
			one, _ := os.ReadFile(filepath.Join(drive, "ONE.TXT"))
			two, _ := os.ReadFile(filepath.Join(drive, "TWO.TXT"))
			t.Logf("%v\n%s\nCOM1: %q\nCOM2: %q", <-ended, said.String(), one, two)
		}
	}()
	for i, word := range []string{"hello", "again"} {
		answerers[i].hear("CONNECT 33600\r\n")
		answerers[i].hear(word + "\r")
		answerers[i].say("\r\nheard\r\n")
	}
	if err := <-ended; err != nil {
		t.Errorf("dosbox: %v", err)
	}
	ended <- nil
	for name, want := range map[string][]string{"ONE.TXT": {"OK", "CONNECT 33600", "heard"}, "TWO.TXT": {"OK", "CONNECT ", "heard"}} {
		got, err := os.ReadFile(filepath.Join(drive, name))
		if err != nil {
			t.Fatal(err)
		}
		rest := string(got)
		for _, w := range want {
			i := strings.Index(rest, w)
			if i < 0 {
				t.Errorf("%s: no %q in %q", name, w, got)
				break
			}
			rest = rest[i:]
		}
	}
}
