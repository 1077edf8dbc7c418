package lab

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// hold is how long an event waits for earlier ones of other processes, whose lines take their time through the pipes.
const hold = 150 * time.Millisecond

// timeline puts events in the order in which they happened, and renders them. Not safe for concurrent use.
type timeline struct {
	color   bool
	waiting []event
	began   map[string]time.Time // line or phone to the beginning of its present or last call
}

func newTimeline(color bool) *timeline { return &timeline{color: color, began: map[string]time.Time{}} }

// add takes events in any order.
func (t *timeline) add(events ...event) { t.waiting = append(t.waiting, events...) }

// take renders the events that have waited long enough; all of them, if now is zero.
func (t *timeline) take(now time.Time) string {
	slices.SortStableFunc(t.waiting, func(a, b event) int { return a.at.Compare(b.at) })
	n := len(t.waiting)
	if !now.IsZero() {
		n = 0
		for n < len(t.waiting) && now.Sub(t.waiting[n].at) >= hold {
			n++
		}
	}
	var b strings.Builder
	for _, e := range t.waiting[:n] {
		t.render(&b, e)
	}
	t.waiting = append(t.waiting[:0], t.waiting[n:]...)
	return b.String()
}

// Escape sequences of terminals.
const (
	escBold  = "\x1b[1m"
	escRed   = "\x1b[31m"
	escDim   = "\x1b[2m"
	escReset = "\x1b[0m"
)

func (t *timeline) render(b *strings.Builder, e event) {
	if e.begin {
		t.began[e.line] = e.since
	}
	at := ""
	if began, ok := t.began[e.line]; ok {
		at = fmt.Sprintf("%.3f", e.at.Sub(began).Seconds())
	}
	text := printable(e.text)
	if t.color {
		switch e.style {
		case mark:
			text = escBold + text + escReset
		case warn:
			text = escRed + text + escReset
		}
		fmt.Fprintf(b, "%s%9s  %-7s  %-8s%s  %s\n", escDim, at, e.line, e.who, escReset, text)
		return
	}
	fmt.Fprintf(b, "%9s  %-7s  %-8s  %s\n", at, e.line, e.who, text)
}

// printable makes control characters visible: names and reasons come from peers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}
