package lineplugin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"trunkline.example/plugins/lineplugin/linepb"
	"trunkline.example/shared/line"
)

// answering answers heartbeats after a time; negative: never.
type answering struct {
	linepb.LineDriverClient
	after []time.Duration // one after the other; then at once
	late  bool            // its answer counts though the limit is over: host and driver stood still together
	asked int
}

func (s *answering) Heartbeat(ctx context.Context, _ *linepb.HeartbeatRequest, _ ...grpc.CallOption) (*linepb.HeartbeatReply, error) {
	s.asked++
	var wait time.Duration
	if len(s.after) > 0 {
		wait, s.after = s.after[0], s.after[1:]
	}
	if wait < 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	answer := time.NewTimer(wait)
	defer answer.Stop()
	if s.late {
		<-answer.C
		return &linepb.HeartbeatReply{}, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-answer.C:
		return &linepb.HeartbeatReply{}, nil
	}
}

// A driver is given up when it has been silent twice in a row: that the whole machine stood still is not its fault.
func TestHeartbeat(t *testing.T) {
	const interval, limit = 5 * time.Second, 3 * time.Second
	for _, c := range []struct {
		name  string
		rpc   *answering
		alive bool
	}{
		{"at once", &answering{}, true},
		{"late once", &answering{after: []time.Duration{-1}}, true},
		{"late now and then", &answering{after: []time.Duration{-1, 0, -1, time.Second, -1}}, true},
		{"an answer when the limit is over", &answering{after: []time.Duration{limit + time.Second, limit + time.Second}, late: true}, true},
		{"never", &answering{after: []time.Duration{-1, -1}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &client{rpc: c.rpc}
				k.ctx, k.cancel = context.WithCancelCause(t.Context())
				done := make(chan struct{})
				began := time.Now()
				go func() {
					defer close(done)
					k.heartbeat(interval, limit)
				}()
				select {
				case <-done:
				case <-time.After(time.Minute):
				}
				cause := context.Cause(k.ctx)
				if (cause == nil) != c.alive {
					t.Errorf("after %v and %d questions: %v", time.Since(began), c.rpc.asked, cause)
				}
				if !c.alive && (!errors.Is(cause, line.ErrDriver) || !strings.Contains(cause.Error(), "no sign of life within 6s") || time.Since(began) != interval+2*limit) {
					t.Errorf("given up after %v: %v", time.Since(began), cause)
				}
				k.cancel(nil)
				<-done
			})
		})
	}
}
