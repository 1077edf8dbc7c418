package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"trunkline.example/shared/admin"
)

// errUndrained ends a wait that would have no end.
var errUndrained = errors.New("new calls are taken again: the wait has no end")

// drainCheck is how often a daemon that is drained is asked for the calls it still has.
const drainCheck = time.Second

// Drain makes the commands drain and undrain of a daemon.
func Drain(daemon string) (drain, undrain *cobra.Command) {
	a, b := NewAsker(daemon), NewAsker(daemon)
	var wait bool
	drain = a.Flags(&cobra.Command{
		Use: "drain", Short: "take no new calls; those in progress go on", Args: cobra.NoArgs,
		Long: "Take no new calls from now on, until undrain or a restart; those in progress go on. With --wait, return when the\nlast one has ended.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := setDrain(cmd.Context(), a, true)
			for err == nil && wait && state.Calls > 0 {
				state, err = awaitDrained(cmd.Context(), a)
			}
			return printDrain(cmd, a, state, err)
		},
	})
	drain.Flags().BoolVar(&wait, "wait", false, "return when no call is left")
	undrain = b.Flags(&cobra.Command{
		Use: "undrain", Short: "take new calls again", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			state, err := setDrain(cmd.Context(), b, false)
			return printDrain(cmd, b, state, err)
		},
	})
	return drain, undrain
}

func setDrain(ctx context.Context, a *Asker, draining bool) (state admin.DrainState, err error) {
	err = a.Client().Post(ctx, admin.PathDrain, admin.Drain{Draining: draining}, &state)
	return state, err
}

// awaitDrained asks again after a pause.
func awaitDrained(ctx context.Context, a *Asker) (state admin.DrainState, err error) {
	pause := time.NewTimer(drainCheck)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return state, ctx.Err()
	case <-pause.C:
	}
	if err = a.Client().Get(ctx, admin.PathDrain, &state); err == nil && !state.Draining {
		err = errUndrained
	}
	return state, err
}

func printDrain(cmd *cobra.Command, a *Asker, state admin.DrainState, err error) error {
	if err != nil {
		return err
	}
	return a.Print(cmd, state, func() *admin.Table {
		t := &admin.Table{Columns: admin.Columns("new calls", ">calls in progress")}
		t.Add(map[bool]string{true: "refused", false: "taken"}[state.Draining], state.Calls)
		return t
	})
}
