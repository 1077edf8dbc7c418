package soak

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"trunkline.example/modem"
	"trunkline.example/plugins/builtin"
	"trunkline.example/shared/line"
)

// phone is a modem of a caller. One caller after the other uses it.
type phone struct {
	index int
	line  line.Line

	mu     sync.Mutex
	status line.Status
	caller *lent // who has it now
}

// modemOptions are those of all modems. Whoever waits for the other end of a call that is cut waits for less time than people would.
const modemOptions = "command_gap = \"10ms\"\nanswer_timeout = \"25s\"\n"

// openPhones opens the callers' modems in this process.
func (b *bank) openPhones() []*phone {
	b.Helper()
	driver, err := builtin.New(modem.Name, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	var text strings.Builder
	text.WriteString(modemOptions)
	for i := range b.all() {
		fmt.Fprintf(&text, "[[line]]\nname = \"phone%d\"\ndevice = %q\n", i+1, filepath.Join(b.dir, "lines", fmt.Sprintf("phone%d", i+1)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), askLimit)
	defer cancel()
	lines, err := driver.Open(ctx, line.Section{Name: "phones", Text: []byte(text.String())})
	if err != nil {
		b.Fatal(err)
	}
	var phones []*phone
	for i, l := range lines {
		p := &phone{index: i, line: l}
		phones = append(phones, p)
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.pump()
		}()
		b.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), askLimit)
			defer cancel()
			if err := l.Shutdown(ctx); err != nil {
				b.Errorf("phone%d: %v", i+1, err)
			}
			<-done
		})
	}
	return phones
}

// pump passes on the line's events to who has the phone.
func (p *phone) pump() {
	for e := range p.line.Events() {
		p.mu.Lock()
		_ = p.status.Apply(e)
		caller := p.caller
		p.mu.Unlock()
		if caller != nil {
			select {
			case caller.events <- e:
			case <-caller.back:
			}
		}
	}
}

// state is the line's.
func (p *phone) state() line.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status.State
}

// lent is the phone's line for one call: a caller expects one that comes up, while this one has been up for long; and the call can be hung up by others.
type lent struct {
	line.Line
	phone  *phone
	events chan line.Event
	back   chan struct{} // closed when the phone was given back

	mu     sync.Mutex
	number line.Call
}

// lend lends the phone, which must be idle.
func (p *phone) lend() *lent {
	l := &lent{Line: p.line, phone: p, events: make(chan line.Event, line.EventCapacity), back: make(chan struct{})}
	l.events <- line.Event{Body: line.Up{}}
	p.mu.Lock()
	p.caller = l
	p.mu.Unlock()
	return l
}

// giveBack ends that.
func (l *lent) giveBack() {
	l.phone.mu.Lock()
	l.phone.caller = nil
	l.phone.mu.Unlock()
	close(l.back)
}

// Events implements line.Line.
func (l *lent) Events() <-chan line.Event { return l.events }

// Dial implements line.Line.
func (l *lent) Dial(ctx context.Context, request line.DialRequest) (line.Call, error) {
	number, err := l.Line.Dial(ctx, request)
	l.mu.Lock()
	l.number = number
	l.mu.Unlock()
	return number, err
}

// drop hangs up without any goodbye, as by pulling the plug.
func (l *lent) drop() error {
	l.mu.Lock()
	number := l.number
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return l.Hangup(ctx, number)
}
