package pns

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/dataplane"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/callstats"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
	"trunkline.example/shared/record"
)

// logEnd is the one line that says how a call went.
func (k *call) logEnd(now time.Time, n dataplane.Counters, why control.Ending) {
	k.log().Info("call ended", append(k.fields(), zap.String(logging.KeyUser, k.session.Facts().User), zap.Stringer(logging.KeyCause, k.why.Code),
		zap.Stringer(logging.KeyReason, k.why), zap.Stringer("call_end", why),
		zap.Duration(logging.KeyDuration, now.Sub(k.started).Round(time.Millisecond)),
		zap.Uint64(logging.KeyOctetsIn, n.OctetsIn), zap.Uint64(logging.KeyOctetsOut, n.OctetsOut), zap.Uint64(logging.KeyDropped, n.Dropped()))...)
}

// recordID names a session in records: unique over restarts as well.
func (s *Server) recordID(session uint64) string {
	return fmt.Sprintf("%x-%d", s.started.Unix(), session)
}

// kind is how the call came about.
func (k *call) kind() record.Kind {
	switch {
	case k.info.Role == fsm.RolePAC:
		return record.KindDirect
	case k.info.Direction == fsm.Outgoing:
		return record.KindOutgoing
	}
	return record.KindIncoming
}

// record is the call's record at its end.
func (k *call) record(now time.Time, n dataplane.Counters, why control.Ending) record.Record {
	facts, s := k.session.Facts(), k.conn.shard.server
	r := record.Record{
		ID: s.recordID(k.id), Daemon: "pns", Host: s.cfg.Load().Name,
		Kind: k.kind(), Started: k.started, Connected: facts.NetworkUp, Ended: now,
		User: facts.User, Address: record.AddressText(facts.PeerAddress), Encryption: encryptionName(facts.KeyBits),
		Peer: k.conn.remote.Addr().String(), PeerName: k.conn.machine.Peer().HostName, Listener: k.conn.listener,
		PACCallID: k.info.PACCallID, PNSCallID: k.info.PNSCallID, CallSerial: k.info.CallSerialNumber,
		Dialed: k.info.DialedNumber, Dialing: k.info.DialingNumber, Channel: k.info.PhysicalChannelID,
		OctetsIn: n.OctetsIn, OctetsOut: n.OctetsOut, PacketsIn: n.PacketsIn, PacketsOut: n.PacketsOut,
		Errors: record.Errors{
			Lost: n.Lost, Late: n.Late + n.Duplicates, Undecrypted: n.Undecrypted, Dropped: n.WindowClosed + n.InboxDropped + n.SendFailed + n.Congested + n.LimitedIn + n.LimitedOut,
			Filtered: n.Forged + n.Isolated + n.Unroutable + n.Unencrypted + n.FilteredIn + n.FilteredOut,
			FCS:      uint64(k.wanErrors.CRCErrors), Framing: uint64(k.wanErrors.FramingErrors),
			Overruns: uint64(k.wanErrors.HardwareOverruns) + uint64(k.wanErrors.BufferOverruns),
		},
		EndedBy: k.endedBy(), Cause: k.why.Code.String(), Reason: k.why.Text,
		Result: uint8(why.Disconnect), ErrorCode: uint8(why.Error), Q931: uint16(why.CauseCode),
	}
	if facts.Authentication != 0 {
		r.Login = facts.Authentication.String()
	}
	if k.conn.pac != nil {
		r.PAC = k.conn.pac.Name
	}
	if k.visit != nil {
		r.Site = k.visit.site.cfg.Name
	}
	if k.info.Role == fsm.RolePNS && k.conn.ours == nil {
		// Only a PAC's word about its line is worth recording: of a client's it is a constant.
		r.SpeedIn, r.SpeedOut = k.info.ConnectSpeed, k.info.ConnectSpeed
		r.Bearer, r.Framing = k.bearer(), k.framing()
		r.Statistics = why.Statistics
		if far, ok := callstats.Parse(why.Statistics); ok {
			r.LineCause = far.Cause
			r.Errors.FCS = max(r.Errors.FCS, far.FCSErrors) // the last WAN-Error-Notify may be a minute old
			r.Link = record.Link(far.Link)
			if far.SpeedOut > 0 {
				r.SpeedIn, r.SpeedOut = far.SpeedIn, far.SpeedOut
			}
			r.Ended = endedAt(now, k.started, far.Ago)
		}
	}
	if !facts.NetworkUp.IsZero() {
		r.Seconds = max(0, r.Ended.Sub(facts.NetworkUp).Seconds())
	}
	return r
}

// mostAgo is how long before its Call-Disconnect-Notify a PAC may say that a call has ended, in ms.
const mostAgo = 60_000

// endedAt is when a call ended that its PAC tells of now: so many ms ago, but not before it began.
func endedAt(now, began time.Time, ago uint64) time.Time {
	return now.Add(-min(time.Duration(min(ago, mostAgo))*time.Millisecond, now.Sub(began)))
}

// bearer is the call's; "" while it is one of several.
func (k *call) bearer() string {
	if b := k.info.Bearer; b == pptp.BearerAnalog || b == pptp.BearerDigital {
		return b.String()
	}
	return ""
}

// framing is what the PAC has told of the telephone line; "" while it is one of several.
func (k *call) framing() string {
	if f := k.info.Framing; f == pptp.FramingAsynchronous || f == pptp.FramingSynchronous {
		return f.String()
	}
	return ""
}

// endedBy says for the record who ended the call.
func (k *call) endedBy() record.Side {
	switch {
	case k.operator:
		return record.SideOperator
	case k.why.By == link.There:
		return record.SideClient
	case k.why.By == link.Line:
		return record.SidePeer
	}
	return record.SideSelf
}

func (s *Server) writeRecord(r record.Record) {
	if s.records != nil && !s.records.Append(r) {
		s.recordsLost.Add(1)
	}
}
