package main

import (
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"trunkline.example/pns"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
)

func callCommand() *cobra.Command {
	a := command.NewAsker("pns")
	var r pns.CallRequest
	cmd := a.Flags(&cobra.Command{
		Use: "call SITE | call NUMBER --pac NAME", Short: "call a remote site, or have a PAC dial a number", Args: cobra.ExactArgs(1),
		Long: "Call a site of the configuration ([[site]]), and wait until it is up or the call has failed; a site that is up already is no error.\n" +
			"`pns hangup` ends it.\n\n" +
			"With --pac a PAC dials a number (Outgoing-Call-Request). Who answers is treated like a caller of that PAC: he authenticates himself\n" +
			"and gets an address. The session then goes on by itself; `pns kick` ends it. The PAC must allow the number (dialout in pac.toml).\n\n" +
			"Ctrl-C while the call is being set up gives it up. The exit status is 0 if the call is up.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if r.PAC == "" {
				if r != (pns.CallRequest{}) {
					return command.Usage(errors.New("--pac is missing: the name of the PAC that shall dial"))
				}
				r.Site = args[0]
				fmt.Fprintf(cmd.ErrOrStderr(), "calling %s\n", r.Site)
			} else {
				r.Number = args[0]
				fmt.Fprintf(cmd.ErrOrStderr(), "calling %s through %s\n", r.Number, r.PAC)
			}
			var done pns.CallResult
			if err := a.Client().Post(ctx, pns.PathCall, r, &done); err != nil {
				if ctx.Err() != nil {
					return fmt.Errorf("the call to %s is given up", args[0])
				}
				return err
			}
			return printCall(cmd, a, args[0], done)
		},
	})
	cmd.Flags().StringVar(&r.PAC, "pac", "", "configured name of the PAC, or the host name it gives")
	cmd.Flags().StringVar(&r.Subaddress, "subaddress", "", "subaddress")
	cmd.Flags().Uint32Var(&r.MinimumBPS, "min-bps", 0, "least speed of the line in bit/s")
	cmd.Flags().Uint32Var(&r.MaximumBPS, "max-bps", 0, "greatest speed of the line in bit/s")
	return cmd
}

// printCall shows what became of the call; one that is not up is an error too.
func printCall(cmd *cobra.Command, a *command.Asker, called string, done pns.CallResult) error {
	err := a.Print(cmd, done, func() *admin.Table {
		t := &admin.Table{Columns: admin.Columns(">session", "user", "address", ">speed", ">seconds")}
		if done.Up {
			t.Add(done.Session, done.User, done.Address, done.Speed, fmt.Sprintf("%.2f", done.Seconds))
		}
		return t
	})
	if err == nil && !done.Up {
		err = fmt.Errorf("%s: %s", called, done.Reason)
	}
	return err
}
