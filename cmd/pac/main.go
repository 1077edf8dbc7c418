// Command pac is the PPTP access concentrator and its operator's tool. `pac help` lists the commands.
//
// Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/line"
)

// version is set by the linker.
var version = "development"

// usageError is a mistake of the caller: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := root().ExecuteContext(ctx)
	stop()
	os.Exit(exitStatus(os.Stderr, err))
}

// exitStatus prints the error, if there is one.
func exitStatus(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(w, "pac:", err)
	var usage usageError
	var configuration conf.Errors
	if errors.As(err, &usage) || errors.As(err, &configuration) || errors.Is(err, line.ErrConfiguration) {
		return 2
	}
	return 1
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pac", Short: "PPTP access concentrator: answers dial-in calls and relays them to a network server",
		SilenceUsage: true, SilenceErrors: true, Args: noCommand, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(runCommand(), linesCommand(), callsCommand(), hangupCommand(), driversCommand(), statusCommand(), checkCommand(), versionCommand(), driverCommand(), exchangeCommand(), callerCommand(),
		labCommand(), labInitCommand())
	wrongArgumentsAreUsage(cmd)
	return cmd
}

// noCommand is for a word that is no command.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(" (did you mean %q?)", near[0])
	}
	return errors.New(text + "; see pac help")
}

// wrongArgumentsAreUsage gives the errors of all commands' checks of their arguments the exit status of wrong usage.
func wrongArgumentsAreUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		wrongArgumentsAreUsage(sub)
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "pac", version) },
	}
}
