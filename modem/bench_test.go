package modem

import (
	"context"
	"testing"

	"trunkline.example/modem/port"
	"trunkline.example/modem/port/porttest"
	"trunkline.example/shared/line"
)

// connectedLine answers a call with a minimal modem that says OK to everything,
// and returns the line and the modem's end.
func connectedLine(b *testing.B) (line.Line, *porttest.Device) {
	ctx, cancel := context.WithCancel(context.Background())
	device := porttest.NewDevice(false)
	device.SetLines(port.Lines{CTS: true})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			command, err := device.Receive(ctx, nil)
			if err != nil {
				return
			}
			if string(command) == "ATDT5\r" {
				_ = device.Send(ctx, []byte("\r\nCONNECT 33600\r\n"))
				return
			}
			_ = device.Send(ctx, []byte("\r\nOK\r\n"))
		}
	}()
	lines, err := New(Options{Open: device.Open}).Open(ctx, section("command_gap = \"0s\"\nreset_pause = \"0s\""))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cancel()
		<-stopped
		_ = lines[0].Shutdown(ctx)
	})
	for e := range lines[0].Events() {
		switch e.Body.(type) {
		case line.Up:
			if _, err := lines[0].Dial(ctx, line.DialRequest{Number: "5"}); err != nil {
				b.Fatal(err)
			}
		case line.Connected:
			return lines[0], device
		case line.Down, line.DialFailed:
			b.Fatalf("%+v", e.Body)
		}
	}
	b.Fatal("no connection")
	return nil, nil
}

// BenchmarkReceive is the way of 64 octets, a usual read of a modem, to the host.
func BenchmarkReceive(b *testing.B) {
	l, device := connectedLine(b)
	data, got := make([]byte, 64), make([]byte, 1024)
	b.SetBytes(64)
	for b.Loop() {
		if err := device.Send(b.Context(), data); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < 64; {
			k, err := l.Read(got)
			if err != nil {
				b.Fatal(err)
			}
			n += k
		}
	}
}

// BenchmarkSend is the way of a frame to the modem.
func BenchmarkSend(b *testing.B) {
	l, device := connectedLine(b)
	frame := make([]byte, 600)
	b.SetBytes(600)
	for b.Loop() {
		if _, err := l.Write(frame); err != nil {
			b.Fatal(err)
		}
		if _, err := device.Receive(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
