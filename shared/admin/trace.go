package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"trunkline.example/shared/trace"
)

// Paths of traces in both daemons: POST TraceRequest to PathTrace is answered by a pcapng file that grows, POST TraceStop to PathTraceStop ends it.
const (
	PathTrace     = "/trace"
	PathTraceStop = "/trace/stop"
)

// TraceRequest asks for a trace. One of Call, Peer, Line and User says of what; not every daemon knows them all.
type TraceRequest struct {
	ID         string        `json:"id"` // chosen by who asks, and named in TraceStop; not empty
	Call       string        `json:"call,omitempty"`
	Peer       string        `json:"peer,omitempty"`
	Line       string        `json:"line,omitempty"`
	User       string        `json:"user,omitempty"`
	Secrets    bool          `json:"secrets,omitempty"`     // not blanked
	SnapLength int           `json:"snap_length,omitempty"` // octets of each packet; 0: all
	Duration   time.Duration `json:"duration,omitempty"`    // nanoseconds; 0: trace.DefaultDuration
	Octets     int64         `json:"octets,omitempty"`      // of the file; 0: trace.DefaultOctets
}

// TraceStop is the body of POST PathTraceStop.
type TraceStop struct {
	ID string `json:"id"`
}

// leastSnapLength leaves the headers.
const leastSnapLength = 64

// check looks for what makes no sense in any daemon.
func (r *TraceRequest) check() error {
	of := 0
	for _, what := range []string{r.Call, r.Peer, r.Line, r.User} {
		if what != "" {
			of++
		}
	}
	switch {
	case r.ID == "" || len(r.ID) > 64:
		return Invalid("a trace needs an identifier of 1 to 64 octets")
	case of != 1:
		return Invalid("a trace is of one thing: a call, a peer, ...")
	case r.SnapLength != 0 && r.SnapLength < leastSnapLength:
		return Invalid("a snap length of %d octets does not even leave the headers: at least %d", r.SnapLength, leastSnapLength)
	case r.SnapLength > 1<<20:
		return Invalid("no packet has %d octets", r.SnapLength)
	case r.Duration < 0 || r.Duration > trace.LongestDuration:
		return Invalid("a trace may run for up to %v", trace.LongestDuration)
	case r.Octets < 0:
		return Invalid("a file cannot have %d octets", r.Octets)
	}
	return nil
}

// Options are those of the trace.
func (r *TraceRequest) Options() trace.Options {
	return trace.Options{SnapLength: r.SnapLength, Duration: r.Duration, Octets: r.Octets, Secrets: r.Secrets}
}

// lastWrites is how long the client of a trace that has ended may take to read the rest.
const lastWrites = 5 * time.Second

// Traced adds the endpoints of traces. start finds what the request names, and starts the trace.
func (s *Server) Traced(hub *trace.Hub, start func(context.Context, TraceRequest) (*trace.Trace, error)) {
	s.Octets(PathTrace, func(ctx context.Context, r *Request, out *OctetWriter) (any, error) {
		var body TraceRequest
		if err := r.Decode(&body); err != nil {
			return nil, err
		}
		if err := body.check(); err != nil {
			return nil, err
		}
		if body.Secrets && !r.Peer.Owner() {
			return nil, &Error{Status: http.StatusForbidden, Code: "forbidden", Message: "secrets are shown to root and the daemon's own user only"}
		}
		t, err := start(ctx, body)
		if errors.Is(err, trace.ErrTooMany) || errors.Is(err, trace.ErrInUse) {
			return nil, Conflict("%v", err)
		}
		if err != nil {
			return nil, err
		}
		_ = out.Until(t.Until().Add(lastWrites)) // a client that reads nothing must not keep it; Run fails if there is no client
		log := s.options.Logger.With(zap.Uint32("uid", r.Peer.UID), zap.String("call", body.Call), zap.String("peer", body.Peer),
			zap.String("line", body.Line), zap.String("user", body.User), zap.Bool("secrets", body.Secrets))
		log.Info("trace began", zap.Stringer("until", t.Until()))
		summary, err := t.Run(ctx, out)
		log.Info("trace ended", zap.Uint64("packets", summary.Packets), zap.Uint64("dropped", summary.Dropped), zap.String("reason", summary.Reason), zap.Error(err))
		return summary, err
	})
	s.Post(PathTraceStop, func(_ context.Context, r *Request) (any, error) {
		var body TraceStop
		if err := r.Decode(&body); err != nil {
			return nil, err
		}
		if !hub.Stop(body.ID, "it was stopped") {
			return nil, NotFound("there is no trace %q", body.ID)
		}
		return struct{}{}, nil
	})
}
