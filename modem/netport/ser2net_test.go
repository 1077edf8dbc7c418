package netport

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"trunkline.example/modem/port"
)

// ser2net starts it with a pseudo-terminal in the place of a serial port, and returns the terminal's other end and where the port is served.
func ser2net(t *testing.T, accepter string) (modem *os.File, address string) {
	t.Helper()
	if _, err := exec.LookPath("ser2net"); err != nil {
		t.Skipf("needs ser2net (test/setup installs it): %v", err)
	}
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	modem = os.NewFile(uintptr(fd), "modem")
	t.Cleanup(func() { modem.Close() })
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	_, tcp, _ := net.SplitHostPort(address)
	config := filepath.Join(t.TempDir(), "ser2net.yaml")
	text := fmt.Sprintf("connection: &modem\n  accepter: %stcp,127.0.0.1,%s\n  connector: serialdev(nouucplock=true),/dev/pts/%d,115200n81,local\n", accepter, tcp, number)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "ser2net", "-n", "-d", "-u", "-c", config)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("ser2net: %s", said.String())
		}
	})
	return modem, address
}

// awkward are octets that mean something to Telnet or a terminal, in every order, between others.
func awkward(random *rand.Rand, n int) []byte {
	special := []byte{255, 255, 255, '\r', '\r', 0, '\n', 250, 240, 253, 251, 17, 19, 127, 3, 4}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
		if random.IntN(3) > 0 {
			b[i] = special[random.IntN(len(special))]
		}
	}
	return b
}

// pour writes all in pieces of all sizes.
func pour(w io.Writer, random *rand.Rand, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), 1+random.IntN(1<<random.IntN(11)))
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// Through ser2net, every octet passes both ways at once, whatever it means to Telnet and wherever the stream is split.
func TestTransparencyOfSer2net(t *testing.T) {
	for scheme, accepter := range map[string]string{"rfc2217": "telnet(rfc2217),", "telnet": "telnet,", "tcp": ""} {
		t.Run(scheme, func(t *testing.T) {
			modem, address := ser2net(t, accepter)
			var p port.Port
			eventually(t, "ser2net does not serve its port", func() (ok bool) {
				var err error
				p, err = Open(t.Context(), port.Options{Device: scheme + "://" + address, Speed: 115200})
				return err == nil
			})
			defer p.Close()
			// Before both ends have agreed on BINARY not everything passes.
			const seed = 1
			down, up := awkward(rand.New(rand.NewPCG(seed, 1)), 300_000), awkward(rand.New(rand.NewPCG(seed, 2)), 300_000)
			begin := []byte("begin:")
			if _, err := p.Write(begin); err != nil {
				t.Fatal(err)
			}
			await(t, modem, begin)
			if _, err := modem.Write(begin); err != nil {
				t.Fatal(err)
			}
			await(t, p, begin)
			failed := make(chan error, 2)
			go func() { failed <- pour(p, rand.New(rand.NewPCG(seed, 3)), up) }()
			go func() { failed <- pour(modem, rand.New(rand.NewPCG(seed, 4)), down) }()
			got := make(chan error, 2)
			go func() { got <- same("to the modem", modem, up) }()
			go func() { got <- same("from the modem", p, down) }()
			for range 2 {
				for _, c := range []chan error{failed, got} {
					if err := <-c; err != nil {
						t.Fatal(err)
					}
				}
			}
		})
	}
}

// await reads up to something.
func await(t *testing.T, r io.Reader, what []byte) {
	t.Helper()
	var got []byte
	for b := make([]byte, 1); !bytes.HasSuffix(got, what); {
		if _, err := r.Read(b); err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got = append(got, b...)
	}
}

// same reads as much as was sent and compares.
func same(direction string, r io.Reader, want []byte) error {
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil {
		return fmt.Errorf("%s: %w after %d of %d octets", direction, err, n, len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("%s: octet %d is %x, want %x: % x, not % x", direction, i, got[i], want[i], got[max(0, i-8):min(len(got), i+8)], want[max(0, i-8):min(len(want), i+8)])
		}
	}
	return nil
}
