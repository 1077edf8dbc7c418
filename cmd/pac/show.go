package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"trunkline.example/pac"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
)

func linesCommand() *cobra.Command {
	a := command.NewAsker("pac")
	var verbose bool
	cmd := a.Watched(a.Flags(&cobra.Command{
		Use: "lines", Short: "show the lines", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Show(cmd, a, pac.PathLines, func(lines []pac.LineStatus) *admin.Table { return lineTable(lines, verbose) })
		},
	}))
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "with the device and the last self-test beneath each line")
	return cmd
}

func lineTable(lines []pac.LineStatus, verbose bool) *admin.Table {
	t := &admin.Table{Columns: admin.Columns("line", "driver", "number", "state", "for", "caller", "speed", ">calls", ">errors", "last cause"), Empty: "no lines are configured"}
	for _, l := range lines {
		caller, speed := "", ""
		if l.Call != nil {
			caller, speed = l.Call.Dialing, speedText(l.Call)
		}
		t.Add(l.Name, l.Driver, l.Number, stateText(l), admin.Age(time.Since(l.Since)), caller, speed, l.Calls, l.Errors, l.Cause)
		if verbose {
			t.Note("device", "%s, %s", known(l.Device), known(l.Equipment))
			selfTestNote(t, l.SelfTest)
		}
	}
	return t
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
	a := command.NewAsker("pac")
	var verbose bool
	cmd := a.Watched(a.Flags(&cobra.Command{
		Use: "calls", Short: "show the calls in progress", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Show(cmd, a, pac.PathCalls, func(calls []*pac.CallView) *admin.Table { return callTable(calls, verbose) })
		},
	}))
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "with the line, its errors, the tunnel and its window, beneath each call")
	return cmd
}

func callTable(calls []*pac.CallView, verbose bool) *admin.Table {
	t := &admin.Table{
		Columns: admin.Columns("call", "kind", "line", "stage", "dialed", "caller", "pns", "speed", "for", ">in", ">out"),
		Empty:   "no calls",
	}
	for _, c := range calls {
		k := c.Counters
		t.Add(c.ID, c.Kind, c.Line, c.Stage, c.Dialed, c.Dialing, c.PNS, speedText(c), admin.Age(time.Since(c.Began)), admin.Octets(k.LineOctetsIn), admin.Octets(k.LineOctetsOut))
		if verbose {
			callNotes(t, c)
		}
	}
	return t
}

// callNotes tell all that is known of a call.
func callNotes(t *admin.Table, c *pac.CallView) {
	k := c.Counters
	t.Note("call", "PAC Call ID %d, PNS Call ID %d, serial number %d", c.PACCallID, c.PNSCallID, c.CallSerial)
	if c.Connected.IsZero() {
		return
	}
	d := c.Device
	t.Note("line", "modulation %s, error control %s, compression %s", known(c.Modulation), known(c.ErrorControl), known(c.Compression))
	t.Note("errors", "%d hardware overruns, %d buffer overruns, %d framing, %d parity, %d breaks, %d stalls", d.HardwareOverruns, d.BufferOverruns, d.FramingErrors, d.ParityErrors,
		d.Breaks, d.Stalls+k.Stalled)
	t.Note("from line", "%d frames; %d FCS errors, %d aborted, %d oversized, %d not sent", k.FramesIn, k.FCSErrors, k.Aborted, k.Oversized, k.TunnelDropped)
	t.Note("to line", "%d frames; %d dropped", k.FramesOut, k.LineDropped)
	t.Note("received", "%d packets; %d lost, %d late, %d duplicate, %d reordered", k.TunnelReceived, k.Lost, k.Late, k.Duplicates, k.Reordered)
	t.Note("sent", "%d packets", k.TunnelSent)
	t.Note("flow", "%v, %d stalls", k.Flow, k.Stalls)
}

func known(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func hangupCommand() *cobra.Command {
	a := command.NewAsker("pac")
	return a.Flags(&cobra.Command{
		Use: "hangup CALL|LINE", Short: "end a call", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Client().Post(cmd.Context(), pac.PathHangup, pac.HangupRequest{Call: args[0]}, nil)
		},
	})
}

func driversCommand() *cobra.Command {
	a := command.NewAsker("pac")
	return a.Flags(&cobra.Command{
		Use: "drivers", Short: "show the line drivers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Show(cmd, a, pac.PathDrivers, func(drivers []pac.DriverStatus) *admin.Table {
				t := &admin.Table{Columns: admin.Columns("name", "kind", "version", ">pid", "for", ">restarts", ">lines", "confined", "problem"), Empty: "no drivers are configured"}
				for _, d := range drivers {
					t.Add(d.Name, d.Kind, d.Version, d.PID, admin.Age(time.Since(d.Since)), d.Restarts, d.Lines, confinedText(d), d.Problem)
				}
				return t
			})
		},
	})
}

// confinedText tells whether a driver is kept from the files that it does not need.
func confinedText(d pac.DriverStatus) string {
	if d.Confined {
		return "yes"
	}
	return "no: " + known(d.Unconfined)
}

func statusCommand() *cobra.Command {
	a := command.NewAsker("pac")
	return a.Flags(&cobra.Command{
		Use: "status", Short: "show the daemon and its network servers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Show(cmd, a, pac.PathStatus, statusTable)
		},
	})
}

func statusTable(s pac.Status) *admin.Table {
	t := &admin.Table{Columns: admin.Columns("pns", "address", "established", "for", "host name", ">calls", "problem")}
	if s.Draining {
		t.Add("(this pac)", "", "", "", s.Name, "", "takes no new calls (drain)")
	}
	for _, n := range s.PNS {
		t.Add(n.Name, n.Address, n.Established, admin.Age(time.Since(n.Since)), n.HostName, n.Calls, n.Problem)
		addCounts(t, n.Name, "its fault: ", n.Faults)
		addCounts(t, n.Name, "its call refused: ", n.Refused)
	}
	for _, local := range slices.Sorted(maps.Keys(s.GRE)) {
		c := s.GRE[local]
		addCounts(t, "(GRE on "+local+")", "GRE ", map[string]uint64{
			"of unknown calls": c.Nobodys(), "into calls of other addresses": c.ForeignAddress, "that is malformed": c.Malformed,
		})
	}
	return t
}

// addCounts adds a row for each counter that is not zero.
func addCounts(t *admin.Table, who, what string, counts map[string]uint64) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if n := counts[name]; n > 0 {
			t.Add(who, "", "", "", "", "", fmt.Sprintf("%s%s (%d)", what, name, n))
		}
	}
}
