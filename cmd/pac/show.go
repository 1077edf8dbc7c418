package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"trunkline.example/pac"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/conf/tables"
)

// asker is what the commands that ask a running daemon have in common.
type asker struct {
	socket string
	json   bool
}

func (a *asker) flags(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVar(&a.socket, "admin", tables.DefaultAdmin("pac").Socket, "socket of the running daemon")
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return cmd
}

func (a *asker) get(ctx context.Context, path string, out any) error {
	return admin.NewClient("pac", a.socket).Get(ctx, path, out)
}

func linesCommand() *cobra.Command {
	var a asker
	return a.flags(&cobra.Command{
		Use: "lines", Short: "show the lines", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var lines []pac.LineStatus
			if err := a.get(cmd.Context(), "/lines", &lines); err != nil {
				return err
			}
			return admin.Print(cmd.OutOrStdout(), a.json, lines, func() *admin.Table {
				t := &admin.Table{Columns: admin.Columns("line", "driver", "number", "state", "for", "caller", "speed", ">calls", "last cause"), Empty: "no lines are configured"}
				for _, l := range lines {
					caller, speed := "", ""
					if l.Call != nil {
						caller, speed = l.Call.Dialing, speedText(l.Call)
					}
					t.Add(l.Name, l.Driver, l.Number, l.State, admin.Age(time.Since(l.Since)), caller, speed, l.Calls, l.Cause)
				}
				return t
			})
		},
	})
}

func speedText(c *pac.CallView) string {
	switch {
	case c.SpeedOut == 0:
		return ""
	case c.SpeedIn == c.SpeedOut:
		return fmt.Sprint(c.SpeedOut)
	}
	return fmt.Sprintf("%d/%d", c.SpeedIn, c.SpeedOut)
}

func callsCommand() *cobra.Command {
	var a asker
	var verbose bool
	cmd := a.flags(&cobra.Command{
		Use: "calls", Short: "show the calls in progress", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var calls []*pac.CallView
			if err := a.get(cmd.Context(), "/calls", &calls); err != nil {
				return err
			}
			return admin.Print(cmd.OutOrStdout(), a.json, calls, func() *admin.Table { return callTable(calls, verbose) })
		},
	})
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "with errors and the tunnel's counters")
	return cmd
}

func callTable(calls []*pac.CallView, verbose bool) *admin.Table {
	columns := []string{"call", "line", "stage", "dialed", "caller", "pns", "speed", "for", ">in", ">out"}
	if verbose {
		columns = append(columns, "modulation", ">fcs", ">aborts", ">dropped", ">gre sent", ">received", ">lost", ">late", ">reordered", ">rtt")
	}
	t := &admin.Table{Columns: admin.Columns(columns...), Empty: "no calls"}
	for _, c := range calls {
		k := c.Counters
		row := []any{c.ID, c.Line, c.Stage, c.Dialed, c.Dialing, c.PNS, speedText(c), admin.Age(time.Since(c.Began)), admin.Octets(k.LineOctetsIn), admin.Octets(k.LineOctetsOut)}
		if verbose {
			row = append(row, c.Modulation+" "+c.ErrorControl, k.FCSErrors, k.Aborted+k.Oversized, k.LineDropped, k.TunnelSent, k.TunnelReceived, k.Lost, k.Late, k.Reordered, k.RTT)
		}
		t.Add(row...)
	}
	return t
}

func hangupCommand() *cobra.Command {
	var a asker
	return a.flags(&cobra.Command{
		Use: "hangup CALL|LINE", Short: "end a call", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return admin.NewClient("pac", a.socket).Post(cmd.Context(), "/hangup", pac.HangupRequest{Call: args[0]}, nil)
		},
	})
}

func driversCommand() *cobra.Command {
	var a asker
	return a.flags(&cobra.Command{
		Use: "drivers", Short: "show the line drivers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var drivers []pac.DriverStatus
			if err := a.get(cmd.Context(), "/drivers", &drivers); err != nil {
				return err
			}
			return admin.Print(cmd.OutOrStdout(), a.json, drivers, func() *admin.Table {
				t := &admin.Table{Columns: admin.Columns("name", "kind", "version", ">pid", "for", ">restarts", ">lines", "problem"), Empty: "no drivers are configured"}
				for _, d := range drivers {
					t.Add(d.Name, d.Kind, d.Version, d.PID, admin.Age(time.Since(d.Since)), d.Restarts, d.Lines, d.Problem)
				}
				return t
			})
		},
	})
}

func statusCommand() *cobra.Command {
	var a asker
	return a.flags(&cobra.Command{
		Use: "status", Short: "show the daemon and its network servers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s pac.Status
			if err := a.get(cmd.Context(), "/status", &s); err != nil {
				return err
			}
			return admin.Print(cmd.OutOrStdout(), a.json, s, func() *admin.Table {
				t := &admin.Table{Columns: admin.Columns("pns", "address", "established", "for", "host name", ">calls", "problem")}
				for _, n := range s.Networks {
					t.Add(n.Name, n.Address, n.Established, admin.Age(time.Since(n.Since)), n.HostName, n.Calls, n.Problem)
				}
				return t
			})
		},
	})
}
