package fsm

import (
	"strings"
	"testing"
)

// The five machines once more, as RFC 2637 section 3 draws them: a row for each
// event, a column for each state. A cell names what is sent (in capitals) and
// done, then the next state, "=" for the same; "-" is not legal there. Events
// that a grid does not name are legal in none of its states.
//
// Everything but what follows is in the RFC: wait_approval, wait_decision,
// wait_hang_up, wait_cs_ans of an incoming call, closed; late messages that do
// nothing; a time-out ends a call and not the connection.
const controlGrid = `
event               | idle                  | wait_ctl_reply                | wait_approval           | established                         | wait_stop_reply            | closed
open                | SCCRQ wait_ctl_reply  | -                             | -                       | -                                   | -                          | -
SCCRQ               | ask wait_approval     | -                             | -                       | SCCRP =                             | =                          | -
SCCRQ (unsupported version) | SCCRP close closed | -                        | -                       | SCCRP =                             | =                          | -
SCCRP (accepted)    | close closed          | up established                | -                       | -                                   | =                          | -
SCCRP (unsupported version) | close closed  | StopCCRQ wait_stop_reply      | -                       | -                                   | =                          | -
SCCRP (refused)     | close closed          | close closed                  | -                       | -                                   | =                          | -
StopCCRQ            | close closed          | StopCCRP close closed         | -                       | StopCCRP endcalls close closed      | StopCCRP close closed      | -
StopCCRP            | close closed          | -                             | -                       | -                                   | close closed               | -
Echo-Request        | close closed          | Echo-Reply =                  | -                       | Echo-Reply =                        | =                          | -
Echo-Reply          | close closed          | -                             | -                       | =                                   | =                          | -
call message        | close closed          | -                             | -                       | =                                   | =                          | -
approve             | -                     | -                             | SCCRP up established    | -                                   | -                          | -
refuse              | -                     | -                             | SCCRP close closed      | -                                   | -                          | -
stop                | close closed          | close closed                  | close closed            | endcalls StopCCRQ wait_stop_reply   | =                          | =
silence             | -                     | -                             | -                       | Echo-Request =                      | -                          | -
time-out            | close closed          | close closed                  | SCCRP close closed      | endcalls close closed               | close closed               | -
lost                | close closed          | close closed                  | close closed            | endcalls close closed               | close closed               | =
`

const pacIncomingGrid = `
event           | idle            | wait_reply        | wait_cs_ans          | established         | wait_hang_up
offer           | ICRQ wait_reply | -                 | -                    | -                   | -
ICRP (accepted) | -               | accepted wait_cs_ans | -                 | -                   | -
ICRP (refused)  | -               | ended idle        | -                    | -                   | -
line up         | -               | -                 | ICCN established     | -                   | -
CCRQ            | -               | clear wait_hang_up | clear wait_hang_up  | clear wait_hang_up  | =
SLI             | -               | -                 | linkinfo =           | linkinfo =          | =
hang up         | -               | CDN ended idle    | CDN ended idle       | CDN ended idle      | CDN ended idle
send WEN        | -               | -                 | -                    | WEN =               | -
send SLI        | -               | -                 | -                    | SLI =               | -
time-out        | -               | CDN ended idle    | CDN ended idle       | -                   | CDN ended idle
lost            | -               | ended idle        | ended idle           | ended idle          | ended idle
`

const pacOutgoingGrid = `
event               | idle                  | wait_cs_ans         | established        | wait_hang_up
OCRQ                | requested wait_cs_ans | -                   | -                  | -
OCRQ (unacceptable) | OCRP =                | -                   | -                  | -
line up             | -                     | OCRP established    | -                  | -
refuse              | -                     | OCRP ended idle     | -                  | -
hang up             | -                     | OCRP ended idle     | CDN ended idle     | CDN ended idle
CCRQ                | -                     | clear wait_hang_up  | clear wait_hang_up | =
SLI                 | -                     | linkinfo =          | linkinfo =         | =
send WEN            | -                     | -                   | WEN =              | -
send SLI            | -                     | -                   | SLI =              | -
time-out            | -                     | OCRP ended idle     | -                  | CDN ended idle
lost                | -                     | ended idle          | ended idle         | ended idle
`

const pnsIncomingGrid = `
event               | idle                  | wait_decision     | wait_connect               | established          | wait_disconnect
ICRQ                | offered wait_decision | -                 | -                          | -                    | -
ICRQ (unacceptable) | ICRP =                | -                 | -                          | -                    | -
accept              | -                     | ICRP wait_connect | -                          | -                    | -
refuse              | -                     | ICRP ended idle   | -                          | -                    | -
ICCN                | -                     | -                 | connected established      | -                    | =
CDN                 | -                     | ended idle        | ended idle                 | ended idle           | ended idle
clear               | -                     | ICRP ended idle   | CCRQ wait_disconnect       | CCRQ wait_disconnect | =
WEN                 | -                     | -                 | wanerrors =                | wanerrors =          | =
send SLI            | -                     | -                 | -                          | SLI =                | -
time-out            | -                     | ICRP ended idle   | CCRQ ended wait_disconnect | -                    | ended idle
lost                | -                     | ended idle        | ended idle                 | ended idle           | ended idle
`

const pnsOutgoingGrid = `
event            | idle            | wait_reply                 | established          | wait_disconnect
request          | OCRQ wait_reply | -                          | -                    | -
OCRP (connected) | -               | connected established      | -                    | =
OCRP (failed)    | -               | ended idle                 | -                    | ended idle
CDN              | -               | ended idle                 | ended idle           | ended idle
clear            | -               | CCRQ wait_disconnect       | CCRQ wait_disconnect | =
WEN              | -               | -                          | wanerrors =          | =
send SLI         | -               | -                          | SLI =                | -
time-out         | -               | CCRQ ended wait_disconnect | -                    | ended idle
lost             | -               | ended idle                 | ended idle           | ended idle
`

var grids = map[Machine]string{
	Control: controlGrid, PACIncoming: pacIncomingGrid, PACOutgoing: pacOutgoingGrid,
	PNSIncoming: pnsIncomingGrid, PNSOutgoing: pnsOutgoingGrid,
}

var actWords = map[Act]string{
	ActAskApproval: "ask", ActReportEstablished: "up", ActEndCalls: "endcalls", ActClose: "close",
	ActReportOffered: "offered", ActReportRequested: "requested", ActReportAccepted: "accepted",
	ActReportConnected: "connected", ActReportClear: "clear", ActReportLinkInfo: "linkinfo",
	ActReportWANErrors: "wanerrors", ActReportEnded: "ended",
}

// describe writes a transition as the grids do.
func describe(m Machine, s State, e Event) string {
	t, ok := Step(m, s, e)
	if !ok {
		return "-"
	}
	var words []string
	for _, a := range t.Do {
		if mt, ok := a.Sends(); ok {
			words = append(words, mt.Abbreviation())
		} else {
			words = append(words, actWords[a])
		}
	}
	if t.Next == s {
		return strings.Join(append(words, "="), " ")
	}
	return strings.Join(append(words, t.Next.String()), " ")
}

// parseGrid returns the cells of a grid by event and state.
func parseGrid(t *testing.T, grid string) map[string]map[string]string {
	t.Helper()
	cells := make(map[string]map[string]string)
	var columns []string
	for line := range strings.Lines(strings.TrimSpace(grid)) {
		var row []string
		for field := range strings.SplitSeq(line, "|") {
			row = append(row, strings.TrimSpace(field))
		}
		if columns == nil {
			columns = row
			continue
		}
		if len(row) != len(columns) || cells[row[0]] != nil {
			t.Fatalf("bad row in grid: %q", line)
		}
		cells[row[0]] = make(map[string]string)
		for i := 1; i < len(row); i++ {
			cells[row[0]][columns[i]] = row[i]
		}
	}
	return cells
}

// TestEveryCell compares every pair of state and event of every machine with
// the grids.
func TestEveryCell(t *testing.T) {
	compared := 0
	for m := Control; m < machines; m++ {
		cells := parseGrid(t, grids[m])
		inUse := Set(StatesOf(m)...)
		for _, e := range Events() {
			row := cells[e.String()]
			delete(cells, e.String())
			for s := State(0); s < states; s++ {
				want := "-"
				if row != nil && inUse.Has(s) {
					if want = row[s.String()]; want == "" {
						t.Errorf("%v: the grid lacks %v in %v", m, e, s)
					}
				}
				compared++
				if got := describe(m, s, e); got != want {
					t.Errorf("%v: %v in %v: %q, want %q", m, e, s, got, want)
				}
			}
		}
		for event := range cells {
			t.Errorf("%v: the grid has an event %q that does not exist", m, event)
		}
	}
	if compared != machines*states*(events-1) {
		t.Errorf("compared %d cells", compared)
	}
	if _, ok := Step(machines, StateIdle, EventLost); ok {
		t.Error("a machine too many")
	}
	if _, ok := Step(Control, states, EventLost); ok {
		t.Error("a state too many")
	}
	if _, ok := Step(Control, StateIdle, events); ok {
		t.Error("an event too many")
	}
}
