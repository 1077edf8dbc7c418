package lineplugin

import (
	"fmt"
	"time"

	"trunkline.example/plugins/lineplugin/linepb"
	"trunkline.example/shared/line"
)

func errorToPB(err error) *linepb.Error {
	if err == nil {
		return nil
	}
	code, text := line.CodeOf(err)
	return &linepb.Error{Code: uint32(code), Text: text}
}

func errorFromPB(e *linepb.Error) error {
	if e == nil {
		return nil
	}
	return line.MakeError(line.ErrorCode(e.GetCode()), e.GetText())
}

func causeToPB(c line.Cause) *linepb.Cause {
	if c == (line.Cause{}) {
		return nil
	}
	return &linepb.Cause{Code: uint32(c.Code), Q850: uint32(c.Q850), Text: c.Text}
}

func causeFromPB(c *linepb.Cause) line.Cause {
	return line.Cause{Code: line.CauseCode(c.GetCode()), Q850: uint8(c.GetQ850()), Text: c.GetText()}
}

func infoToPB(i line.Info) *linepb.HelloReply {
	c := i.Capabilities
	return &linepb.HelloReply{Name: i.Name, Version: i.Version, Contract: i.Contract, Capabilities: &linepb.Capabilities{
		Answer: c.Answer, Reject: c.Reject, Dial: c.Dial, CallerNumber: c.CallerNumber, CalledNumber: c.CalledNumber,
		Counters: c.Counters, Service: c.Service, Recover: c.Recover, Bearers: uint32(c.Bearers), Framings: uint32(c.Framings),
	}}
}

func infoFromPB(h *linepb.HelloReply) line.Info {
	c := h.GetCapabilities()
	return line.Info{Name: h.GetName(), Version: h.GetVersion(), Contract: h.GetContract(), Capabilities: line.Capabilities{
		Answer: c.GetAnswer(), Reject: c.GetReject(), Dial: c.GetDial(), CallerNumber: c.GetCallerNumber(), CalledNumber: c.GetCalledNumber(),
		Counters: c.GetCounters(), Service: c.GetService(), Recover: c.GetRecover(), Bearers: line.Bearer(c.GetBearers()), Framings: line.Framing(c.GetFramings()),
	}}
}

func identityToPB(i line.Identity) *linepb.Identity {
	return &linepb.Identity{
		Name: i.Name, Device: i.Device, PhysicalChannel: i.PhysicalChannel, Number: i.Number, Bearers: uint32(i.Bearers), Framings: uint32(i.Framings),
		MinimumBps: i.MinimumBPS, MaximumBps: i.MaximumBPS,
	}
}

func identityFromPB(i *linepb.Identity) line.Identity {
	return line.Identity{
		Name: i.GetName(), Device: i.GetDevice(), PhysicalChannel: i.GetPhysicalChannel(), Number: i.GetNumber(),
		Bearers: line.Bearer(i.GetBearers()), Framings: line.Framing(i.GetFramings()), MinimumBPS: i.GetMinimumBps(), MaximumBPS: i.GetMaximumBps(),
	}
}

func countersToPB(c line.Counters) *linepb.Counters {
	if c == (line.Counters{}) {
		return nil
	}
	return &linepb.Counters{
		RxOctets: c.RxOctets, TxOctets: c.TxOctets, FramingErrors: c.FramingErrors, ParityErrors: c.ParityErrors,
		HardwareOverruns: c.HardwareOverruns, BufferOverruns: c.BufferOverruns, Breaks: c.Breaks, Stalls: c.Stalls,
	}
}

func countersFromPB(c *linepb.Counters) line.Counters {
	return line.Counters{
		RxOctets: c.GetRxOctets(), TxOctets: c.GetTxOctets(), FramingErrors: c.GetFramingErrors(), ParityErrors: c.GetParityErrors(),
		HardwareOverruns: c.GetHardwareOverruns(), BufferOverruns: c.GetBufferOverruns(), Breaks: c.GetBreaks(), Stalls: c.GetStalls(),
	}
}

// nanos is a time on the wire; the zero time is 0.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

func ringingToPB(r line.Ringing) *linepb.Ringing {
	return &linepb.Ringing{
		Dialed: r.Dialed, Dialing: r.Dialing, Subaddress: r.Subaddress, Name: r.Name, Withheld: r.Withheld,
		Cadence: r.Cadence, Bearer: uint32(r.Bearer), Since: nanos(r.Since),
	}
}

func ringingFromPB(r *linepb.Ringing) line.Ringing {
	return line.Ringing{
		Dialed: r.GetDialed(), Dialing: r.GetDialing(), Subaddress: r.GetSubaddress(), Name: r.GetName(), Withheld: r.GetWithheld(),
		Cadence: r.GetCadence(), Bearer: line.Bearer(r.GetBearer()), Since: fromNanos(r.GetSince()),
	}
}

func connectedToPB(c line.Connected) *linepb.Connected {
	return &linepb.Connected{
		RxSpeed: c.RxSpeed, TxSpeed: c.TxSpeed, SpeedKnown: c.SpeedKnown, DteSpeed: c.DTESpeed, Bearer: uint32(c.Bearer), Framing: uint32(c.Framing),
		Modulation: c.Modulation, ErrorControl: c.ErrorControl, Compression: c.Compression, Raw: c.Raw,
	}
}

func connectedFromPB(c *linepb.Connected) line.Connected {
	return line.Connected{
		RxSpeed: c.GetRxSpeed(), TxSpeed: c.GetTxSpeed(), SpeedKnown: c.GetSpeedKnown(), DTESpeed: c.GetDteSpeed(),
		Bearer: line.Bearer(c.GetBearer()), Framing: line.Framing(c.GetFraming()),
		Modulation: c.GetModulation(), ErrorControl: c.GetErrorControl(), Compression: c.GetCompression(), Raw: c.GetRaw(),
	}
}

func dialFromPB(d *linepb.Dial) line.DialRequest {
	return line.DialRequest{
		Number: d.GetNumber(), Subaddress: d.GetSubaddress(), Bearer: line.Bearer(d.GetBearer()), Framing: line.Framing(d.GetFraming()),
		MinimumBPS: d.GetMinimumBps(), MaximumBPS: d.GetMaximumBps(),
	}
}

func statusToPB(s line.Status) *linepb.Status {
	return &linepb.Status{
		State: uint32(s.State), Sequence: s.Sequence, LastCall: uint64(s.LastCall), Call: uint64(s.Call), Incoming: s.Incoming, Equipment: s.Equipment,
		Cause: causeToPB(s.Cause), Ringing: ringingToPB(s.Ringing), Number: s.Number, Connected: connectedToPB(s.Connected), Counters: countersToPB(s.Counters),
	}
}

func statusFromPB(s *linepb.Status) line.Status {
	return line.Status{
		State: line.State(s.GetState()), Sequence: s.GetSequence(), LastCall: line.Call(s.GetLastCall()), Call: line.Call(s.GetCall()),
		Incoming: s.GetIncoming(), Equipment: s.GetEquipment(), Cause: causeFromPB(s.GetCause()), Ringing: ringingFromPB(s.GetRinging()),
		Number: s.GetNumber(), Connected: connectedFromPB(s.GetConnected()), Counters: countersFromPB(s.GetCounters()),
	}
}

func eventToPB(e line.Event) *linepb.Event {
	out := &linepb.Event{Sequence: e.Sequence, At: nanos(e.At), Call: uint64(e.Call), Kind: uint32(e.Body.Kind())}
	switch b := e.Body.(type) {
	case line.Up:
		out.Text = b.Equipment
	case line.Down:
		out.Cause, out.Retry = causeToPB(b.Cause), int64(b.Retry)
	case line.Ringing:
		out.Ringing = ringingToPB(b)
	case line.RingingStopped:
		out.Cause = causeToPB(b.Cause)
	case line.Dialing:
		out.Text = b.Number
	case line.Connected:
		out.Connected = connectedToPB(b)
	case line.Lost:
		out.Cause, out.Counters, out.Report = causeToPB(b.Cause), countersToPB(b.Counters), b.Report
	case line.DialFailed:
		out.Cause = causeToPB(b.Cause)
	case line.Idle:
		out.Text = b.Report
	case line.Progress:
		out.Text = b.Text
	case line.CountersChanged:
		out.Counters = countersToPB(b.Counters)
	case line.Recovered:
		out.Status = statusToPB(b.Status)
	}
	return out
}

// eventFromPB is the inverse of eventToPB; an event of a kind unknown here is an error.
func eventFromPB(e *linepb.Event) (line.Event, error) {
	out := line.Event{Sequence: e.GetSequence(), At: fromNanos(e.GetAt()), Call: line.Call(e.GetCall())}
	switch line.Kind(e.GetKind()) {
	case line.KindUp:
		out.Body = line.Up{Equipment: e.GetText()}
	case line.KindDown:
		out.Body = line.Down{Cause: causeFromPB(e.GetCause()), Retry: time.Duration(e.GetRetry())}
	case line.KindRinging:
		out.Body = ringingFromPB(e.GetRinging())
	case line.KindRingingStopped:
		out.Body = line.RingingStopped{Cause: causeFromPB(e.GetCause())}
	case line.KindAnswering:
		out.Body = line.Answering{}
	case line.KindDialing:
		out.Body = line.Dialing{Number: e.GetText()}
	case line.KindConnected:
		out.Body = connectedFromPB(e.GetConnected())
	case line.KindLost:
		out.Body = line.Lost{Cause: causeFromPB(e.GetCause()), Counters: countersFromPB(e.GetCounters()), Report: e.GetReport()}
	case line.KindDialFailed:
		out.Body = line.DialFailed{Cause: causeFromPB(e.GetCause())}
	case line.KindIdle:
		out.Body = line.Idle{Report: e.GetText()}
	case line.KindProgress:
		out.Body = line.Progress{Text: e.GetText()}
	case line.KindCounters:
		out.Body = line.CountersChanged{Counters: countersFromPB(e.GetCounters())}
	case line.KindRecovered:
		out.Body = line.Recovered{Status: statusFromPB(e.GetStatus())}
	default:
		return out, fmt.Errorf("lineplugin: event of unknown kind %d", e.GetKind())
	}
	return out, nil
}
