package pac

import (
	"time"

	"trunkline.example/pac/selftest"
	"trunkline.example/shared/line"
	"trunkline.example/shared/record"
)

// The parts in a self-test.
const (
	RoleCaller   = "caller"
	RoleAnswerer = "answerer"
)

// SelfTestResult is what a self-test has found out about one of its two lines. Frames and octets are those of the test's traffic, octets
// with framing.
type SelfTestResult struct {
	Line   string         `json:"line"`
	With   string         `json:"with"` // the other line
	Role   string         `json:"role"`
	Dialed string         `json:"dialed"`
	At     time.Time      `json:"at"`              // of its beginning
	Grade  selftest.Grade `json:"grade,omitempty"` // empty: the test says nothing about the line
	Reason string         `json:"reason,omitempty"`

	SpeedIn        uint32  `json:"speed_in,omitempty"` // bit/s
	SpeedOut       uint32  `json:"speed_out,omitempty"`
	Modulation     string  `json:"modulation,omitempty"`
	ErrorControl   string  `json:"error_control,omitempty"`
	Compression    string  `json:"compression,omitempty"`
	FramesSent     uint64  `json:"frames_sent"`
	FramesReceived uint64  `json:"frames_received"`
	FramesLost     uint64  `json:"frames_lost"` // of the other line's
	OctetsSent     uint64  `json:"octets_sent"`
	OctetsReceived uint64  `json:"octets_received"`
	OctetsLost     uint64  `json:"octets_lost"`
	Damaged        uint64  `json:"damaged"`                 // frames that arrived so
	LineErrors     uint64  `json:"line_errors"`             // that the line's hardware counted
	RoundTrip      float64 `json:"round_trip_ms,omitempty"` // of a frame and the next one from the other line, the mean
}

// SelfTestOutcome is what a self-test has found out.
type SelfTestOutcome struct {
	Caller   SelfTestResult `json:"caller"`
	Answerer SelfTestResult `json:"answerer"`
	Minimum  selftest.Grade `json:"minimum"` // lower grades have failed (selftest.minimum)
}

// SelfTestStatus is the last self-test of a line that said something about it.
type SelfTestStatus struct {
	SelfTestResult
	Failures int `json:"failures"` // in a row
}

// blank is a result that says nothing yet.
func (e *testEnd) blank() SelfTestResult {
	r := SelfTestResult{Line: e.name(), With: e.other.name(), Role: RoleCaller, Dialed: e.test.number, At: e.test.began}
	if e == e.test.answerer {
		r.Role = RoleAnswerer
	}
	return r
}

func (r *SelfTestResult) connection(c line.Connected) {
	r.SpeedIn, r.SpeedOut, r.Modulation, r.ErrorControl, r.Compression = c.RxSpeed, c.TxSpeed, c.Modulation, c.ErrorControl, c.Compression
}

func (r *SelfTestResult) counters(c selftest.Counters) {
	r.FramesSent, r.FramesReceived, r.OctetsSent, r.OctetsReceived, r.Damaged = c.FramesSent, c.FramesReceived, c.OctetsSent, c.OctetsReceived, c.Damaged
	r.RoundTrip = float64(c.RoundTrip.Microseconds()) / 1000
}

// fill makes a call record that of a self-test.
func (r *SelfTestResult) fill(to *record.Record) {
	to.PacketsIn, to.PacketsOut, to.OctetsIn, to.OctetsOut = r.FramesReceived, r.FramesSent, r.OctetsReceived, r.OctetsSent
	to.Result, to.ErrorCode = 0, 0 // no network server was told any
	to.SelfTest = record.SelfTest{
		Grade: string(r.Grade), Reason: r.Reason, With: r.With, Role: r.Role, FramesLost: r.FramesLost, OctetsLost: r.OctetsLost,
		Damaged: r.Damaged, LineErrors: r.LineErrors, RoundTrip: r.RoundTrip,
	}
}
