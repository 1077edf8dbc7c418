package pac

import (
	"fmt"
	"slices"
	"strings"

	"trunkline.example/pac/selftest"
	"trunkline.example/shared/line"
)

// broken is why a test did not go through.
type broken struct {
	reason string
	blamed []*testEnd // who failed; nobody: it says nothing about the lines
}

// testOver is the end of a line's part in a test, before or after the test's own.
type testOver struct {
	ending ending
	cause  line.Cause
	down   bool   // the line cannot be used any more
	errors uint64 // that its hardware counted
}

// blame is whose fault the end of a line's call is.
type blame uint8

const (
	blameEither blame = iota // there is no telling which of the two lines it is
	blameNobody              // it says nothing about the lines
	blameSelf                // the other line has no part in it
)

// blame judges by what the line has said.
func (o *testOver) blame() blame {
	switch o.cause.Code {
	case line.CauseDriver, line.CauseShutdown, line.CauseMaintenance: // whatever the line is like
		return blameNobody
	case line.CauseNoDialtone, line.CauseDevice, line.CauseUnresponsive:
		return blameSelf
	}
	switch {
	case o.down:
		return blameSelf
	case o.ending.by == byOperator, o.cause.Code == line.CauseNotAllowed, o.cause.Code == line.CauseBusy: // somebody may have called it at this very moment
		return blameNobody
	}
	return blameEither
}

// reason is what the end of a line's call is told to have been.
func (e *testEnd) reason() string {
	switch {
	case e.over.cause.Code == line.CauseBusy:
		return fmt.Sprintf("%s is busy", e.test.number)
	case e.over.down:
		return fmt.Sprintf("line %s: %v", e.name(), e.over.cause)
	}
	return fmt.Sprintf("line %s: %s", e.name(), e.over.ending.reason)
}

// both blames both lines: there is no telling which of them it is.
func (t *selfTest) both(reason string) *broken { return &broken{reason: reason, blamed: t.ends()} }

// taken: the answering line was called by somebody else.
func (t *selfTest) taken() *broken {
	return &broken{reason: fmt.Sprintf("line %s was called by somebody else", t.answerer.name())}
}

// ended is what the early end of an end's call says about both.
func (t *selfTest) ended(e *testEnd) *broken {
	if t.phase.Load() == testTaken {
		return t.taken()
	}
	switch e.over.blame() {
	case blameNobody:
		return &broken{reason: e.reason()}
	case blameSelf:
		return &broken{reason: e.reason(), blamed: []*testEnd{e}}
	}
	return t.both(e.reason())
}

// explained is why a test did not go through as it stands when both lines are done with it. What one of them is known to have done, or to have had done
// to it, is the reason of what the other one noticed, whichever was heard first.
func (t *selfTest) explained(b *broken) *broken {
	if b == nil || len(b.blamed) == 0 {
		return b
	}
	var guilty, innocent []*testEnd
	for _, e := range t.ends() {
		switch {
		case e.over == nil:
		case e.over.blame() == blameSelf:
			guilty = append(guilty, e)
		case e.over.blame() == blameNobody:
			innocent = append(innocent, e)
		}
	}
	switch {
	case len(guilty) > 0:
		reasons := make([]string, len(guilty))
		for i, e := range guilty {
			reasons[i] = e.reason()
		}
		return &broken{reason: strings.Join(reasons, "; "), blamed: guilty}
	case len(innocent) > 0:
		return &broken{reason: innocent[0].reason()}
	}
	return b
}

// measured is what was found out at an end, graded if the test went through.
func (t *selfTest) measured(e *testEnd, b *broken) SelfTestResult {
	r := e.blank()
	if e.up == nil {
		return r
	}
	own := e.up.traffic.Counters()
	r.connection(e.up.connected)
	r.counters(own)
	if b == nil {
		sent := e.other.up.traffic.Counters()
		r.Grade, r.Reason = selftest.Judge(sent, own, e.up.connected.RxSpeed, t.settings.LeastSpeed)
		r.FramesLost, r.OctetsLost = selftest.Lost(sent, own)
	}
	return r
}

// judge completes the result of an end.
func (e *testEnd) judge(r *SelfTestResult, b *broken) {
	if e.over != nil {
		r.LineErrors = e.over.errors
	}
	if b == nil {
		return
	}
	r.Reason = b.reason
	if slices.Contains(b.blamed, e) {
		r.Grade = selftest.Failed
	}
}
