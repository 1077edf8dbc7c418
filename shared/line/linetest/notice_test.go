package linetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Notice
		var words []string
		var octets []byte
		go func() {
			for i, w := range []string{"one", "two"} {
				time.Sleep(time.Second)
				n.Step(func() { words, octets = append(words, w), append(octets, byte(i), 9) })
			}
		}()
		begun := time.Now()
		for i, want := range []string{"one", "two"} {
			if got, err := n.Shift(t.Context(), &words); got != want || err != nil || time.Since(begun) != time.Duration(i+1)*time.Second {
				t.Errorf("%q, %v after %v", got, err, time.Since(begun))
			}
		}
		if got, err := n.Take(t.Context(), &octets, 3); err != nil || !slices.Equal(got, []byte{0, 9, 1}) || len(octets) != 1 {
			t.Errorf("%v, %v, %v left", got, err, octets)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := n.Take(ctx, &octets, 2); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
