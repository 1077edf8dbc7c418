package pac

import (
	"time"

	"go.uber.org/zap"

	"trunkline.example/pac/relay"
	"trunkline.example/shared/line"
	"trunkline.example/shared/linkreport"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/callstats"
	"trunkline.example/shared/record"
)

// CallView is what `pac` tells of a call.
type CallView struct {
	ID           string         `json:"id"`
	Line         string         `json:"line"`
	Kind         record.Kind    `json:"kind"`
	Stage        string         `json:"stage"`
	Dialed       string         `json:"dialed,omitempty"`
	Dialing      string         `json:"dialing,omitempty"`
	PNS          string         `json:"pns,omitempty"`
	PACCallID    uint16         `json:"pac_call_id"`
	PNSCallID    uint16         `json:"pns_call_id"`
	CallSerial   uint16         `json:"call_serial"`
	Began        time.Time      `json:"began"`
	Connected    time.Time      `json:"connected,omitzero"`
	SpeedIn      uint32         `json:"speed_in,omitempty"`
	SpeedOut     uint32         `json:"speed_out,omitempty"`
	Modulation   string         `json:"modulation,omitempty"`
	ErrorControl string         `json:"error_control,omitempty"`
	Compression  string         `json:"compression,omitempty"`
	Counters     relay.Counters `json:"counters"`
	Device       line.Counters  `json:"device"` // as the line counted

	relay *relay.Relay
}

func (c *call) view(lineName string) *CallView {
	v := &CallView{
		ID: c.id, Line: lineName, Kind: c.kind, Stage: c.stage.String(), Dialed: c.called, Dialing: c.ringing.Dialing, PNS: c.peer,
		PACCallID: c.pacID, PNSCallID: c.pnsID, CallSerial: c.serial, Began: c.began, Connected: c.connected,
		SpeedIn: c.line.RxSpeed, SpeedOut: c.line.TxSpeed,
		Modulation: c.line.Modulation, ErrorControl: c.line.ErrorControl, Compression: c.line.Compression, Device: c.counters,
	}
	v.relay = c.relay
	return v
}

// live is the view with the counters of this moment.
func (v *CallView) live() *CallView {
	if v == nil || v.relay == nil {
		return v
	}
	now := *v
	now.Counters = v.relay.Counters()
	return &now
}

// wanErrors maps what was counted to the fields of WAN-Error-Notify (RFC 2637 section 2.14).
func wanErrors(c *call) pptp.WANErrors {
	r := c.relay.Counters()
	return pptp.WANErrors{
		CRCErrors:        uint32(r.FCSErrors),
		FramingErrors:    uint32(c.counters.FramingErrors + r.Aborted + r.Oversized),
		HardwareOverruns: uint32(c.counters.HardwareOverruns),
		BufferOverruns:   uint32(c.counters.BufferOverruns + r.LineDropped),
		TimeoutErrors:    uint32(c.counters.Stalls + r.Stalled),
		AlignmentErrors:  uint32(c.counters.ParityErrors),
	}
}

// statistics are those of Call-Disconnect-Notify.
func statistics(c *call, cause line.Cause) callstats.Statistics {
	s := callstats.Statistics{Cause: cause.Code.String()}
	if c.relay == nil {
		return s
	}
	r := c.relay.Counters()
	s.Connected, s.Seconds = true, uint64(time.Since(c.connected).Round(time.Second)/time.Second)
	s.OctetsIn, s.OctetsOut, s.FramesIn, s.FramesOut = r.LineOctetsIn, r.LineOctetsOut, r.FramesIn, r.FramesOut
	s.FCSErrors, s.Dropped, s.Lost = r.FCSErrors, r.LineDropped, r.Lost
	s.SpeedIn, s.SpeedOut = c.line.RxSpeed, c.line.TxSpeed
	return s
}

var sides = map[by]record.Side{byCaller: record.SideClient, byPNS: record.SidePeer, byOperator: record.SideOperator, bySelf: record.SideSelf}

// record logs the end of a call and writes its call record.
func (o *owner) record(c *call, cause line.Cause) {
	ended := time.Now()
	r := record.Record{
		Version: record.Version, ID: c.id, Daemon: "pac", Host: o.server.config().Name, Kind: c.kind,
		Started: c.began, Connected: c.connected, Ended: ended,
		PNS: c.peer, PACCallID: c.pacID, PNSCallID: c.pnsID, CallSerial: c.serial, Dialed: c.called, Dialing: c.ringing.Dialing,
		Line: o.identity.Name, Channel: o.identity.PhysicalChannel, SpeedIn: c.line.RxSpeed, SpeedOut: c.line.TxSpeed,
		Modulation: c.line.Modulation, ErrorControl: c.line.ErrorControl, Compression: c.line.Compression,
		EndedBy: sides[c.ending.by], Cause: cause.Code.String(), Reason: c.ending.reason, Result: uint8(c.ending.result), ErrorCode: uint8(c.ending.error), Q931: uint16(cause.Q850),
	}
	if !c.connected.IsZero() {
		r.Seconds = ended.Sub(c.connected).Seconds()
		r.Bearer, r.Framing = pptp.BearerType(c.line.Bearer).String(), framingOf(c.line).String()
	}
	if c.relay != nil {
		k := c.relay.Counters()
		r.OctetsIn, r.OctetsOut, r.PacketsIn, r.PacketsOut = k.FrameOctetsIn, k.FrameOctetsOut, k.FramesIn, k.FramesOut
		r.Errors = record.Errors{
			FCS: k.FCSErrors, Framing: c.counters.FramingErrors, Overruns: c.counters.HardwareOverruns + c.counters.BufferOverruns,
			Aborts: k.Aborted + k.Oversized, Lost: k.Lost, Late: k.Late + k.Duplicates, Dropped: k.LineDropped + k.TunnelDropped,
		}
	}
	c.log.Info("call ended", zap.Stringer(logging.KeyCause, cause), zap.String(logging.KeyReason, c.ending.reason), zap.String("ended_by", string(r.EndedBy)),
		zap.Duration(logging.KeyDuration, time.Duration(r.Seconds*float64(time.Second))), zap.Uint64(logging.KeyOctetsIn, r.OctetsIn),
		zap.Uint64(logging.KeyOctetsOut, r.OctetsOut), zap.Uint64("fcs_errors", r.Errors.FCS), zap.Uint64(logging.KeyDropped, r.Errors.Dropped))
	o.write("")
	o.unwritten, o.unwrittenTest = &r, c.test
	if o.status.State != line.StateReleasing { // nothing more will be told of it
		o.write("")
	}
}

// write tells the end of the last call and writes its record, if that has not been done, with what the line's device has said of it.
func (o *owner) write(report string) {
	o.tell(report)
	r := o.unwritten
	if r == nil {
		return
	}
	o.unwritten = nil
	r.LineReport, r.Link = report, record.Link(linkreport.Parse(report))
	if o.unwrittenTest != nil {
		o.freed(o.unwrittenTest, r)
		return
	}
	o.keep(r)
}

// keep has a record written.
func (o *owner) keep(r *record.Record) {
	if o.server.records != nil && !o.server.records.Append(*r) {
		o.log.Error("a call record was lost: the disk does not keep up")
	}
}
