// Command pac is the PPTP access concentrator and its operator's tool. `pac help` lists the commands.
//
// Exit status: 0 done, 1 failed, 2 wrong usage or configuration.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"trunkline.example/shared/conf"
)

// version is set by the linker.
var version = "development"

// usageError is a mistake of the caller: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	os.Exit(exitStatus(err))
}

// exitStatus prints the error, if there is one.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "pac:", err)
	var usage usageError
	var configuration conf.Errors
	if errors.As(err, &usage) || errors.As(err, &configuration) {
		return 2
	}
	return 1
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pac", Short: "PPTP access concentrator: answers dial-in calls and relays them to a network server",
		SilenceUsage: true, SilenceErrors: true,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(runCommand(), linesCommand(), callsCommand(), hangupCommand(), driversCommand(), statusCommand(), checkCommand(), versionCommand(), driverCommand(), exchangeCommand(), callerCommand(),
		labCommand(), labInitCommand())
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "pac", version) },
	}
}
