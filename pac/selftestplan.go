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
	"trunkline.example/shared/admin"
	"trunkline.example/shared/conf"
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
	errTesting   = errors.New("another self-test is under way")
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
	warned  map[*owner]time.Time // when it was told last that a line cannot be tested
}

// SelfTest has a line call another one and tells the grades of both.
func (s *Server) SelfTest(ctx context.Context, r SelfTestRequest) (SelfTestOutcome, error) {
	caller, answerer := s.lineOf(r.Line), s.lineOf(r.To)
	if caller == nil || r.To != "" && answerer == nil {
		return SelfTestOutcome{}, errNoLineOfName
	}
	if !s.tests.running.TryLock() {
		return SelfTestOutcome{}, errTesting
	}
	defer s.tests.running.Unlock()
	var err error
	if answerer == nil {
		answerer, err = s.partner(caller, func(o *owner) error { return s.fits(caller, o, true) })
	} else {
		err = s.fits(caller, answerer, true)
	}
	if err != nil {
		return SelfTestOutcome{}, err
	}
	return s.newSelfTest(caller, answerer, rand.Uint32(), true).run(ctx)
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

// sharer is another line that may answer what is dialled for one; nil: there is none.
func (s *Server) sharer(of *owner) *owner {
	number := s.testNumber(of)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.owners {
		if o != of && number != "" && (o.identity.Number == number || s.testNumber(o) == number) {
			return o
		}
	}
	return nil
}

// fits says why one line cannot call the other now.
func (s *Server) fits(caller, answerer *owner, byHand bool) error {
	if caller == answerer {
		return fmt.Errorf("line %s cannot call itself", caller.identity.Name)
	}
	if caller.identity.Bearers&answerer.identity.Bearers == 0 {
		return fmt.Errorf("line %s cannot call line %s: one is digital, the other analog", caller.identity.Name, answerer.identity.Name)
	}
	if other := s.sharer(answerer); other != nil {
		return fmt.Errorf("line %s cannot be tested: its number, %s, is also that of line %s: selftest.numbers can have others", answerer.identity.Name, s.testNumber(answerer), other.identity.Name)
	}
	for _, o := range []*owner{caller, answerer} {
		shown := o.shown.Load()
		err := fmt.Errorf("%w (%s)", errNotFree, shown.occupied())
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

// occupied says what keeps a line from being free.
func (l *LineStatus) occupied() string {
	switch {
	case l.Reserved:
		return "reserved for a self-test"
	case l.State == line.StateDown && l.Cause != "":
		return "down, " + l.Cause
	}
	return l.State.String()
}

// group is a number of lines of which a call needs any.
type group struct {
	name string
	has  func(line string) bool
}

// groups are those that callers and network servers choose lines from: hunt groups, all lines that are in none, and those for outgoing calls.
func (s *Server) groups() []group {
	cfg := s.config()
	var all []group
	for _, h := range cfg.Hunts {
		all = append(all, group{fmt.Sprintf("hunt group %q", h.Name), func(line string) bool { return huntHas(h, line) }})
	}
	bank := "the bank"
	if len(cfg.Hunts) > 0 {
		bank = "what is in no hunt group"
	}
	all = append(all, group{bank, func(line string) bool {
		return !slices.ContainsFunc(cfg.Hunts, func(h config.Hunt) bool { return huntHas(h, line) })
	}})
	if len(cfg.Dialout.Allow) > 0 {
		all = append(all, group{"what dials for network servers (dialout.lines)", cfg.Dialout.Takes})
	}
	return all
}

// spare says whether two lines are not needed for callers: in the groups in which they could take a call, another line can.
func (s *Server) spare(a, b *owner) error {
	s.mu.Lock()
	owners := s.owners
	s.mu.Unlock()
	var free []*owner
	for _, o := range owners {
		shown := o.shown.Load()
		if o != a && o != b && shown.State == line.StateIdle && shown.Call == nil && !shown.Disabled && !shown.Quarantined {
			free = append(free, o)
		}
	}
	for _, g := range s.groups() {
		for _, o := range []*owner{a, b} {
			shown := o.shown.Load()
			if shown.Disabled || shown.Quarantined || !g.has(shown.Name) {
				continue
			}
			if !slices.ContainsFunc(free, func(f *owner) bool { return g.has(f.identity.Name) && f.identity.Bearers&o.identity.Bearers != 0 }) {
				return fmt.Errorf("%s has no other free line: callers come first (an operator may disable the lines to be tested)", g.name)
			}
		}
	}
	return nil
}

// partner finds another line to test one with: first those that have not failed, then those whose test is the longest ago. The error is why
// one of them does not fit: the most that can be said.
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
		if why == errNoPartner || errors.Is(why, errDisabled) || errors.Is(why, errNotFree) { // others say more
			why = err
		}
	}
	return nil, why
}

// testedLines are the lines that are tested, in the order in which they are taken for partners.
func (s *Server) testedLines() []*owner {
	s.mu.Lock()
	owners := slices.Clone(s.owners)
	s.mu.Unlock()
	cfg := s.config().SelfTest
	owners = slices.DeleteFunc(owners, func(o *owner) bool { return !cfg.Tests(o.identity.Name) })
	tests := map[*owner]SelfTestStatus{} // as they stand now: they change while we sort
	for _, o := range owners {
		if shown := o.shown.Load(); shown.SelfTest != nil {
			tests[o] = *shown.SelfTest
		}
	}
	slices.SortFunc(owners, func(a, b *owner) int {
		return cmp.Or(cmp.Compare(tests[a].Failures, tests[b].Failures), tests[a].At.Compare(tests[b].At), admin.CompareNames(a.identity.Name, b.identity.Name))
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
	if !s.tests.running.TryLock() {
		return // one by hand is under way
	}
	defer s.tests.running.Unlock()
	for _, o := range s.due(now, t) {
		caller, answerer, err := s.testPair(o)
		if err != nil {
			s.untested(now, t, o, err)
			continue
		}
		_, err = s.newSelfTest(caller, answerer, rand.Uint32(), false).run(ctx)
		if errors.As(err, new(notNow)) {
			s.untested(now, t, o, err)
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

// untested tells why a line that is due cannot be tested: aloud, if that has been so for a whole interval, and as seldom. Who has disabled a line knows why.
func (s *Server) untested(now time.Time, t config.SelfTest, o *owner, why error) {
	patience, level := t.Every, zap.DebugLevel
	if t.Hours != (conf.Hours{}) {
		patience += 24 * time.Hour
	}
	since, shown := s.start.Add(t.Every), o.shown.Load()
	if shown.SelfTest != nil {
		since = shown.SelfTest.At.Add(t.Every)
	}
	if !shown.Disabled && now.Sub(since) >= patience && now.Sub(s.tests.warned[o]) >= patience {
		s.tests.warned[o] = now
		level = zap.WarnLevel
	}
	s.log.Log(level, "a line is due for a self-test, and cannot be tested", zap.String(logging.KeyLine, o.identity.Name), zap.Error(why))
}

// warnOfTests tells if there are more lines than self-tests can be made. That of lines which the configuration does not know is not found before.
func (s *Server) warnOfTests() {
	s.mu.Lock()
	names := make([]string, len(s.owners))
	for i, o := range s.owners {
		names[i] = o.identity.Name
	}
	s.mu.Unlock()
	if key, why := s.config().SelfTest.Overdrawn(names); why != "" {
		s.log.Warn("self-tests cannot be made as often as is wanted", zap.String("key", key), zap.String(logging.KeyReason, why))
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

// testPair finds the other line for one that is due, and who calls: a line that called in its last test is called in the next one, if it can be.
func (s *Server) testPair(o *owner) (caller, answerer *owner, err error) {
	calls := func() (caller, answerer *owner, err error) {
		p, err := s.partner(o, func(p *owner) error { return s.fits(o, p, false) })
		return o, p, err
	}
	called := func() (caller, answerer *owner, err error) {
		p, err := s.partner(o, func(p *owner) error { return s.fits(p, o, false) })
		return p, o, err
	}
	first, second := calls, called
	if last := o.shown.Load().SelfTest; last != nil && last.Role == RoleCaller {
		first, second = called, calls
	}
	if caller, answerer, err = first(); err == nil {
		return caller, answerer, nil
	}
	return second()
}
