package lineplugin

import (
	"testing"

	"trunkline.example/shared/line"
)

// What an event says of a call's end crosses the boundary whole.
func TestEndOfACallIsConverted(t *testing.T) {
	for _, body := range []line.Body{
		line.Lost{Cause: line.Cause{Code: line.CauseCarrierLost, Q850: 16, Text: "gone"}, Counters: line.Counters{RxOctets: 1, Stalls: 2}, Report: true},
		line.Lost{}, line.Idle{Report: "Speed 33600/31200"},
	} {
		e := line.Event{Sequence: 3, Call: 7, Body: body}
		if got, err := eventFromPB(eventToPB(e)); err != nil || got.Body != body || got.Call != e.Call {
			t.Errorf("%+v became %+v, %v", e, got, err)
		}
	}
}
