package fsm

import (
	"os"
	"strings"
	"testing"
)

// rfcCell is one entry of the RFC's table, as text: "irc,scr" and "6", or "-".
type rfcCell struct{ actions, next string }

// rfcTable reads the RFC's table: event name -> state number -> cell.
func rfcTable(t *testing.T) map[string]map[State]rfcCell {
	t.Helper()
	text, err := os.ReadFile("testdata/rfc1661-section-4.1.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]map[State]rfcCell{}
	var columns []State
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, "|")
		name = strings.TrimSpace(name)
		fields := strings.Fields(rest)
		switch {
		case !ok || len(fields) == 0 || fields[0] == "State" || name == "Events" || strings.HasPrefix(line, "#"):
		case name == "": // the numbers of the states
			columns = nil
			for _, f := range fields {
				columns = append(columns, State(f[0]-'0'))
			}
		default:
			if len(fields) != len(columns) {
				t.Fatalf("row %s has %d cells, want %d", name, len(fields), len(columns))
			}
			if rows[name] == nil {
				rows[name] = map[State]rfcCell{}
			}
			for i, f := range fields {
				f = strings.TrimRight(f, "rpx")
				actions, next, found := strings.Cut(f, "/")
				if !found {
					actions, next = "", f
				}
				rows[name][columns[i]] = rfcCell{actions, next}
			}
		}
	}
	return rows
}

// stateNumber is the RFC's number of a state.
func stateNumber(s State) string { return string(rune('0' + s)) }

func TestTableIsThatOfRFC1661(t *testing.T) {
	rfc := rfcTable(t)
	if len(rfc) != int(events) {
		t.Fatalf("the RFC's table has %d events, want %d", len(rfc), events)
	}
	for e := range events {
		for s := range states {
			want, ok := rfc[e.String()][s]
			if !ok {
				t.Fatalf("the RFC's table lacks %v in %v", e, s)
			}
			next, actions, possible := Transition(s, e)
			if want.next == "-" {
				if possible || next != s || actions != nil {
					t.Errorf("%v in %v: %v/%v, want that it cannot occur", e, s, actions, next)
				}
				continue
			}
			var got []string
			for _, a := range actions {
				got = append(got, a.String())
			}
			if text := strings.Join(got, ","); text != want.actions || stateNumber(next) != want.next || !possible {
				t.Errorf("%v in %v: %s/%s, want %s/%s", e, s, text, stateNumber(next), want.actions, want.next)
			}
		}
	}
}

func TestTransitionOutOfRange(t *testing.T) {
	for _, c := range []struct {
		s State
		e Event
	}{{states, EventUp}, {Initial, events}, {255, 255}} {
		if next, actions, ok := Transition(c.s, c.e); ok || next != c.s || actions != nil {
			t.Errorf("Transition(%v, %v) = %v, %v, %v", c.s, c.e, next, actions, ok)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Initial.String(), "Initial"}, {Opened.String(), "Opened"}, {State(77).String(), "state 77"},
		{EventUp.String(), "Up"}, {EventRXR.String(), "RXR"}, {Event(77).String(), "event 77"},
		{TLU.String(), "tlu"}, {SER.String(), "ser"}, {Step(77).String(), "step 77"},
		{ConfigureRequest.String(), "Configure-Request"}, {ResetAck.String(), "Reset-Ack"}, {Code(77).String(), "code 77"},
		{FinishSilent.String(), "no answer"}, {Finish(77).String(), "finish 77"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
