package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trunkline.example/pns"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
)

func sessionsCommand() *cobra.Command {
	a := command.NewAsker("pns")
	var verbose bool
	cmd := a.Watched(a.Flags(&cobra.Command{
		Use: "sessions", Short: "show who is connected", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Show(cmd, a, pns.PathSessions, func(sessions []pns.SessionInfo) *admin.Table { return sessionTable(sessions, verbose, time.Now()) })
		},
	}))
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "with the link, the call, the line, the window and what was lost, beneath each session")
	return cmd
}

func sessionTable(sessions []pns.SessionInfo, verbose bool, now time.Time) *admin.Table {
	t := &admin.Table{Columns: admin.Columns(">id", "user", "address", "phase", "from", "by", ">for", ">in", ">out"), Empty: "no sessions"}
	for _, s := range sessions {
		since := s.Connected
		if since.IsZero() {
			since = s.Started
		}
		by := s.PAC
		if by == "" {
			by = s.Listener
		}
		t.Add(s.ID, s.User, s.Address, s.Phase, s.Peer, by, admin.Age(now.Sub(since)), admin.Octets(s.Data.OctetsIn), admin.Octets(s.Data.OctetsOut))
		if verbose {
			sessionNotes(t, s)
		}
	}
	return t
}

// echoText is the round trip of the last LCP Echo-Request, if one has been answered yet.
func echoText(c pns.LinkCounters) string {
	if c.EchoMillis == 0 {
		return "unknown"
	}
	return fmt.Sprintf("%.1f ms", c.EchoMillis)
}

// sessionNotes tell all that is known of a session.
func sessionNotes(t *admin.Table, s pns.SessionInfo) {
	d, f := s.Data, s.Flow
	if len(s.Behind) > 0 {
		t.Note("networks", "%s", strings.Join(s.Behind, ", "))
	}
	t.Note("link", "%s, encryption %s, MRU %d, MTU %d, echo %s", orNone(s.Authentication), orNone(s.Encryption), s.MRU, s.MTU, echoText(s.Link))
	t.Note("call", "PAC Call ID %d, PNS Call ID %d, serial number %d, shard %d", s.PACCallID, s.PNSCallID, s.CallSerial, s.Shard)
	t.Note("received", "%d packets, %d frames; %d lost, %d late, %d duplicate, %d reordered, %d bad, %d filtered, %d over the limit",
		d.PacketsIn, d.FramesIn, d.Lost, d.Late, d.Duplicates, d.Reordered, d.Malformed+d.Undecrypted+d.Unencrypted, d.Forged+d.Unroutable+d.Isolated+d.FilteredIn, d.LimitedIn)
	t.Note("sent", "%d packets, %d frames; %d waited, %d dropped, %d too big, %d filtered, %d over the limit", d.PacketsOut, d.FramesOut, d.Held, d.WindowClosed+d.SendFailed+d.Congested, d.TooBig, d.FilteredOut, d.LimitedOut)
	t.Note("flow", "%s", f)
	if s.PAC != "" {
		e := s.LineErrors
		t.Note("line", "dialed %s from %s, bearer %s, framing %s, %d bit/s; %d CRC errors, %d framing, %d hardware overruns, %d buffer overruns, %d time-outs, %d alignment",
			orNone(s.Dialed), orNone(s.Dialing), orNone(s.Bearer), orNone(s.Framing), s.Speed, e.CRC, e.Framing, e.HardwareOverruns, e.BufferOverruns, e.Timeouts, e.Alignment)
	}
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func linesCommand() *cobra.Command {
	a := command.NewAsker("pns")
	return a.Watched(a.Flags(&cobra.Command{
		Use: "lines", Short: "show what the PACs have reported of their lines, over all calls that have ended", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Show(cmd, a, pns.PathLines, func(lines []pns.LineInfo) *admin.Table { return lineTable(lines, time.Now()) })
		},
	}))
}

func lineTable(lines []pns.LineInfo, now time.Time) *admin.Table {
	t := &admin.Table{
		Columns: admin.Columns("pac", ">channel", ">calls", ">crc", ">framing", ">hardware overruns", ">buffer overruns", ">time-outs", ">alignment", ">last ended", "last cause"),
		Empty:   "no call of a PAC's line has ended yet",
	}
	for _, l := range lines {
		e := l.Errors
		t.Add(l.PAC, l.Channel, l.Calls, e.CRC, e.Framing, e.HardwareOverruns, e.BufferOverruns, e.Timeouts, e.Alignment, admin.Age(now.Sub(l.LastEnded))+" ago", l.LastCause)
	}
	return t
}

func statusCommand() *cobra.Command {
	a := command.NewAsker("pns")
	return a.Flags(&cobra.Command{
		Use: "status", Short: "show the server as a whole", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return command.Show(cmd, a, pns.PathStatus, func(s pns.Status) *admin.Table { return statusTable(s, time.Now()) })
		},
	})
}

func statusTable(s pns.Status, now time.Time) *admin.Table {
	t := &admin.Table{Columns: admin.Columns("what", ">value")}
	t.Add("running for", admin.Age(now.Sub(s.Started)))
	for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
		t.Add("listener "+name, s.Listeners[name])
	}
	if s.Draining {
		t.Add("new calls", "refused (draining)")
	}
	t.Add("control connections", s.Connections)
	t.Add("calls", s.Calls)
	t.Add("calls not yet authenticated", s.HalfOpen)
	t.Add("calls ended", s.CallsEnded)
	t.Add("logins accepted", s.Logins.Accepted)
	t.Add("logins refused", s.Logins.Refused+s.Logins.Busy)
	t.Add("addresses leased", fmt.Sprintf("%d of %d", s.Pool.Leased, s.Pool.Size))
	for _, reason := range slices.Sorted(maps.Keys(s.Refused)) {
		t.Add("refused: "+reason, s.Refused[reason])
	}
	for _, fault := range slices.Sorted(maps.Keys(s.Faults)) {
		t.Add("peers' fault: "+fault, s.Faults[fault])
	}
	for _, address := range slices.Sorted(maps.Keys(s.Banned)) {
		t.Add("banned: "+address, "for "+admin.Age(s.Banned[address].Sub(now)))
	}
	t.Add("GRE of unknown calls", s.Plane.UnknownCall)
	t.Add("GRE into calls of other addresses", s.Plane.ForeignAddress)
	t.Add("GRE that is malformed", s.Plane.MalformedGRE)
	t.Add("packets for nobody", s.Plane.NoSession)
	t.Add("packets not read in time", s.Plane.Device.Unread)
	t.Add("packets that could not be read", s.Plane.Device.ReadDropped)
	t.Add("packets that the TUN refused", s.Plane.WriteFailed)
	t.Add("memory in use", fmt.Sprintf("%.1f MiB", float64(s.Runtime.HeapLive)/(1<<20)))
	t.Add("goroutines", s.Runtime.Goroutines)
	return t
}

func kickCommand() *cobra.Command {
	a := command.NewAsker("pns")
	return a.Flags(&cobra.Command{
		Use: "kick ID|USER", Short: "end a session, or all sessions of a user", Args: cobra.ExactArgs(1),
		Long: "End a session by its number (as `pns sessions` shows it), or all sessions of a user. A user whose name is a\n" +
			"number is written as \"user:NAME\".",
		RunE: func(cmd *cobra.Command, args []string) error {
			var done pns.Kicked
			if err := a.Client().Post(cmd.Context(), pns.PathKick, kickTarget(args[0]), &done); err != nil {
				return err
			}
			return a.Print(cmd, done, func() *admin.Table {
				t := &admin.Table{Columns: admin.Columns(">ended")}
				for _, id := range done.Sessions {
					t.Add(id)
				}
				return t
			})
		},
	})
}

// kickTarget understands the argument of `pns kick`.
func kickTarget(arg string) pns.Kick {
	const userPrefix = "user:"
	if len(arg) > len(userPrefix) && arg[:len(userPrefix)] == userPrefix {
		return pns.Kick{User: arg[len(userPrefix):]}
	}
	if id, err := strconv.ParseUint(arg, 10, 64); err == nil && id != 0 {
		return pns.Kick{Session: id}
	}
	return pns.Kick{User: arg}
}
