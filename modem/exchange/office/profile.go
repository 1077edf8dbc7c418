package office

import (
	"maps"
	"slices"
	"time"

	"trunkline.example/modem/exchange/circuit"
)

// Profile is a kind of telephone line: what it is like and what it does to calls.
type Profile struct {
	Transmit       int // bits per second its modem sends at most; zero: whatever the line has
	Receive        int // and receives
	Latency        time.Duration
	NoErrorControl bool
	Trouble        Trouble
}

// profiles are the built-in kinds of lines.
var profiles = map[string]Profile{
	"clean": {},
	// A long line in the country: slower, hits that error control makes good, a frame lost now and then.
	"noisy": {Transmit: 24000, Receive: 26400, Latency: 50 * time.Millisecond, Trouble: Trouble{
		Receives:     circuit.Impairment{BitErrorRate: 1e-5, Burst: 20, FrameErrorRate: 0.01, FrameAbortRate: 0.002},
		Sends:        circuit.Impairment{BitErrorRate: 1e-5, Burst: 20, FrameErrorRate: 0.01, FrameAbortRate: 0.002},
		RetrainEvery: time.Minute, RetrainTime: 2 * time.Second,
	}},
	// A line that should be reported to the telephone company.
	"bad": {Transmit: 9600, Receive: 14400, Latency: 80 * time.Millisecond, Trouble: Trouble{
		Receives:     circuit.Impairment{BitErrorRate: 1e-4, Burst: 50, FrameErrorRate: 0.05, FrameAbortRate: 0.01},
		Sends:        circuit.Impairment{BitErrorRate: 1e-4, Burst: 50, FrameErrorRate: 0.05, FrameAbortRate: 0.01},
		RetrainEvery: 20 * time.Second, RetrainTime: 6 * time.Second, DropEvery: 5 * time.Minute, TrainingFailures: 0.2,
	}},
	// Old modems: what the line does to the carrier reaches the data.
	"raw": {Transmit: 14400, Receive: 14400, Latency: 30 * time.Millisecond, NoErrorControl: true, Trouble: Trouble{
		Receives:     circuit.Impairment{BitErrorRate: 3e-6, Burst: 30, DropRate: 1e-5},
		Sends:        circuit.Impairment{BitErrorRate: 3e-6, Burst: 30, DropRate: 1e-5},
		ConnectNoise: 50,
	}},
	// Modems over voice over IP: far away, and its clocks drift apart.
	"voip": {Transmit: 26400, Receive: 26400, Latency: 150 * time.Millisecond, Trouble: Trouble{
		Receives:     circuit.Impairment{BitErrorRate: 3e-6, Burst: 160},
		Sends:        circuit.Impairment{BitErrorRate: 3e-6, Burst: 160},
		RetrainEvery: 90 * time.Second, RetrainTime: 8 * time.Second, DropEvery: 20 * time.Minute,
	}},
	// A bad cable between the caller's modem and computer: octets are lost behind the error control.
	"cable": {Trouble: Trouble{
		Receives: circuit.Impairment{DropRate: 1e-4, PassErrorControl: true},
		Sends:    circuit.Impairment{DropRate: 1e-4, PassErrorControl: true},
	}},
}

// NamedProfile returns a built-in profile.
func NamedProfile(name string) (p Profile, known bool) {
	p, known = profiles[name]
	return p, known
}

// ProfileNames returns the names of the built-in profiles.
func ProfileNames() []string { return slices.Sorted(maps.Keys(profiles)) }

// Become makes the line one of the profile's kind; what the profile leaves open
// stays as it is.
func (l *Line) Become(p Profile) {
	if p.Transmit != 0 {
		l.Transmit = p.Transmit
	}
	if p.Receive != 0 {
		l.Receive = p.Receive
	}
	l.Latency += p.Latency
	l.NoErrorControl = l.NoErrorControl || p.NoErrorControl
	l.Trouble = p.Trouble
}
