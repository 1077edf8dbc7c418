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
		Use: "call NUMBER --pac NAME", Short: "have a PAC dial a number", Args: cobra.ExactArgs(1),
		Long: "Have a PAC dial a number (Outgoing-Call-Request), and wait until the call is up or has failed. Who answers is treated like a\n" +
			"caller of that PAC: he authenticates himself and gets an address. The session then goes on by itself; `pns kick` ends it.\n" +
			"Ctrl-C while it is being set up gives it up. The exit status is 0 if the call is up. The PAC must allow the number (dialout in\n" +
			"pac.toml).",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			if r.Number = args[0]; r.PAC == "" {
				return command.Usage(errors.New("--pac is missing: the name of the PAC that shall dial"))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "calling %s through %s\n", r.Number, r.PAC)
			var done pns.CallResult
			if err := a.Client().Post(ctx, pns.PathCall, r, &done); err != nil {
				if ctx.Err() != nil {
					return fmt.Errorf("the call to %s is given up", r.Number)
				}
				return err
			}
			return printCall(cmd, a, r, done)
		},
	})
	cmd.Flags().StringVar(&r.PAC, "pac", "", "configured name of the PAC, or the host name it gives (required)")
	cmd.Flags().StringVar(&r.Subaddress, "subaddress", "", "subaddress")
	cmd.Flags().Uint32Var(&r.MinimumBPS, "min-bps", 0, "least speed of the line in bit/s")
	cmd.Flags().Uint32Var(&r.MaximumBPS, "max-bps", 0, "greatest speed of the line in bit/s")
	return cmd
}

// printCall shows what became of the call; one that is not up is an error too.
func printCall(cmd *cobra.Command, a *command.Asker, r pns.CallRequest, done pns.CallResult) error {
	err := a.Print(cmd, done, func() *admin.Table {
		t := &admin.Table{Columns: admin.Columns(">session", "user", "address", ">speed", ">seconds")}
		if done.Up {
			t.Add(done.Session, done.User, done.Address, done.Speed, fmt.Sprintf("%.2f", done.Seconds))
		}
		return t
	})
	if err == nil && !done.Up {
		err = fmt.Errorf("%s: %s", r.Number, done.Reason)
	}
	return err
}
