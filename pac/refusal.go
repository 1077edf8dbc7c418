package pac

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/logging"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
)

// refusal is why a call that a network server asked for was not made.
type refusal uint8

const (
	refusedNumber   refusal = iota // the rules do not allow the number
	refusedDraining                // the operator has pac take no new calls
	refusedNoLine                  // no line that fits is free
	refusedBudget                  // calls_per_hour
	refusedByLine                  // the line, or its driver, would not dial
	refusedTaken                   // the control connection is for one call, which it has
	refusedIncoming                // it offered an incoming call, which only an access concentrator does
	refusals
)

// refusalNames are the names of the counters.
var refusalNames = [refusals]string{"number", "draining", "no-line", "calls-per-hour", "line", "taken", "not-a-pac"}

// refusalCounters count refusals of one network server's calls. They are safe for concurrent use.
type refusalCounters struct{ n [refusals]atomic.Uint64 }

// counts returns the counters by name; those at zero are left out.
func (r *refusalCounters) counts() map[string]uint64 {
	out := make(map[string]uint64)
	for i := range r.n {
		if n := r.n[i].Load(); n > 0 {
			out[refusalNames[i]] = n
		}
	}
	return out
}

// refuse counts and tells why a call was not made.
func (n *network) refuse(r refusal, info control.Call, why error) {
	n.refused.n[r].Add(1)
	n.traceEvent(time.Now(), "the outgoing call to "+info.DialedNumber+" is refused: "+why.Error())
	n.limited.Warn("outgoing call refused", zap.String(logging.KeyDialed, info.DialedNumber), zap.Error(why))
}

// offered refuses an Incoming-Call-Request: a concentrator has no use for calls of another one.
func (n *network) offered(now time.Time, m *control.Connection, info control.Call) {
	n.refused.n[refusedIncoming].Add(1)
	n.limited.Warn("the network server offers a call, as if it were an access concentrator", zap.String(logging.KeyDialing, info.DialingNumber))
	_ = m.AnswerIncoming(now, info.Own(), control.IncomingAnswer{Result: pptp.IncomingDoNotAccept}) // fails only if the call is over
}
