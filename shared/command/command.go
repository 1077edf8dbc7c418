// Package command is what the command lines of both daemons have in common: exit status, arguments, and the commands that
// ask a running daemon.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"trunkline.example/shared/admin"
	"trunkline.example/shared/conf"
	"trunkline.example/shared/conf/tables"
)

// The exit status of a command.
const (
	StatusDone   = 0
	StatusFailed = 1
	StatusUsage  = 2 // wrong usage or configuration
)

// usageError is a mistake of whoever gave the command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Usage makes an error one of wrong usage; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// Configuration makes the error of loading a file one of wrong usage if the file could not be read.
func Configuration(err error) error {
	if unreadable := (*fs.PathError)(nil); errors.As(err, &unreadable) {
		return Usage(err)
	}
	return err
}

// Main runs a daemon's root command until it is done, or interrupted by SIGINT or SIGTERM. A second signal ends the process
// at once.
func Main(root *cobra.Command) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return root.ExecuteContext(ctx)
}

// ExitStatus prints the error of the named daemon, if there is one, and returns the exit status. Errors that wrap one of
// configuration count as wrong configuration, as conf.Errors do.
func ExitStatus(w io.Writer, daemon string, err error, configuration ...error) int {
	if err == nil {
		return StatusDone
	}
	fmt.Fprintf(w, "%s: %v\n", daemon, err)
	var usage usageError
	var file conf.Errors
	if errors.As(err, &usage) || errors.As(err, &file) {
		return StatusUsage
	}
	for _, wrong := range configuration {
		if errors.Is(err, wrong) {
			return StatusUsage
		}
	}
	return StatusFailed
}

// Root makes the root of a daemon's commands. Wrong flags and arguments of all of them are wrong usage; without a command it
// prints the help.
func Root(name, short string, commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use: name, Short: short, SilenceUsage: true, SilenceErrors: true, Args: NoSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	root.AddCommand(commands...)
	argumentsAreUsage(root)
	return root
}

// NoSuchCommand is the check of the arguments of a command that only has commands of its own.
func NoSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q", strings.Join(append(strings.Fields(cmd.CommandPath())[1:], args[0]), " "))
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(" (did you mean %q?)", near[0])
	}
	return fmt.Errorf("%s; see %s help", text, cmd.Root().Name())
}

// argumentsAreUsage makes the errors of all commands' checks of their arguments those of wrong usage.
func argumentsAreUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error { return Usage(check(cmd, args)) }
	}
	for _, sub := range cmd.Commands() {
		argumentsAreUsage(sub)
	}
}

// Version prints the version.
func Version(daemon, version string) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), daemon, version) },
	}
}

// Check checks a configuration file, or the default one; effective loads it and renders what would be in force.
func Check(defaultFile string, effective func(file string) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use: "check [FILE]", Short: "check a configuration file and print what would be in force", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := defaultFile
			if len(args) == 1 {
				file = args[0]
			}
			text, err := effective(file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}

// Asker is what the commands that ask a running daemon have in common: --admin and --json.
type Asker struct {
	daemon, socket string
	json, watch    bool
}

// NewAsker makes an Asker of a daemon ("pac", "pns").
func NewAsker(daemon string) *Asker { return &Asker{daemon: daemon} }

// SocketFlag adds --admin to a command that prints no answer, and returns it.
func (a *Asker) SocketFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.socket, "admin", tables.DefaultAdmin(a.daemon).Socket, "socket of the running daemon")
	return cmd
}

// Flags adds the flags to a command and returns it.
func (a *Asker) Flags(cmd *cobra.Command) *cobra.Command {
	a.SocketFlag(cmd)
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return cmd
}

// Client speaks to the daemon.
func (a *Asker) Client() *admin.Client { return admin.NewClient(a.daemon, a.socket) }

// Print prints an answer as JSON, if that is asked for, or else as a table.
func (a *Asker) Print(cmd *cobra.Command, answer any, table func() *admin.Table) error {
	return admin.Print(cmd.OutOrStdout(), a.json, answer, table)
}

// Watched adds -w to a command whose answer is shown by Show, and returns it.
func (a *Asker) Watched(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVarP(&a.watch, "watch", "w", false, "show it again every second until interrupted")
	return cmd
}

// watchEvery is how often an answer is shown again.
const watchEvery = time.Second

// Show asks for a path and prints the answer, with -w again and again.
func Show[T any](cmd *cobra.Command, a *Asker, path string, table func(T) *admin.Table) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	s := newScreen(cmd.OutOrStdout())
	defer s.leave()
	for {
		var answer T
		if err := a.Client().Get(cmd.Context(), path, &answer); err != nil {
			if a.watch && cmd.Context().Err() != nil {
				return nil
			}
			return err
		}
		if !a.watch || a.json {
			if err := a.Print(cmd, answer, func() *admin.Table { return table(answer) }); err != nil || !a.watch {
				return err
			}
		} else if err := s.table(table(answer)); err != nil {
			return err
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-tick.C:
		}
	}
}
