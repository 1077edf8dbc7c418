package exchange

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/telnet"
)

// answersOf has a port, whose client has agreed to COM-PORT-OPTION, hear a command, and returns the answers to it.
func answersOf(p *telnetPort, c telnet.Command, value ...byte) []byte {
	p.in = p.telnet.Receive(p.in, telnet.AppendCommand(nil, c, value...))
	answers, _ := p.hear()
	return answers
}

func comPort() *telnetPort {
	p := newTelnetPort(nil, true)
	p.telnet.Receive(nil, []byte{255, 251, byte(telnet.ComPort)}) // WILL
	p.hear()
	return p
}

// Each command of RFC 2217 is answered with the value that is in force.
func TestComPortCommands(t *testing.T) {
	p := comPort()
	speed := telnet.Baudrate(9600)
	for i, c := range []struct {
		command     telnet.Command
		value, want []byte
	}{
		{telnet.Signature, nil, []byte(signature)},
		{telnet.SetBaudrate, telnet.Baudrate(0), telnet.Baudrate(socketSpeed)}, {telnet.SetBaudrate, speed, speed},
		{telnet.SetBaudrate, telnet.Baudrate(fastest + 1), speed},
		{telnet.SetDataSize, []byte{0}, []byte{8}}, {telnet.SetDataSize, []byte{7}, []byte{7}}, {telnet.SetDataSize, []byte{9}, []byte{7}},
		{telnet.SetParity, []byte{3}, []byte{3}}, {telnet.SetParity, []byte{0}, []byte{3}}, {telnet.SetParity, []byte{6}, []byte{3}},
		{telnet.SetStopSize, []byte{2}, []byte{2}}, {telnet.SetStopSize, []byte{0}, []byte{2}},
		{telnet.SetControl, []byte{0}, []byte{3}}, {telnet.SetControl, []byte{13}, []byte{16}}, {telnet.SetControl, []byte{1}, []byte{1}},
		{telnet.SetControl, []byte{13}, []byte{14}}, {telnet.SetControl, []byte{15}, []byte{15}}, {telnet.SetControl, []byte{13}, []byte{15}},
		{telnet.SetControl, []byte{17}, []byte{17}}, {telnet.SetControl, []byte{0}, []byte{17}}, {telnet.SetControl, []byte{19}, []byte{19}},
		{telnet.SetControl, []byte{4}, []byte{6}}, {telnet.SetControl, []byte{5}, []byte{5}}, {telnet.SetControl, []byte{4}, []byte{5}}, {telnet.SetControl, []byte{6}, []byte{6}},
		{telnet.SetControl, []byte{7}, []byte{8}}, {telnet.SetControl, []byte{9}, []byte{9}}, {telnet.SetControl, []byte{7}, []byte{9}},
		{telnet.SetControl, []byte{10}, []byte{11}}, {telnet.SetControl, []byte{12}, []byte{12}}, {telnet.SetControl, []byte{10}, []byte{12}},
		{telnet.SetControl, []byte{99}, []byte{19}},
		{telnet.SetLineMask, []byte{0x1e}, []byte{0x1e}}, {telnet.PurgeData, []byte{3}, []byte{3}},
	} {
		if got, want := answersOf(p, c.command, c.value...), telnet.AppendCommand(nil, telnet.Answer+c.command, c.want...); !bytes.Equal(got, want) {
			t.Errorf("%d: command %d % x is answered % x, want % x", i, c.command, c.value, got, want)
		}
	}
	if got := answersOf(p, telnet.Signature, []byte("client")...); len(got) > 0 {
		t.Errorf("the client's own signature is answered % x", got)
	}
}

// The modem lines are told as soon as the client has agreed, whatever it asks for (the mask is 255 then), and to those that ask.
func TestModemLinesAreToldUnasked(t *testing.T) {
	p := newTelnetPort(nil, true)
	p.signal(hayes.Signals{CTS: true, DSR: true})
	ready := telnet.AppendCommand(nil, telnet.Answer+telnet.NotifyModem, telnet.ModemCTS|telnet.ModemDSR|telnet.DeltaCTS|telnet.DeltaDSR)
	if got := p.notice(true); len(got) > 0 {
		t.Errorf("told % x before the client has agreed to COM-PORT-OPTION", got)
	}
	p.telnet.Receive(nil, []byte{255, 251, byte(telnet.ComPort)})
	if got, _ := p.hear(); !bytes.HasSuffix(got, ready) {
		t.Errorf("told % x at the beginning", got)
	}
	p.signal(hayes.Signals{CTS: true, DSR: true, DCD: true})
	carrier := telnet.AppendCommand(nil, telnet.Answer+telnet.NotifyModem, telnet.ModemCTS|telnet.ModemDSR|telnet.ModemCD|telnet.DeltaCD)
	if got := p.notice(false); !bytes.Equal(got, carrier) {
		t.Errorf("told % x of the carrier", got)
	}
	again := telnet.AppendCommand(nil, telnet.Answer+telnet.NotifyModem, telnet.ModemCTS|telnet.ModemDSR|telnet.ModemCD)
	if got := answersOf(p, telnet.NotifyModem); !bytes.Equal(got, again) {
		t.Errorf("a client that asks is told % x", got)
	}
	if got := answersOf(p, telnet.SetModemMask, 0); !bytes.Equal(got, telnet.AppendCommand(nil, telnet.Answer+telnet.SetModemMask, 0)) {
		t.Errorf("a client that wants to know nothing is told % x", got)
	}
}

// FLOWCONTROL-SUSPEND holds what is for the client, and PURGE-DATA has it thrown away; what is for the modem likewise.
func TestSuspendAndPurge(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	p := newTelnetPort(ours, true)
	defer p.Close()
	p.telnet.Receive(nil, []byte{255, 251, byte(telnet.ComPort)})
	p.hear()
	answersOf(p, telnet.FlowSuspend)
	done := make(chan error, 1)
	write := func(s string) { _, err := p.Write([]byte(s)); done <- err }
	go write("old")
	// A purge that comes before the writer holds anything would not concern it.
	for purged := false; !purged; {
		p.mu.Lock()
		answersOf(p, telnet.PurgeData, telnet.PurgeReceived)
		p.mu.Unlock()
		select {
		case err := <-done:
			purged = true
			if err != nil {
				t.Error(err)
			}
		default:
		}
	}
	go write("new")
	p.mu.Lock()
	answersOf(p, telnet.FlowResume)
	p.mu.Unlock()
	got := make([]byte, 10)
	if n, err := theirs.Read(got); err != nil || string(got[:n]) != "new" {
		t.Errorf("read %q, %v", got[:n], err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.mu.Lock()
	p.in = append(p.in, "unsent"...)
	answersOf(p, telnet.PurgeData, telnet.PurgeUnsent)
	if len(p.in) > 0 {
		t.Errorf("%q is still for the modem", p.in)
	}
	p.mu.Unlock()
}

// python is Debian's own, which has Debian's packages.
const python = "/usr/bin/python3"

// pyserial is a client of RFC 2217 of its own make: it insists on each setting's answer, and believes nothing but what it is told of the modem lines.
const pyserial = `
import faulthandler, serial, sys, time
faulthandler.dump_traceback_later(50, exit=True) # where it waits
s = serial.serial_for_url("rfc2217://" + sys.argv[1] + "?timeout=20", baudrate=57600, timeout=20, rtscts=True)
def until(what, holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.01)
def ask(command, answer):
    s.write(command + b"\r")
    got = s.read_until(answer)
    assert got.endswith(answer), (command, got)
until("ready", lambda: s.dsr and s.cts and not s.cd)
ask(b"ATE0&C1&D2", b"OK\r\n")
ask(b"ATDT1000", b"CONNECT 33600\r\n")
until("carrier", lambda: s.cd)
every = bytes(range(256)) * 8
s.write(every + b"end")
got = s.read(len(every))
assert got == every, (len(got), got[:40])
s.baudrate = 115200
s.bytesize, s.parity, s.stopbits = 7, serial.PARITY_EVEN, serial.STOPBITS_TWO
s.bytesize, s.parity, s.stopbits = 8, serial.PARITY_NONE, serial.STOPBITS_ONE
s.rts = False
s.rts = True
s.break_condition = True
s.break_condition = False
s.rtscts = False
s.xonxoff = True
s.xonxoff = False
s.rtscts = True
s.reset_output_buffer()
s.reset_input_buffer()
s.dtr = False
until("no carrier", lambda: not s.cd)
s.dtr = True
s.reset_input_buffer()
ask(b"AT", b"OK\r\n")
s.write(b"ATS0=0\r")
s.read_until(b"OK\r\n")
print("ready", flush=True)
until("ring", lambda: s.ri)
s.close()
`

func TestPyserial(t *testing.T) {
	need(t, python)
	if out, err := exec.Command(python, "-c", "import serial").CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: python3-serial is not installed: %s", out)
	}
	_, dir, at := listening(t, Listener{Protocol: RFC2217, Lines: []string{"phone1"}})
	pac := answering(t, dir)
	script := filepath.Join(t.TempDir(), "client.py")
	if err := os.WriteFile(script, []byte(pyserial), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, script, at[0])
	var failures bytes.Buffer
	cmd.Stderr = &failures
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	defer func() {
		if !ended {
			cancel()
			t.Logf("the client: %v\n%s", cmd.Wait(), failures.String())
		}
	}()
	client := &person{t: t, name: "pyserial", conn: struct {
		io.Reader
		io.Writer
	}{out, io.Discard}}
	pac.hear("CONNECT 33600\r\n")
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	all := string(slices.Repeat(every, 8))
	if got := pac.hear("end"); got != all {
		t.Errorf("%d octets of pyserial, or others", len(got))
	}
	pac.say(all)
	pac.hear("NO CARRIER\r\n")
	client.hear("ready\n")
	pac.say("ATS0=0DT2001\r")
	ended = true
	if err := cmd.Wait(); err != nil {
		t.Errorf("the client: %v\n%s", err, failures.String())
	}
}
