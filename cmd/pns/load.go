package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"trunkline.example/pns/load"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
)

// defaultPort is PPTP's TCP port (RFC 2637 section 1.2).
const defaultPort = 1723

// loadFlags are what `pns load` is told, as far as it must be read.
type loadFlags struct {
	load.Config
	source, passwordFile, mppe, traffic, target, responder string
	authentication                                         []string
	json                                                   bool
}

func loadCommand() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use: "load SERVER[:PORT]", Short: "make calls and traffic to any PPTP server, and measure", Args: cobra.ExactArgs(1),
		Long: `Make many calls to a PPTP server at an IPv4 address, ours or another, and traffic in them; tell how fast calls are set up, why some
fail, and what the tunnels carry, lose and delay. It needs CAP_NET_RAW (root) for GRE. Ctrl-C ends it orderly: calls are cleared and
the results printed. The exit status is 1 if a call failed or was lost.

The password is read from --password-file, or as one line from standard input. "%d" in --user is the number of the user, from 0.

--source spreads the sessions over the addresses of a network, which this host must have, as after
    ip route add local 198.19.0.0/16 dev lo
and to which the server must have a route. One address carries some 28,000 sessions at most, and 64 logins at one time is what
our own server admits for one.

--as-pac relays: Incoming-Calls, many on each of a few control connections. The server must take this host for a PAC.

Examples:
    pns load 192.0.2.1 --user test --password-file pw --sessions 1000 --at-once 128
    pns load 192.0.2.1 --user load%d --users 50 --sessions 200 --traffic echo --window 8 --size 1400 --duration 30s < pw`,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := f.config(args[0], cmd.InOrStdin())
			if err != nil {
				return command.Usage(err)
			}
			return f.run(cmd.Context(), cfg, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.flags(cmd)
	cmd.AddCommand(respondCommand())
	return cmd
}

// respondCommand is the other end of UDP traffic.
func respondCommand() *cobra.Command {
	return &cobra.Command{
		Use: "respond ADDRESS:PORT", Short: "be the other end of the UDP traffic of pns load, until interrupted", Args: cobra.ExactArgs(1),
		Long: "Be the other end of the UDP traffic of `pns load`, on the server's host or one behind it: count what comes, send what is asked for. It\n" +
			"sends only to addresses that have answered, and as long as they go on asking.",
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := net.ResolveUDPAddr("udp4", args[0])
			if err != nil {
				return command.Usage(err)
			}
			conn, err := net.ListenUDP("udp4", address)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "answering on %s\n", conn.LocalAddr())
			return load.NewResponder(conn).Run(cmd.Context())
		},
	}
}

func (f *loadFlags) flags(cmd *cobra.Command) {
	o := cmd.Flags()
	o.IntVar(&f.Sessions, "sessions", 1, "calls to be made and held")
	o.IntVar(&f.AtOnce, "at-once", 0, "calls being set up at one time (default: 16; with --rate as many as it takes)")
	o.Float64Var(&f.Rate, "rate", 0, "new calls per second; 0: as fast as the others are set up")
	o.DurationVar(&f.Limit, "limit", load.DefaultLimit, "for one call to be up")
	o.DurationVar(&f.Duration, "duration", 0, "to hold the calls, with their traffic, once all are up")
	o.StringVar(&f.source, "source", "", "own address, or a network of them (default: the system's choice)")
	o.StringVar(&f.User, "user", "load%d", "user name; %d: number of the user")
	o.IntVar(&f.Users, "users", 0, "how many users there are (default: one for each session)")
	o.StringVar(&f.passwordFile, "password-file", "-", "file whose first line is the password; -: standard input")
	o.StringSliceVar(&f.authentication, "auth", nil, "protocols to log in with: ms-chapv2, chap-md5, pap (default: all that --mppe admits)")
	o.StringVar(&f.mppe, "mppe", "required", "MPPE-128: required, optional or none")
	o.BoolVar(&f.AsPAC, "as-pac", false, "be a PAC that relays the calls")
	o.IntVar(&f.Connections, "connections", 1, "control connections of a PAC")
	o.StringVar(&f.traffic, "traffic", "idle", "idle; echo: ICMP echo requests and replies; up, down, both: UDP, through --responder")
	o.IntVar(&f.Traffic.Size, "size", load.DefaultSize, "octets of an IP packet in the tunnel")
	o.IntVar(&f.Traffic.Window, "window", 1, "echo requests of a session without reply at one time")
	o.DurationVar(&f.Traffic.Interval, "interval", 0, "between two echo requests of a session; 0: as fast as replies come back")
	o.DurationVar(&f.Traffic.Timeout, "timeout", load.DefaultTimeout, "after which an echo request without a reply is lost")
	o.StringVar(&f.target, "target", "", "address to send echo requests to (default: the server's end of the link)")
	o.StringVar(&f.responder, "responder", "", "address and port of \"pns load respond\" behind the server")
	o.Float64Var(&f.Traffic.Rate, "datagrams", 0, "UDP datagrams per second of a session, in each direction; 0: as many as go")
	o.IntVar(&f.Shards, "threads", runtime.NumCPU(), "event loops")
	o.BoolVar(&f.json, "json", false, "print the results as JSON")
}

// config turns the flags into a run.
func (f *loadFlags) config(server string, in io.Reader) (load.Config, error) {
	c := f.Config
	var err error
	if c.Server, err = parseServer(server); err != nil {
		return c, err
	}
	if f.source != "" {
		if c.Source, err = parseNetwork(f.source); err != nil {
			return c, fmt.Errorf("--source: %w", err)
		}
	}
	var ok bool
	if c.Encryption, ok = map[string]ccp.Policy{"required": ccp.Required, "optional": ccp.Preferred, "none": ccp.None}[f.mppe]; !ok {
		return c, fmt.Errorf("--mppe %q is none of required, optional, none", f.mppe)
	}
	for _, name := range f.authentication {
		p, ok := map[string]auth.Protocol{"ms-chapv2": auth.MSCHAPv2, "chap-md5": auth.CHAPMD5, "pap": auth.PAP}[name]
		if !ok {
			return c, fmt.Errorf("--auth %q is none of ms-chapv2, chap-md5, pap", name)
		}
		c.Authentication = append(c.Authentication, p)
	}
	if c.Traffic.Shape, err = load.ParseShape(f.traffic); err != nil {
		return c, fmt.Errorf("--traffic: %w", err)
	}
	if f.target != "" {
		if c.Traffic.Target, err = netip.ParseAddr(f.target); err != nil {
			return c, fmt.Errorf("--target: %w", err)
		}
	}
	if f.responder != "" {
		if c.Traffic.Responder, err = netip.ParseAddrPort(f.responder); err != nil {
			return c, fmt.Errorf("--responder: %w", err)
		}
	}
	password, err := f.password(in)
	c.Password = auth.PlainSecret(password)
	return c, err
}

// parseServer reads an IPv4 address with or without a port.
func parseServer(text string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, defaultPort), nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, fmt.Errorf("the server %q is not an IPv4 address with or without a port", text)
	}
	return a, nil
}

// parseNetwork reads a network or one address.
func parseNetwork(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(text)
}

// password reads the first line of the file, or of standard input.
func (f *loadFlags) password(in io.Reader) (string, error) {
	if t, ok := in.(*os.File); ok && f.passwordFile == "-" && term.IsTerminal(int(t.Fd())) {
		return "", errors.New("the password is to come from --password-file or standard input")
	}
	text, err := command.FirstLine(f.passwordFile, in)
	if err != nil {
		return "", err
	}
	return checkPassword(text)
}

func (f *loadFlags) run(ctx context.Context, cfg load.Config, out, progress io.Writer) error {
	var watch func(load.Progress)
	terminal := false
	if t, ok := progress.(*os.File); ok && term.IsTerminal(int(t.Fd())) {
		terminal = true
		watch = func(p load.Progress) { fmt.Fprintf(progress, "\r\x1b[K%s", progressLine(p)) }
	}
	r, err := load.Run(ctx, cfg, watch)
	if terminal {
		fmt.Fprint(progress, "\r\x1b[K")
	}
	if errors.Is(err, load.ErrConfig) {
		return command.Usage(err)
	}
	if err != nil {
		return err
	}
	if f.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(r)
	} else {
		err = loadTable(&r).Write(out)
	}
	if err == nil && !r.OK() {
		err = fmt.Errorf("%d of %d calls failed, %d of %d that were up were lost", r.Failed, r.Started, r.Dropped, r.Up)
	}
	return err
}

// progressLine is one line for a terminal.
func progressLine(p load.Progress) string {
	line := fmt.Sprintf("%4.0f s  %s: %d of %d up, %d failed, %d lost", p.Elapsed.Seconds(), p.Phase, p.Up, p.Sessions, p.Failed, p.Dropped)
	if p.Sent > 0 {
		line += fmt.Sprintf("; %d packets sent, %d received", p.Sent, p.Received)
	}
	return line
}

// loadTable is the report for people.
func loadTable(r *load.Report) *admin.Table {
	t := &admin.Table{Columns: admin.Columns("what", ">value", "unit")}
	number := func(what string, v float64, unit string) {
		t.Add(what, strings.TrimSuffix(fmt.Sprintf("%.2f", v), ".00"), unit)
	}
	latency := func(what string, l load.Latency) {
		for _, q := range []struct {
			name  string
			value float64
		}{{"median", l.Median}, {"p90", l.P90}, {"p99", l.P99}, {"max", l.Max}} {
			number(what+", "+q.name, q.value, "ms")
		}
	}
	if r.Interrupted {
		t.Add("interrupted", "yes")
	}
	t.Add("calls up", r.Up, fmt.Sprintf("of %d", r.Sessions))
	t.Add("calls failed", r.Failed)
	failureRows(t, "  ", r.Failures)
	t.Add("calls lost", r.Dropped)
	failureRows(t, "  ", r.Drops)
	if r.Up > 0 {
		number("set-up", r.SetUp.PerSecond, "calls/s")
		if r.SetUp.LastPerSecond > 0 {
			number("set-up, first tenth", r.SetUp.FirstPerSecond, "calls/s")
			number("set-up, last tenth", r.SetUp.LastPerSecond, "calls/s")
		}
		latency("set-up", r.SetUp.Latency)
	}
	number("own processor time of set-up", r.SetUp.CPUSeconds, "s")
	if c := r.Traffic; c != nil && c.Up.Sent+c.Down.Sent > 0 {
		for _, w := range []struct {
			name string
			way  load.Way
		}{{"up", c.Up}, {"down", c.Down}} {
			number(w.name, w.way.Mbps, "Mbit/s")
			number(w.name, w.way.PacketsPerSecond, "packets/s")
			t.Add(w.name+", lost", w.way.Lost, fmt.Sprintf("%.4f %% of %d", 100*w.way.LostShare, w.way.Received+w.way.Lost))
			number(w.name+", jitter", w.way.Jitter, "ms")
		}
		if c.RoundTrip != nil {
			latency("round trip", *c.RoundTrip)
		}
		number("own processor time of traffic", c.CPUSeconds, "s")
	}
	return t
}

func failureRows(t *admin.Table, indent string, all []load.Failure) {
	for _, f := range all {
		text := f.Reason
		if f.Example != "" {
			text += ": " + f.Example
		}
		t.Add(indent+text, f.Count)
	}
}
