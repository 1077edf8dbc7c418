package modem

import (
	"context"

	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"trunkline.example/modem/at"
	"trunkline.example/modem/port"
	"trunkline.example/modem/port/porttest"
	"trunkline.example/shared/line/linetest"
)

// wire is the modem's end of the cable.
type wire interface {
	// input calls take with what the host sends, and drop when it drops DTR
	// or closes the device, until ctx ends.
	input(ctx context.Context, take func([]byte), drop func())
	send(ctx context.Context, b []byte)
	// carrier sets DCD; on a pseudo-terminal its end is a hang-up.
	carrier(on bool)
}

// simState is where a sim is.
type simState uint8

const (
	simCommand simState = iota
	simHandshake
	simData
)

// sim is a Hayes modem with the telephone network behind it: a
// linetest.FarEnd. One goroutine owns it under its Notice.
type sim struct {
	linetest.Notice
	wire  wire
	ctx   context.Context
	timer *time.Timer

	// Behaviour, set before the start.
	reply, train, pulse time.Duration              // after a command; of the handshake; from RING to RING
	hooks               map[string]func(*sim) bool // by command without AT; true: handled
	connect             string
	strict              func(string) (string, bool) // what it says to a command that it knows; false: it refuses it
	noCallerID, silent  bool
	deaf                bool     // to DTR
	noProof             bool     // does not know &D3
	pages               []string // what the next keys in command state show
	escape              bool     // obeys +++ in data state, alone in one piece
	escapesIgnored      int      // before that
	guarded             bool     // obeys +++ in data state between two silences

	state    simState
	command  []byte
	echo     bool
	pluses   int
	lastData time.Time
	s8       string
	reset    bool // when DTR drops (&D3)
	caller   linetest.Caller
	ringing  bool
	rings    int
	next     time.Time // of a RING or the end of the handshake
	finish   func()    // of the handshake
	cid      bool
	told     linetest.Caller // the last one, also while nobody listened
	outcome  linetest.Outcome
	dialed   []string
	received []byte
	offHook  bool
	carrier  bool
	seen     []string // commands
}

func newSim(t *testing.T, w wire) *sim {
	s := &sim{wire: w, reply: 20 * time.Millisecond, train: 300 * time.Millisecond, pulse: 6 * time.Second,
		hooks: map[string]func(*sim) bool{}, connect: "CONNECT 31200/ARQ/V34/LAPM/V42BIS", echo: true, timer: time.NewTimer(time.Hour)}
	return s
}

// run starts the modem; it ends in the clean-up of the test.
func (s *sim) run(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s.ctx = ctx
	input := make(chan []byte)
	drop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		s.wire.input(ctx, func(b []byte) {
			select {
			case input <- b:
			case <-ctx.Done():
			}
		}, func() {
			select {
			case drop <- struct{}{}:
			case <-ctx.Done():
			}
		})
	})
	wait.Go(func() {
		for {
			select {
			case b := <-input:
				s.Step(func() { s.take(b) })
			case <-drop:
				s.Step(func() { s.hangUp() })
			case <-s.timer.C:
				s.Step(s.tick)
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wait.Wait()
		s.timer.Stop()
	})
}

func (s *sim) at(d time.Duration, f func()) {
	s.next, s.finish = time.Now().Add(d), f
	s.timer.Reset(d)
}

// say sends a result after the modem's delay, which is part of the dialogue
// and not of any test's own waiting.
func (s *sim) say(lines ...string) {
	text := ""
	for _, l := range lines {
		text += "\r\n" + l + "\r\n"
	}
	s.later(s.reply, text)
}

// later sends text after a delay, unless the test is over.
func (s *sim) later(d time.Duration, text string) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	s.Unlock()
	select {
	case <-timer.C:
	case <-s.ctx.Done():
	}
	s.wire.send(s.ctx, []byte(text))
	s.Lock()
}

func (s *sim) take(b []byte) {
	if s.silent {
		return
	}
	if s.state == simData {
		if s.escape && string(b) == "+++" {
			if s.escapesIgnored--; s.escapesIgnored >= 0 {
				return
			}
			s.state = simCommand // the call goes on, until ATH
			s.say("OK")
			return
		}
		if s.guarded {
			s.watchEscape(b)
		}
		if len(s.received) < 1<<20 {
			s.received = append(s.received, b...)
		}
		return
	}
	if s.state == simHandshake {
		s.timer.Stop()
		s.release("NO CARRIER")
		return
	}
	for i, c := range b {
		if s.echo {
			s.wire.send(s.ctx, b[i:i+1])
		}
		switch {
		case len(s.pages) > 0:
			page := s.pages[0]
			s.pages = s.pages[1:]
			s.later(s.reply, page)
		case c == '\r':
			command := strings.ToUpper(strings.TrimSpace(string(s.command)))
			s.command = nil
			if strings.HasPrefix(command, "AT") {
				s.obey(command[2:])
			}
		case c > ' ':
			s.command = append(s.command, c)
		}
	}
}

// watchEscape leaves data state a second after three + in a row that came
// within a second of each other, after a second without data.
func (s *sim) watchEscape(b []byte) {
	now := time.Now()
	if now.Sub(s.lastData) >= time.Second {
		s.pluses = 0
	}
	s.lastData = now
	for _, c := range b {
		if c != '+' {
			s.pluses = -100
		}
		s.pluses++
	}
	s.timer.Stop()
	if s.pluses == 3 {
		s.at(time.Second, func() {
			s.state = simCommand
			s.say("OK")
		})
	}
}

func (s *sim) obey(command string) {
	s.seen = append(s.seen, command)
	if h := s.hooks[command]; h != nil && h(s) {
		return
	}
	if s.strict != nil {
		answer, ok := s.strict(command)
		if !ok {
			s.say("ERROR")
			return
		}
		if answer != "" {
			s.say(answer, "OK")
			return
		}
	}
	switch {
	case command == "A":
		if !s.ringing {
			s.say("NO CARRIER")
			return
		}
		s.ringing = false
		s.handshake(func() { s.online() })
	case strings.HasPrefix(command, "DT"):
		s.dialed = append(s.dialed, command[2:])
		result := map[linetest.Outcome]string{linetest.OutcomeBusy: "BUSY", linetest.OutcomeNoAnswer: "NO ANSWER",
			linetest.OutcomeNoCarrier: "NO CARRIER", linetest.OutcomeNoDialtone: "NO DIALTONE"}[s.outcome]
		if s.outcome == linetest.OutcomeUnanswered {
			s.state = simHandshake
			return
		}
		s.handshake(func() {
			if result != "" {
				s.release(result)
				return
			}
			s.online()
		})
	case command == "H", command == "H0":
		s.release("OK")
	case command == "+GMM":
		s.say("Sim 33600", "OK")
	case command == "+VCID=1", command == "#CID=1" && !s.noCallerID:
		s.cid = !s.noCallerID
		if s.noCallerID {
			s.say("ERROR")
			return
		}
		s.say("OK")
	case command == "#CID=1" && s.noCallerID:
		s.say("ERROR")
	case command == "S8?":
		s.say(s.s8, "OK")
	case command == "S1?":
		s.say(strconv.Itoa(s.rings), "OK")
	case command == "+VRID=0":
		s.say(append(callerLines(s.told), "OK")...)
	case command == "&D3" && s.noProof:
		s.say("ERROR")
	default:
		for _, part := range at.Split("AT" + command) {
			switch {
			case strings.HasPrefix(part, "AT&D"):
				s.reset = part == "AT&D3"
			case strings.HasPrefix(part, "ATS8="):
				s.s8 = part[5:]
			case part == "ATE0":
				s.echo = false
			case part == "AT&F" || part == "ATZ":
				s.echo = true
			}
		}
		s.say("OK")
	}
}

func (s *sim) handshake(end func()) {
	s.offHook, s.state = true, simHandshake
	s.at(s.train, end)
}

func (s *sim) online() {
	s.state = simData
	s.received = nil
	s.carrier = true
	s.wire.carrier(true)
	s.say(s.connect)
}

// release puts the modem on hook.
func (s *sim) release(result string) {
	was := s.carrier
	s.state, s.offHook, s.carrier, s.finish = simCommand, false, false, nil
	if was {
		s.wire.carrier(false)
	}
	if result != "" {
		s.say(result)
	}
}

// hangUp is what dropping DTR does: the settings stay.
func (s *sim) hangUp() {
	if s.deaf {
		return
	}
	s.command = nil
	if s.reset {
		s.echo, s.s8, s.reset = true, "002", false
	}
	if s.state != simCommand {
		s.release("")
	}
}

func (s *sim) tick() {
	switch {
	case s.finish != nil:
		f := s.finish
		s.finish = nil
		f()
	case s.ringing:
		s.rings++
		lines := []string{"RING"}
		if s.rings == 1 && s.cid && s.caller.Number != "" {
			s.told = s.caller
			lines = append(lines, callerLines(s.caller)...)
		}
		s.say(lines...)
		s.timer.Reset(s.pulse)
	}
}

// callerLines is how a caller is told; nobody is not.
func callerLines(c linetest.Caller) []string {
	if c.Number == "" {
		return nil
	}
	lines := []string{"DATE = 1123", "TIME = 1459", "NMBR = " + c.Number}
	if c.Name != "" {
		lines = append(lines, "NAME = "+c.Name)
	}
	return lines
}

func (s *sim) Ring(ctx context.Context, from linetest.Caller) error {
	err := s.Await(ctx, func() bool { return s.state == simCommand && !s.offHook })
	s.Step(func() {
		s.ringing, s.rings, s.caller = true, 0, from
		s.timer.Reset(0)
	})
	return err
}

func (s *sim) GiveUp(context.Context) error {
	s.Step(func() { s.ringing = false })
	return nil
}

func (s *sim) Plan(_ context.Context, outcome linetest.Outcome) error {
	s.Step(func() { s.outcome = outcome })
	return nil
}

func (s *sim) Dialed(ctx context.Context) (string, error) { return s.Shift(ctx, &s.dialed) }

func (s *sim) Connected(ctx context.Context) error {
	return s.Await(ctx, func() bool { return s.state == simData })
}

func (s *sim) Send(ctx context.Context, data []byte) error {
	s.wire.send(ctx, data)
	return ctx.Err()
}

func (s *sim) Receive(ctx context.Context, n int) ([]byte, error) {
	return s.Take(ctx, &s.received, n)
}

func (s *sim) HangUp(context.Context) error {
	s.Step(func() { s.release("NO CARRIER") })
	return nil
}

func (s *sim) Released(ctx context.Context) error {
	return s.Await(ctx, func() bool { return s.state == simCommand && !s.offHook })
}

// cable is a porttest.Device as a wire.
type cable struct{ *porttest.Device }

func (c cable) input(ctx context.Context, take func([]byte), drop func()) {
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() {
		for ctx.Err() == nil && c.Await(ctx, func(s porttest.State) bool { return s.DTR }) == nil {
			if c.Await(ctx, func(s porttest.State) bool { return !s.DTR }) == nil {
				drop()
			}
		}
	})
	for {
		b, err := c.Receive(ctx, nil)
		if err != nil {
			return
		}
		take(b)
	}
}

func (c cable) send(ctx context.Context, b []byte) { _ = c.Device.Send(ctx, b) }

func (c cable) carrier(on bool) {
	if c.Virtual() {
		if !on {
			c.HangUp(false)
		}
		return
	}
	c.SetLines(port.Lines{CTS: true, DSR: true, DCD: on})
}
