// Command pns is the PPTP network server and its operator's tool. `pns help` lists the commands.
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
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"trunkline.example/pns/config"
	"trunkline.example/shared/conf"
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
	fmt.Fprintln(w, "pns:", err)
	var usage usageError
	var configuration conf.Errors
	if errors.As(err, &usage) || errors.As(err, &configuration) {
		return 2
	}
	return 1
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use: "pns", Short: "PPTP network server: terminates PPP, authenticates, encrypts and routes",
		SilenceUsage: true, SilenceErrors: true, Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	cmd.AddCommand(runCommand(), sessionsCommand(), statusCommand(), kickCommand(), userCommand(), checkCommand(), versionCommand())
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: exactArgs(0),
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "pns", version) },
	}
}

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "check a configuration file and print what would be in force", Args: atMostArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := config.DefaultFile
			if len(args) == 1 {
				file = args[0]
			}
			cfg, err := config.Load(file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), cfg.Effective())
			return err
		},
	}
}

// noSuchCommand is for commands that only have commands of their own.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no command %q", strings.Join(append(strings.Fields(cmd.CommandPath())[1:], args[0]), " "))
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf("; did you mean %q?", near[0])
	}
	return usageError{errors.New(text)}
}

// exactArgs and atMostArgs are cobra's, with the exit status of wrong usage.
func exactArgs(n int) cobra.PositionalArgs { return asUsage(cobra.ExactArgs(n)) }

func atMostArgs(n int) cobra.PositionalArgs { return asUsage(cobra.MaximumNArgs(n)) }

func asUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// loadConfig reads the named file; without a name the default file, if there is one, or else the defaults.
func loadConfig(file string) (*config.Config, error) {
	if file != "" {
		return config.Load(file)
	}
	if _, err := os.Stat(config.DefaultFile); errors.Is(err, os.ErrNotExist) {
		return config.Default(), nil
	}
	return config.Load(config.DefaultFile)
}
