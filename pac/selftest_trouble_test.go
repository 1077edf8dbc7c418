package pac

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What an operator does to one of the lines is no failure of the other one.
func TestOperatorEndsASelfTest(t *testing.T) {
	for _, name := range []string{"a", "b"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := exchangeBench(t, "ab", accept, nil)
				x.connectCalls("a", 1)
				done := x.begin()
				<-time.After(5 * time.Second)
				x.must(x.server.Hangup(t.Context(), name))
				if o := <-done; o.Caller.Grade != "" || o.Answerer.Grade != "" || !strings.Contains(o.Caller.Reason+o.Answerer.Reason, "an operator hung up") {
					t.Errorf("%+v", o)
				}
				for _, line := range []string{"a", "b"} {
					if l := x.status(line); l.SelfTest != nil || l.Call != nil || l.Reserved {
						t.Errorf("line %s: %+v, %+v", line, l, l.SelfTest)
					}
				}
				x.finish()
			})
		})
	}
}
