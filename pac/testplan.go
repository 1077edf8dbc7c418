package pac

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pac/config"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

const (
	// testTick is how often it is looked whether a line is due for a self-test: at most one is made each time.
	testTick = time.Minute
	// testPause is for how long a line is left alone that could not be tested.
	testPause = 15 * time.Minute
)

var (
	errTesting   = notNow{errors.New("another self-test is under way")}
	errNoPartner = errors.New("there is no other line to test it with")
	errNoNumber  = errors.New("its number is unknown: it has none in its driver's options, nor in selftest.numbers")
)

// notNow is why no test at all can be made at present, of whichever lines.
type notNow struct{ error }

// SelfTestRequest is the body of POST /selftest.
type SelfTestRequest struct {
	Line string `json:"line"`         // that calls
	To   string `json:"to,omitempty"` // that is called; empty: one that is free
}

// testPlan is what all self-tests share.
type testPlan struct {
	running sync.Mutex // one at a time
	budget  *budget
	tried   map[*owner]time.Time // of the schedule
}

// SelfTest has a line call another one and tells the grades of both.
func (s *Server) SelfTest(ctx context.Context, r SelfTestRequest) (SelfTestOutcome, error) {
	caller, answerer := s.lineOf(r.Line), s.lineOf(r.To)
	if caller == nil || r.To != "" && answerer == nil {
		return SelfTestOutcome{}, errNoLineOfName
	}
	var err error
	if answerer == nil {
		answerer, err = s.partner(caller, func(o *owner) error { return s.fits(caller, o, true) })
	} else {
		err = s.fits(caller, answerer, true)
	}
	if err != nil {
		return SelfTestOutcome{}, err
	}
	return s.selfTest(ctx, caller, answerer, true)
}

// selfTest makes one test, unless another one is being made or there were too many.
func (s *Server) selfTest(ctx context.Context, caller, answerer *owner, byHand bool) (SelfTestOutcome, error) {
	if !s.tests.running.TryLock() {
		return SelfTestOutcome{}, errTesting
	}
	defer s.tests.running.Unlock()
	return s.newSelfTest(caller, answerer, s.testNumber(answerer), rand.Uint32(), byHand).run(ctx)
}

// lineOf finds a line by its name; nil: there is none.
func (s *Server) lineOf(name string) *owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owners {
		if o.identity.Name == name {
			return o
		}
	}
	return nil
}

// testNumber is what is dialled for a line.
func (s *Server) testNumber(o *owner) string {
	if number := s.config().SelfTest.Numbers[o.identity.Name]; number != "" {
		return number
	}
	return o.identity.Number
}

// fits says why one line cannot call the other now.
func (s *Server) fits(caller, answerer *owner, byHand bool) error {
	if caller == answerer {
		return fmt.Errorf("line %s cannot call itself", caller.identity.Name)
	}
	if caller.identity.Bearers&answerer.identity.Bearers == 0 {
		return fmt.Errorf("line %s cannot call line %s: one is digital, the other analog", caller.identity.Name, answerer.identity.Name)
	}
	for _, o := range []*owner{caller, answerer} {
		shown := o.shown.Load()
		err := errNotFree
		switch {
		case o == answerer && s.testNumber(o) == "":
			err = errNoNumber
		case shown.State == line.StateIdle && shown.Call == nil && !shown.Reserved:
			if err = nil; shown.Disabled && !byHand {
				err = errDisabled
			}
		}
		if err != nil {
			return fmt.Errorf("line %s cannot be tested: %w", o.identity.Name, err)
		}
	}
	return s.spare(caller, answerer)
}

// spare says whether two lines are not needed for callers: in the hunt groups in which they could take a call, another line can.
func (s *Server) spare(a, b *owner) error {
	s.mu.Lock()
	owners := s.owners
	s.mu.Unlock()
	for _, h := range s.config().Hunts {
		wanted, free := false, false
		for _, o := range owners {
			shown := o.shown.Load()
			switch {
			case shown.Disabled || shown.Quarantined || !huntHas(h, shown.Name):
			case o == a || o == b:
				wanted = true
			case shown.State == line.StateIdle && shown.Call == nil:
				free = true
			}
		}
		if wanted && !free {
			return fmt.Errorf("hunt group %q has no other free line: callers come first (an operator may disable the lines to be tested)", h.Name)
		}
	}
	return nil
}

// partner finds another line to test one with: first those that have not failed, then those whose test is the longest ago. The error is why
// the last one does not fit.
func (s *Server) partner(of *owner, fits func(*owner) error) (*owner, error) {
	why := errNoPartner
	for _, o := range s.testedLines() {
		if o == of {
			continue
		}
		err := fits(o)
		if err == nil {
			return o, nil
		}
		why = err
	}
	return nil, why
}

// testedLines are the lines that are tested, in the order in which they are taken for partners.
func (s *Server) testedLines() []*owner {
	s.mu.Lock()
	owners := slices.Clone(s.owners)
	s.mu.Unlock()
	patterns := s.config().SelfTest.Lines
	owners = slices.DeleteFunc(owners, func(o *owner) bool {
		return len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool { return matches(p, o.identity.Name) })
	})
	tests := map[*owner]SelfTestStatus{} // as they stand now: they change while we sort
	for _, o := range owners {
		if shown := o.shown.Load(); shown.SelfTest != nil {
			tests[o] = *shown.SelfTest
		}
	}
	slices.SortFunc(owners, func(a, b *owner) int {
		return cmp.Or(cmp.Compare(tests[a].Failures, tests[b].Failures), tests[a].At.Compare(tests[b].At), cmp.Compare(a.identity.Name, b.identity.Name))
	})
	return owners
}

// scheduleTests makes the tests that are due, until ctx ends.
func (s *Server) scheduleTests(ctx context.Context) {
	tick := time.NewTicker(testTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if t := s.config().SelfTest; t.Every > 0 && t.Hours.Contains(now) && !s.draining.Load() {
				s.testDue(ctx, now, t)
			}
		}
	}
}

// testDue tests the line that is due the longest and can be tested.
func (s *Server) testDue(ctx context.Context, now time.Time, t config.SelfTest) {
	for _, o := range s.due(now, t) {
		caller, answerer, err := s.testPair(o)
		if err != nil {
			s.log.Debug("a line cannot be tested now", zap.String(logging.KeyLine, o.identity.Name), zap.Error(err))
			continue
		}
		_, err = s.selfTest(ctx, caller, answerer, false)
		if errors.As(err, new(notNow)) {
			s.log.Debug("no line can be tested now", zap.Error(err))
			return
		}
		s.tests.tried[o] = now
		if err == nil {
			return
		}
		level := zap.WarnLevel
		if errors.Is(err, errNotFree) || errors.Is(err, errDisabled) { // since a moment ago
			level = zap.DebugLevel
		}
		s.log.Log(level, "a self-test could not be made", zap.String(logging.KeyLine, o.identity.Name), zap.Error(err))
	}
}

// due are the lines whose test is due, the longest first. Lines that were never tested are due one after the other within the first interval.
func (s *Server) due(now time.Time, t config.SelfTest) []*owner {
	lines := s.testedLines()
	when := map[*owner]time.Time{}
	for i, o := range lines {
		when[o] = s.start.Add(t.Every * time.Duration(i+1) / time.Duration(len(lines)))
		if last := o.shown.Load().SelfTest; last != nil {
			when[o] = last.At.Add(t.Every)
		}
	}
	lines = slices.DeleteFunc(lines, func(o *owner) bool {
		tried, ok := s.tests.tried[o]
		return when[o].After(now) || ok && now.Sub(tried) < testPause
	})
	slices.SortStableFunc(lines, func(a, b *owner) int { return when[a].Compare(when[b]) })
	return lines
}

// testPair finds the other line for one that is due, and who calls: a line that called in its last test is called in the next one.
func (s *Server) testPair(o *owner) (caller, answerer *owner, err error) {
	calls := func(p *owner) error { return s.fits(o, p, false) }
	called := func(p *owner) error { return s.fits(p, o, false) }
	if last := o.shown.Load().SelfTest; last != nil && last.Role == RoleCaller && s.testNumber(o) != "" {
		p, err := s.partner(o, called)
		return p, o, err
	}
	if p, err := s.partner(o, calls); err == nil {
		return o, p, nil
	}
	p, err := s.partner(o, called)
	return p, o, err
}
