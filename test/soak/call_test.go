package soak

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/office"
	"trunkline.example/pac/caller"
	"trunkline.example/shared/line"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

// stage is how far a call shall come.
type stage string

// The stages, in their order.
const (
	stageDialing        stage = "dialing"
	stageRinging        stage = "ringing"
	stageTraining       stage = "training"
	stageLCP            stage = "lcp"
	stageAuthentication stage = "authentication"
	stageNetwork        stage = "ipcp"
	stageTraffic        stage = "traffic"
	stageEnd            stage = "end" // nothing cuts it short
)

var stages = []stage{stageDialing, stageRinging, stageTraining, stageLCP, stageAuthentication, stageNetwork, stageTraffic, stageEnd}

// way is how it ends.
type way string

const (
	byGoodbye  way = "goodbye"  // of the caller: LCP terminates, or a dialing modem is hung up
	byHangup   way = "hang-up"  // of the caller, without any word
	byCut      way = "cut"      // the telephone network loses the call
	byPAC      way = "pac"      // the operator's `pac hangup`
	byPNS      way = "kick"     // the operator's `pns kick`
	byPassword way = "password" // a wrong one
	byNumber   way = "number"   // one that is busy, or that the network has no way to
)

// plan is what shall become of a call.
type plan struct {
	number   string
	until    stage
	by       way
	after    time.Duration // in the stage
	damage   *damage       // nil: the line is clean
	pings    int
	size     int
	protocol auth.Protocol
	seed     uint64 // of magic numbers and challenges
}

// damage is the body of the exchange's POST /impair.
type damage struct {
	Line      string             `json:"line"`
	Direction office.Direction   `json:"direction"`
	Impair    circuit.Impairment `json:"impair"`
}

// good says whether nothing but other people's trouble may get in the way of the call.
func (p plan) good() bool { return p.until == stageEnd && p.damage == nil && p.by == "" }

// clean is a call that nothing happens to.
func clean(number string) plan {
	return plan{number: number, until: stageEnd, pings: 2, size: 64, protocol: auth.MSCHAPv2}
}

// choose makes a plan for a phone. Two of five calls are good ones.
func (b *bank) choose(r *rand.Rand, i int) plan {
	p := clean(huntNumber)
	p.seed = r.Uint64()
	if r.IntN(5) == 0 {
		p.number = lineNumber(i)
	}
	p.pings, p.size = 1+r.IntN(8), []int{16, 64, 200, 576, 1300}[r.IntN(5)]
	p.protocol = []auth.Protocol{auth.MSCHAPv2, auth.MSCHAPv2, auth.CHAPMD5, auth.PAP}[r.IntN(4)]
	if r.IntN(3) == 0 {
		p.damage = &damage{Line: phoneName(i), Impair: impairments[r.IntN(len(impairments))]}
	}
	if r.IntN(5) < 2 {
		return p
	}
	p.until = stages[r.IntN(len(stages))]
	ms := time.Duration(r.IntN(1000)) * time.Millisecond
	p.by = []way{byGoodbye, byHangup, byCut}[r.IntN(3)]
	switch p.until {
	case stageDialing:
		p.after = ms / 5
	case stageRinging: // the network rings 200 ms after the last digit, pac answers when a PNS has accepted
		p.after = 200*time.Millisecond + ms*4/10
		p.by = []way{byGoodbye, byHangup, byCut, byPAC}[r.IntN(4)]
	case stageTraining:
		p.after = 600*time.Millisecond + ms*7/10
		p.by = []way{byGoodbye, byHangup, byCut, byPAC}[r.IntN(4)]
	case stageLCP, stageAuthentication, stageNetwork:
		p.after = ms / 20
		p.by = []way{byGoodbye, byHangup, byCut, byPAC}[r.IntN(4)]
	case stageTraffic:
		p.after, p.pings = ms/2, 50
		p.by = []way{byGoodbye, byHangup, byCut, byPAC, byPNS}[r.IntN(5)]
	case stageEnd:
		p.by = byPassword
		if r.IntN(4) == 0 {
			p.by, p.number = byNumber, []string{"3001", "3003", "3999"}[r.IntN(3)]
		}
	}
	return p
}

func phoneName(i int) string { return fmt.Sprintf("phone%d", i+1) }

// impairments are what telephone lines, cables and serial ports do.
var impairments = []circuit.Impairment{
	{FrameErrorRate: 0.02, FrameAbortRate: 0.01},
	{FrameErrorRate: 0.2, FrameAbortRate: 0.1},
	{BitErrorRate: 1e-5, Burst: 20},
	{BitErrorRate: 1e-4, Burst: 50, FrameErrorRate: 0.05},
	{DropRate: 1e-4, PassErrorControl: true},
	{DropRate: 1e-3, BitErrorRate: 1e-5, PassErrorControl: true},
}

// attempt is a call that was made.
type attempt struct {
	plan
	phone          int
	started, ended time.Time
	reached        stage
	replies, lost  int
	cause          line.CauseCode
	err            error
}

// busy says that the call had to fail since its line had another one.
func (a attempt) busy() bool { return a.cause == line.CauseBusy && a.number != huntNumber }

// callLimit is how long a call may take; what is not over by then is stuck.
const callLimit = 3 * time.Minute

// call makes a call and returns when the phone is idle again.
func (b *bank) call(ctx context.Context, p *phone, c plan) attempt {
	a := attempt{plan: c, phone: p.index, started: time.Now(), reached: stageDialing}
	if err := b.impair(p.index, c.damage); err != nil {
		b.fault("the exchange does not damage %s: %v", phoneName(p.index), err)
		wait, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		<-wait.Done()
		a.ended, a.err = time.Now(), err
		return a
	}
	lent := p.lend()
	defer lent.giveBack()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &ender{b: b, plan: c, lent: lent, goodbye: cancel}
	stuck := time.AfterFunc(callLimit, func() {
		b.fault("%s is stuck: its call to %s began %v ago, came as far as %s and shall end at %s by %q; its line is %v", phoneName(p.index), c.number,
			time.Since(a.started).Round(time.Second), e.stage(), c.until, c.by, p.state())
		cancel()
	})
	defer stuck.Stop()
	result, err := caller.Run(ctx, caller.Config{
		Line: lent, Dial: line.DialRequest{Number: c.number}, Link: b.linkConfig(p.index, c), Lossy: true,
		Probes: []peer.Probe{{Size: c.size, Count: c.pings, Interval: 50 * time.Millisecond, Timeout: 3 * time.Second}},
	}, e.event)
	e.wait()
	a.ended, a.err, a.reached, a.cause = time.Now(), err, e.stage(), result.Cause.Code
	a.replies, a.lost = e.replies, e.lost
	return a
}

func (b *bank) linkConfig(i int, c plan) link.Config {
	secret := password
	if c.by == byPassword {
		secret = "wrong"
	}
	cfg := link.Config{User: phoneUser(i), Secret: auth.PlainSecret(secret), AskDNS: true, PFC: true, ACFC: true, Encryption: ccp.Preferred, Authentication: []auth.Protocol{c.protocol}}
	binary.LittleEndian.PutUint64(cfg.Seed[:], c.seed)
	return cfg
}

// impair tells the exchange what a phone's line is like from now on.
func (b *bank) impair(i int, d *damage) error {
	if d == nil {
		d = &damage{Line: phoneName(i)}
	}
	var all error
	for _, d.Direction = range []office.Direction{office.Receives, office.Sends} {
		all = errors.Join(all, b.exchange.post("/impair", d))
	}
	return all
}

// ender ends a call as planned. Its event is called by the caller's goroutine.
type ender struct {
	b       *bank
	plan    plan
	lent    *lent
	goodbye func()

	replies, lost int

	mu      sync.Mutex
	reached stage
	timer   *time.Timer
	ending  sync.WaitGroup
}

func (e *ender) stage() stage {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.reached
}

func (e *ender) event(v caller.Event) {
	switch v.Kind {
	case caller.KindDialing:
		e.reach(stageDialing)
	case caller.KindConnect:
		e.reach(stageLCP)
	case caller.KindPhase:
		switch {
		case strings.HasPrefix(v.Text, link.Authenticating.String()):
			e.reach(stageAuthentication)
		case strings.HasPrefix(v.Text, link.Network.String()):
			e.reach(stageNetwork)
		}
	case caller.KindReply:
		e.replies++
		e.reach(stageTraffic)
	case caller.KindLost:
		e.lost++
	}
}

// reach takes down how far the call is. Ringing and training show only as time since dialing.
func (e *ender) reach(s stage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.reached
	e.reached = s
	byTime := s == stageDialing && (e.plan.until == stageRinging || e.plan.until == stageTraining)
	if s == before || e.timer != nil || e.plan.until == stageEnd || s != e.plan.until && !byTime {
		return
	}
	e.ending.Add(1)
	e.timer = time.AfterFunc(e.plan.after, func() {
		defer e.ending.Done()
		e.end()
	})
}

// wait waits until nothing of the ender is under way.
func (e *ender) wait() {
	e.mu.Lock()
	if e.timer != nil && e.timer.Stop() {
		e.ending.Done()
	}
	e.mu.Unlock()
	e.ending.Wait()
}

// end ends the call. That it is over already, or has not come so far, is nothing special.
func (e *ender) end() {
	switch e.plan.by {
	case byGoodbye:
		e.goodbye()
	case byHangup:
		_ = e.lent.drop()
	case byCut:
		_ = e.b.exchange.post("/cut", map[string]string{"line": phoneName(e.lent.phone.index)})
	case byPAC:
		e.b.hangUpAtPAC(e.lent.phone.index)
	case byPNS:
		e.b.kick(phoneUser(e.lent.phone.index))
	}
}

// order is one of an operator that a PAC has taken, to end the call of a phone that is told to be on a line.
type order struct {
	time  time.Time
	phone int
	line  string
}

// hangUpAtPAC has the PAC that has the call of a phone end it.
func (b *bank) hangUpAtPAC(phone int) {
	for _, m := range b.pacs {
		calls, _ := tryRead[[]callView](m, "/calls")
		for _, c := range calls {
			if c.Dialing == phoneNumber(phone) {
				given := order{time.Now(), phone, c.Line}
				if m.post("/hangup", map[string]string{"call": c.Line}) == nil {
					b.mu.Lock()
					b.orders = append(b.orders, given)
					b.mu.Unlock()
				}
				return
			}
		}
	}
}

// kick has the PNS that has a user end his session.
func (b *bank) kick(user string) {
	for _, m := range b.servers {
		if m.post("/sessions/kick", map[string]string{"user": user}) == nil {
			return
		}
	}
}
