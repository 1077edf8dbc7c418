package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"trunkline.example/pac"
	"trunkline.example/pac/selftest"
)

// pluggedIn starts what a serial adapter is to its line: while it runs, there is a device with that name. The function it returns pulls the plug.
func (b *bank) pluggedIn(name, to string) (unplug func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := b.space.Command(ctx, "socat", "PTY,rawer,link="+name, "OPEN:"+to+",rawer")
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
	}()
	var held *os.File // while nobody has it open, socat would end
	unplug = func() {
		cancel()
		<-ended
		_, _ = held.Close(), os.Remove(name)
	}
	b.t.Cleanup(unplug)
	eventually(b.t, "there is no "+name, 20*time.Second, func() bool {
		var err error
		held, err = os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
		return err == nil
	})
	return unplug
}

// midTest waits until both lines exchange frames.
func (b *bank) midTest() {
	b.t.Helper()
	eventually(b.t, "the two lines do not talk", 60*time.Second, func() bool {
		var calls []pac.CallView
		shown(b.t, &calls, "pac", "calls", "--json", "--admin", b.socket())
		return len(calls) == 2 && calls[0].Stage == "self-test" && calls[1].Stage == "self-test"
	})
}

// killDriver kills the process of the driver of that name.
func (b *bank) killDriver(name string) {
	b.t.Helper()
	var drivers []pac.DriverStatus
	shown(b.t, &drivers, "pac", "drivers", "--json", "--admin", b.socket())
	for _, d := range drivers {
		if d.Name == name {
			if err := syscall.Kill(d.PID, syscall.SIGKILL); err != nil {
				b.t.Fatal(err)
			}
			return
		}
	}
	b.t.Fatalf("there is no driver %q: %+v", name, drivers)
}

// In the middle of a self-test a driver dies, the operator does things to the lines, pac is killed, and a modem is unplugged: nobody is blamed who is not to
// blame, and the lines can be tested again.
func TestSelfTestInTrouble(t *testing.T) {
	t.Parallel()
	b := newBankSite(t, overIPv4, 4, "")
	b.exchange = startDaemon(t, b.space, "pac", "exchange", "--dir", b.ports(), "--lines", "4", "--phones", "1", "--rate", "115200", "--training", "100ms")
	device := filepath.Join(b.dir, "usb")
	unplug := b.pluggedIn(device, exchangeLine(b, 4))
	driver := "kind = \"modem\"\n[driver.options]\ncommand_gap = \"10ms\"\nconnect_speed = \"line\"\n"
	line := func(i int, device string) string {
		return fmt.Sprintf("[[driver.options.line]]\nname = \"line%d\"\ndevice = %q\nnumber = \"%d\"\n", i, device, 1000+i)
	}
	b.runPAC(overIPv4, "1000", driver+line(1, exchangeLine(b, 1))+line(2, exchangeLine(b, 2))+line(4, device)+
		"[[driver]]\nname = \"second\"\n"+driver+line(3, exchangeLine(b, 3)), "20")
	b.reconfigure("[selftest]\nduration = \"1m\"\n")

	outcome := b.selfTest("line3")
	b.midTest()
	b.killDriver("second")
	if o := outcome(); o.Caller.Grade != "" || o.Answerer.Grade != "" || !strings.Contains(o.Caller.Reason, "line line3: driver") {
		t.Errorf("a driver died: %+v", o)
	}
	b.awaitIdle()

	outcome = b.selfTest("line3")
	b.midTest()
	b.operate()
	if o := outcome(); o.Caller.Grade != "" || o.Answerer.Grade != "" || !strings.Contains(o.Caller.Reason, "an operator hung up") {
		t.Errorf("an operator hung up: %+v", o)
	}

	ended := make(chan error, 1)
	go func() {
		_, err := cli(t, "", "pac", "line", "selftest", "line2", "--to", "line3", "--admin", b.socket())
		ended <- err
	}()
	b.midTest()
	b.pac.Kill()
	if err := <-ended; err == nil {
		t.Error("pac was killed, and its self-test passed")
	}
	b.startPAC()
	write(t, b.dir, "pac.toml", strings.Replace(readFile(t, b.config), `duration = "1m"`, `duration = "5s"`, 1))
	b.reconfigure("")
	if o := b.selfTest("line3")(); o.Caller.Grade != selftest.Good || o.Answerer.Grade != selftest.Good {
		t.Errorf("after all: %+v", o)
	}

	write(t, b.dir, "pac.toml", strings.Replace(readFile(t, b.config), `duration = "5s"`, `duration = "1m"`, 1))
	b.reconfigure("")
	outcome = b.selfTest("line4")
	b.midTest()
	unplug()
	o := outcome()
	if r := o.Answerer; r.Line != "line4" || r.Grade != selftest.Failed || !strings.Contains(r.Reason, "line line4: device") {
		t.Errorf("the line that was unplugged: %+v", r)
	}
	if r := o.Caller; r.Grade != "" || !strings.Contains(r.Reason, "line line4: device") {
		t.Errorf("the line that called it: %+v", r)
	}
}

// operate does to a line in the middle of a self-test what an operator can, and hangs up at last.
func (b *bank) operate() {
	b.t.Helper()
	for _, c := range []struct {
		args []string
		says string // beside a failure; "": it works
	}{
		{[]string{"line", "busy-out", "line3"}, "it has a call"},
		{[]string{"line", "reset", "line3"}, "it has a call"},
		{[]string{"line", "test", "line2"}, "it has a call"},
		{[]string{"line", "disable", "line2"}, ""},
		{[]string{"line", "enable", "line2"}, ""},
		{[]string{"line", "selftest", "line1"}, "another self-test is under way"},
		{[]string{"line", "selftest", "line9"}, `there is no line "line9"`},
		{[]string{"line", "selftest", "line1", "--to", "line9"}, `there is no line "line9"`},
		{[]string{"hangup", "line3"}, ""},
	} {
		if out, err := cli(b.t, "", "pac", append(c.args, "--admin", b.socket())...); (err == nil) != (c.says == "") || !strings.Contains(out, c.says) {
			b.t.Errorf("pac %v during the self-test: %v\n%s", c.args, err, out)
		}
	}
}
