package fsm

import (
	"slices"
	"testing"
	"time"

	"trunkline.example/shared/pptp"
)

// messagesOf returns messages of type t that cover all outcomes it can have.
func messagesOf(t pptp.MessageType) []pptp.Message {
	switch t {
	case pptp.TypeStartControlConnectionRequest:
		return []pptp.Message{
			&pptp.StartControlConnectionRequest{ProtocolVersion: pptp.Version10},
			&pptp.StartControlConnectionRequest{ProtocolVersion: 0x0001},
		}
	case pptp.TypeStartControlConnectionReply:
		return []pptp.Message{
			&pptp.StartControlConnectionReply{ProtocolVersion: pptp.Version10, ResultCode: pptp.ControlOK},
			&pptp.StartControlConnectionReply{ProtocolVersion: pptp.Version10, ResultCode: 0},
			&pptp.StartControlConnectionReply{ProtocolVersion: 0x0200, ResultCode: pptp.ControlOK},
			&pptp.StartControlConnectionReply{ProtocolVersion: pptp.Version10, ResultCode: pptp.ControlNotAuthorized},
			&pptp.StartControlConnectionReply{ProtocolVersion: 0x0200, ResultCode: pptp.ControlVersionUnsupported},
		}
	case pptp.TypeOutgoingCallReply:
		return []pptp.Message{
			&pptp.OutgoingCallReply{ResultCode: pptp.OutgoingConnected},
			&pptp.OutgoingCallReply{ResultCode: pptp.OutgoingBusy}, &pptp.OutgoingCallReply{ResultCode: 0},
		}
	case pptp.TypeIncomingCallReply:
		return []pptp.Message{
			&pptp.IncomingCallReply{ResultCode: pptp.IncomingAccept},
			&pptp.IncomingCallReply{ResultCode: pptp.IncomingDoNotAccept}, &pptp.IncomingCallReply{ResultCode: 0},
		}
	}
	return []pptp.Message{t.New()}
}

// TestEventOf: every message is an event, and outcomes differ.
func TestEventOf(t *testing.T) {
	want := map[pptp.MessageType][]Event{
		pptp.TypeStartControlConnectionRequest: {EventStartRequest, EventStartRequestUnsupported},
		pptp.TypeStartControlConnectionReply: {
			EventStartReplyAccepted, EventStartReplyAccepted, EventStartReplyUnsupported, EventStartReplyRefused, EventStartReplyRefused,
		},
		pptp.TypeStopControlConnectionRequest: {EventStopRequest},
		pptp.TypeStopControlConnectionReply:   {EventStopReply},
		pptp.TypeEchoRequest:                  {EventEchoRequest},
		pptp.TypeEchoReply:                    {EventEchoReply},
		pptp.TypeOutgoingCallRequest:          {EventOutgoingCallRequest},
		pptp.TypeOutgoingCallReply:            {EventOutgoingReplyConnected, EventOutgoingReplyFailed, EventOutgoingReplyFailed},
		pptp.TypeIncomingCallRequest:          {EventIncomingCallRequest},
		pptp.TypeIncomingCallReply:            {EventIncomingReplyAccepted, EventIncomingReplyRefused, EventIncomingReplyRefused},
		pptp.TypeIncomingCallConnected:        {EventIncomingCallConnected},
		pptp.TypeCallClearRequest:             {EventCallClear},
		pptp.TypeCallDisconnectNotify:         {EventDisconnectNotify},
		pptp.TypeWANErrorNotify:               {EventWANErrors},
		pptp.TypeSetLinkInfo:                  {EventLinkInfo},
	}
	for _, mt := range pptp.MessageTypes() {
		for i, m := range messagesOf(mt) {
			if got := EventOf(m); got != want[mt][i] {
				t.Errorf("%v: %v, want %v", m.Summary(), got, want[mt][i])
			}
		}
	}
	if EventOf(nil) != EventNone {
		t.Error("no message is an event")
	}
}

// TestEveryTypeHasARow: the codec and the table cannot drift apart.
func TestEveryTypeHasARow(t *testing.T) {
	for _, mt := range pptp.MessageTypes() {
		row := RowOf(mt)
		if row == nil || row.Type != mt || row.Sender == 0 || row.Admit == 0 {
			t.Errorf("%v has no row: %+v", mt, row)
		}
	}
	if RowOf(0) != nil || RowOf(16) != nil || len(rows) != len(pptp.MessageTypes())+1 {
		t.Error("there are rows without a message")
	}
}

// TestRows compares the rows with the tables of RFC 2637 section 2.
func TestRows(t *testing.T) {
	want := map[string]Row{
		"SCCRQ":        {Sender: PartyOriginator, Reply: 2, Wait: TimerEstablish, Missing: ScopeConnection},
		"SCCRP":        {Sender: PartyReceiver},
		"StopCCRQ":     {Sender: PartyEither, Reply: 4, Wait: TimerStop, Missing: ScopeConnection},
		"StopCCRP":     {Sender: PartyEither},
		"Echo-Request": {Sender: PartyEither, Reply: 6, Wait: TimerEchoReply, Missing: ScopeConnection},
		"Echo-Reply":   {Sender: PartyEither},
		"OCRQ":         {Sender: PartyPNS, Finds: FindNew, Reply: 8, Wait: TimerOutgoing, Missing: ScopeCall},
		"OCRP":         {Sender: PartyPAC, Finds: FindByPNS, Disown: 12},
		"ICRQ":         {Sender: PartyPAC, Finds: FindNew, Reply: 10, Wait: TimerReply, Missing: ScopeCall},
		"ICRP":         {Sender: PartyPNS, Finds: FindByPAC, Reply: 11, Wait: TimerConnect, Missing: ScopeCall, Disown: 13},
		"ICCN":         {Sender: PartyPAC, Finds: FindByPNS},
		"CCRQ":         {Sender: PartyPNS, Finds: FindByPNS, Reply: 13, Wait: TimerDisconnect, Missing: ScopeCall},
		"CDN":          {Sender: PartyPAC, Finds: FindByPAC},
		"WEN":          {Sender: PartyPAC, Finds: FindByPNS},
		"SLI":          {Sender: PartyPNS, Finds: FindByPAC},
	}
	for _, mt := range pptp.MessageTypes() {
		got := *RowOf(mt)
		got.Type, got.Admit = 0, 0
		if w, ok := want[mt.Abbreviation()]; !ok || got != w {
			t.Errorf("%v: %+v, want %+v", mt, got, w)
		}
	}
}

// TestRowsAdmitWhatStepsDo: a row admits a message in a state exactly if the
// machine that receives it has a transition there.
func TestRowsAdmitWhatStepsDo(t *testing.T) {
	for _, mt := range pptp.MessageTypes() {
		row := RowOf(mt)
		directions := []Direction{Incoming, Outgoing}
		if row.Finds == FindNothing {
			directions = directions[:1]
		}
		var legal, possible StateSet
		for _, d := range directions {
			m, ok := row.Machine(d)
			if !ok {
				continue
			}
			if role := row.Receiver(); role != m.Role() {
				t.Errorf("%v is received by %v, not by the %v", mt, m, role)
			}
			for _, s := range StatesOf(m) {
				possible |= Set(s)
				for _, msg := range messagesOf(mt) {
					if _, ok := Step(m, s, EventOf(msg)); ok {
						legal |= Set(s)
						if !row.Admit.Has(s) {
							t.Errorf("%v: %v takes it in %v, the row does not", mt, m, s)
						}
					}
				}
			}
		}
		if row.Admit != legal {
			t.Errorf("%v: the row admits %b, the machines %b", mt, row.Admit, legal)
		}
		if row.Admit&^possible != 0 {
			t.Errorf("%v: the row admits states that its machines do not have", mt)
		}
	}
}

// TestRowMachine: which messages belong to calls of which direction.
func TestRowMachine(t *testing.T) {
	for _, mt := range pptp.MessageTypes() {
		row := RowOf(mt)
		_, in := row.Machine(Incoming)
		_, out := row.Machine(Outgoing)
		wantIn := !slices.Contains([]string{"OCRQ", "OCRP"}, mt.Abbreviation())
		wantOut := !slices.Contains([]string{"ICRQ", "ICRP", "ICCN"}, mt.Abbreviation())
		if in != wantIn || out != wantOut {
			t.Errorf("%v: incoming %v, outgoing %v", mt, in, out)
		}
	}
}

// TestEveryWaitingStateHasADeadline: only idle, established and closed may
// last; idle of the control connection may not.
func TestEveryWaitingStateHasADeadline(t *testing.T) {
	for m := Control; m < machines; m++ {
		for s := State(0); s < states; s++ {
			has := WaitOf(m, s) != TimerNone
			may := s == StateEstablished || s == StateClosed || s == StateIdle && m != Control
			if want := !may && slices.Contains(StatesOf(m), s); has != want {
				t.Errorf("%v: %v has a deadline: %v, want %v", m, s, has, want)
			}
			if _, ok := Step(m, s, EventTimeOut); has && !ok {
				t.Errorf("%v: nothing happens when the time of %v is up", m, s)
			}
		}
	}
	if WaitOf(machines, StateIdle) != TimerNone || WaitOf(Control, states) != TimerNone {
		t.Error("what does not exist waits")
	}
}

// TestRepliesAreWaitedFor: a transition that sends a message which asks for a
// reply leads to a state that waits for it as long as the row says.
func TestRepliesAreWaitedFor(t *testing.T) {
	refusals := 0
	for m, byState := range transitions {
		for s, entries := range byState {
			for _, e := range entries {
				for _, a := range e.do {
					mt, ok := a.Sends()
					if !ok || RowOf(mt).Reply == 0 || e.event == EventSilence {
						continue // an Echo-Request is sent in established, which has its own deadline
					}
					if e.next == StateIdle {
						refusals++ // an Incoming-Call-Reply that refuses is the last word
						continue
					}
					if got := WaitOf(m, e.next); got != RowOf(mt).Wait {
						t.Errorf("%v: %v in %v sends %v and waits for %v in %v, want %v", m, e.event, s, mt, got, e.next, RowOf(mt).Wait)
					}
				}
			}
		}
	}
	if refusals != 4 {
		t.Errorf("%d transitions refuse an incoming call", refusals)
	}
}

// TestShape: what must be true of all transitions.
func TestShape(t *testing.T) {
	for m, byState := range transitions {
		for s, entries := range byState {
			for _, e := range entries {
				if !slices.Contains(StatesOf(m), s) || !slices.Contains(StatesOf(m), e.next) {
					t.Errorf("%v: %v in %v leads to %v, which it does not have", m, e.event, s, e.next)
				}
				ends := slices.Contains(e.do, ActReportEnded)
				closes := slices.Contains(e.do, ActClose)
				if m != Control && s != StateIdle && e.next == StateIdle && !ends {
					t.Errorf("%v: %v in %v forgets the call without a report", m, e.event, s)
				}
				if m != Control && s == StateIdle && ends {
					t.Errorf("%v: %v reports the end of a call that never was", m, e.event)
				}
				if m == Control && closes != (e.next == StateClosed && s != StateClosed) {
					t.Errorf("%v in %v: closes %v, next %v", e.event, s, closes, e.next)
				}
				if i := slices.Index(e.do, ActClose); i >= 0 && i != len(e.do)-1 {
					t.Errorf("%v in %v: closing is not the last act", e.event, s)
				}
			}
		}
		for _, s := range StatesOf(m) {
			if s == StateIdle && m != Control {
				continue
			}
			if _, ok := Step(m, s, EventLost); !ok {
				t.Errorf("%v: nothing happens in %v when TCP is gone", m, s)
			}
		}
	}
}

// TestTimers: a zero or negative length means the default, every timer has one.
func TestTimers(t *testing.T) {
	var none Timers
	all := Timers{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	seen := make(map[time.Duration]bool)
	for timer := TimerEstablish; timer < timers; timer++ {
		if none.Of(timer) != timerDefaults[timer] || timerDefaults[timer] <= 0 {
			t.Errorf("%v: default %v", timer, none.Of(timer))
		}
		seen[all.Of(timer)] = true
	}
	if len(seen) != timers-1 || none.Of(TimerNone) != 0 || none.Of(timers) != 0 {
		t.Errorf("%d different fields for %d timers", len(seen), timers-1)
	}
	negative := Timers{Outgoing: -1}
	if negative.Of(TimerOutgoing) < 90*time.Second {
		t.Error("dialling may take more than a minute")
	}
}

// TestNames: everything has a name of its own, and so has what does not exist.
func TestNames(t *testing.T) {
	seen := make(map[string]bool)
	check := func(kind, name string) {
		if name == "" || seen[kind+name] {
			t.Errorf("%s %q", kind, name)
		}
		seen[kind+name] = true
	}
	for s := State(0); s <= states; s++ {
		check("state", s.String())
	}
	for e := Event(0); e <= events; e++ {
		check("event", e.String())
	}
	for m := Control; m < machines; m++ {
		check("machine", m.String())
	}
	for timer := TimerNone; timer <= timers; timer++ {
		check("timer", timer.String())
	}
	for a := Act(0); a <= ActReportEnded+1; a++ {
		check("act", a.String())
	}
	for i := range uint8(4) {
		check("role", Role(i).String())
		check("direction", Direction(i).String())
	}
	for _, m := range CallMachines() {
		if CallMachine(m.Role(), m.Direction()) != m {
			t.Errorf("%v is not itself", m)
		}
	}
	if Control.Role() != 0 || Control.Direction() != 0 || StatesOf(machines) != nil {
		t.Error("the control connection has no role and no direction")
	}
}
