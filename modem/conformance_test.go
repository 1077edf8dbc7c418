package modem

import (
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"trunkline.example/modem/port/porttest"
	"trunkline.example/shared/line"
	"trunkline.example/shared/line/linetest"
)

// testLogger logs to the test and panics where the driver finds itself wrong.
func testLogger(t *testing.T) *zap.Logger {
	return zaptest.NewLogger(t, zaptest.WrapOptions(zap.Development()))
}

func section(keys string) line.Section {
	return line.Section{Name: "bank", File: "test.toml", Text: []byte(keys + "\n[[line]]\nname = \"one\"\ndevice = \"/dev/modem1\"\nnumber = \"5550100\"\n")}
}

// fixture is a sim on a device in memory.
func fixture(t *testing.T, virtual bool, keys string) linetest.Fixture {
	device := porttest.NewDevice(virtual)
	s := newSim(t, cable{device})
	s.run(t)
	return linetest.Fixture{Driver: New(Options{Logger: testLogger(t), Open: device.Open}), Section: section(keys), Far: s}
}

func TestConformance(t *testing.T) {
	for _, kind := range []struct {
		name    string
		virtual bool
		keys    string
	}{{"serial port", false, ""}, {"pseudo-terminal", true, ""}, {"reject by hook", false, `reject = "hook"`}} {
		for _, c := range linetest.Cases() {
			t.Run(kind.name+"/"+c.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c.Run(t, func(t *testing.T) linetest.Fixture { return fixture(t, kind.virtual, kind.keys) })
				})
			})
		}
	}
}
