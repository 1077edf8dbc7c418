package linetest

import (
	"context"
	"testing"
	"testing/synctest"

	"trunkline.example/shared/line"
)

func fakeFixture(*testing.T) Fixture {
	f := NewFake(line.Identity{Name: "one"})
	return Fixture{Driver: f, Far: f.Lines()[0]}
}

func TestFake(t *testing.T) { Run(t, fakeFixture) }

func TestFakeInBubble(t *testing.T) {
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.Run(t, fakeFixture) })
		})
	}
}

func TestFakeFailure(t *testing.T) {
	f := NewFake(line.Identity{}, line.Identity{})
	b := newBench(t, Fixture{Driver: oneLine{f}, Far: f.Lines()[0], Number: "1"})
	b.connect()
	f.Lines()[0].Fail(line.Cause{Code: line.CauseDevice})
	if l := expect[line.Lost](b); l.Cause.Code != line.CauseDevice {
		t.Errorf("cause %v", l.Cause)
	}
	expect[line.Down](b)
	_, err := b.line.Dial(t.Context(), line.DialRequest{Number: "1"})
	b.wants("dial on a broken line", err, line.ErrDown)
	f.Lines()[0].Restore()
	expect[line.Up](b)
	b.connect()
	b.finish()
}

// oneLine opens only the first line of a Fake.
type oneLine struct{ *Fake }

func (o oneLine) Open(ctx context.Context, s line.Section) ([]line.Line, error) {
	lines, err := o.Fake.Open(ctx, s)
	return lines[:1], err
}
