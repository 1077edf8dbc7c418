package pac

import (
	"context"
	"errors"
	"os"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/record"
)

// Status is the daemon at a glance.
type Status struct {
	Name     string         `json:"name"`
	Version  string         `json:"version"`
	PID      int            `json:"pid"`
	Started  time.Time      `json:"started"`
	Runtime  admin.Runtime  `json:"runtime"`
	Draining bool           `json:"draining"` // no new calls are taken
	PNS      []PNSStatus    `json:"pns"`
	Drivers  []DriverStatus `json:"drivers"`

	GRE map[string]tunnel.MuxCounters `json:"gre"` // by local address
}

// HangupRequest is the body of POST /hangup.
type HangupRequest struct {
	Call string `json:"call"` // identifier of a call, or name of a line
}

// Paths of the admin API.
const (
	PathStatus  = "/status"
	PathLines   = "/lines"
	PathDrivers = "/drivers"
	PathCalls   = "/calls"
	PathHangup  = "/hangup"
	PathLine    = "/line"
	PathTest    = "/selftest"
)

// Endpoints adds the concentrator's endpoints to an admin API.
func (s *Server) Endpoints(a *admin.Server) {
	a.Get(PathStatus, func(context.Context, *admin.Request) (any, error) {
		return Status{Name: s.config().Name, Version: s.version, PID: os.Getpid(), Started: s.start, Runtime: admin.ReadRuntime(s.start),
			Draining: s.draining.Load(), PNS: s.PNS(), Drivers: s.Drivers(), GRE: s.GRE()}, nil
	})
	a.Get(PathLines, func(context.Context, *admin.Request) (any, error) { return s.Lines(), nil })
	a.Get(PathDrivers, func(context.Context, *admin.Request) (any, error) { return s.Drivers(), nil })
	a.Get(PathCalls, func(context.Context, *admin.Request) (any, error) {
		calls := []*CallView{}
		for _, l := range s.Lines() {
			if l.Call != nil {
				calls = append(calls, l.Call)
			}
		}
		return calls, nil
	})
	a.Traced(&s.traces, s.startTrace)
	a.Drained(s.Drain, func() admin.DrainState {
		return admin.DrainState{Draining: s.draining.Load(), Calls: s.callsTaken()}
	})
	post(a, PathLine, s.LineCommand, errNoLineOfName, func(r LineRequest) error { return admin.NotFound("there is no line %q", r.Line) })
	post(a, PathTest, s.SelfTest, errNoLineOfName, s.noSuchLines)
	post(a, PathHangup, func(ctx context.Context, r HangupRequest) (struct{}, error) { return struct{}{}, s.Hangup(ctx, r.Call) }, errNoCall,
		func(r HangupRequest) error {
			return admin.NotFound("no call %q, and no line of that name with a call", r.Call)
		})
}

// noSuchLines says which of the lines that shall be tested is not there.
func (s *Server) noSuchLines(r SelfTestRequest) error {
	if s.lineOf(r.Line) == nil {
		return admin.NotFound("there is no line %q", r.Line)
	}
	return admin.NotFound("there is no line %q", r.To)
}

// post serves an order whose body is a Request. If it ends with the error missing, the answer is what unknown says of the request.
func post[Request, Answer any](a *admin.Server, path string, do func(context.Context, Request) (Answer, error), missing error, unknown func(Request) error) {
	a.Post(path, func(ctx context.Context, r *admin.Request) (any, error) {
		var body Request
		if err := r.Decode(&body); err != nil {
			return nil, err
		}
		answer, err := do(ctx, body)
		if errors.Is(err, missing) {
			err = unknown(body)
		}
		if err != nil {
			return nil, err
		}
		return answer, nil
	})
}

// Drain has the concentrator take no new calls, or take them again; those in progress go on. A line that rings while it is drained is
// treated as the policy for refused callers says, and answered after all if it still rings when new calls are taken again.
func (s *Server) Drain(draining bool) {
	s.draining.Store(draining)
	s.log.Info("drain", zap.Bool("draining", draining))
}

// callsTaken counts the calls that are not refused, and not self-tests.
func (s *Server) callsTaken() int {
	n := 0
	for _, l := range s.Lines() {
		if l.Call != nil && l.Call.Stage != stageRefused.String() && l.Call.Kind != record.KindSelfTest {
			n++
		}
	}
	return n
}
