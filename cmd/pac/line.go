package main

import (
	"errors"

	"github.com/spf13/cobra"

	"trunkline.example/pac"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
	"trunkline.example/shared/line"
)

func stateText(l pac.LineStatus) string {
	text := l.State.String()
	if l.Disabled {
		text += ", disabled"
	}
	if l.Quarantined {
		text += ", in quarantine"
	}
	return text
}

// lineText tells how a line stands after something was done to it.
func lineText(l pac.LineStatus) string {
	state := stateText(l)
	if l.State == line.StateDown && l.Cause != "" {
		state += " (" + l.Cause + ")"
	}
	if l.Equipment != "" {
		state += ", " + l.Equipment
	}
	return l.Name + ": " + state
}

func lineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "line", Short: "do something to a line", Args: command.NoSuchCommand,
		RunE: func(*cobra.Command, []string) error {
			return command.Usage(errors.New("say what to do: pac line enable|disable|busy-out|reset|test|selftest"))
		},
	}
	for _, action := range []struct {
		name  pac.LineAction
		short string
	}{
		{pac.LineEnable, "let a line take calls again, and end busy-out and quarantine"},
		{pac.LineDisable, "let a line take no new calls; one in progress goes on"},
		{pac.LineBusyOut, "make a line busy for callers, until it is enabled"},
		{pac.LineReset, "start a line's device from scratch"},
		{pac.LineTest, "check a line's device"},
	} {
		a := command.NewAsker("pac")
		cmd.AddCommand(a.Flags(&cobra.Command{
			Use: string(action.name) + " LINE", Short: action.short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				var l pac.LineStatus
				err := a.Client().Post(cmd.Context(), pac.PathLine, pac.LineRequest{Line: args[0], Action: action.name}, &l)
				if err != nil {
					return err
				}
				return a.Print(cmd, l, func() *admin.Table { return &admin.Table{Empty: lineText(l)} })
			},
		}))
	}
	cmd.AddCommand(selfTestCommand())
	return cmd
}
