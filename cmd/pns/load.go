package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"trunkline.example/pns/load"
	"trunkline.example/shared/command"
	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
)

// defaultPort is PPTP's TCP port (RFC 2637 section 1.2).
const defaultPort = 1723

// loadFlags are what `pns load` is told, as far as it must be read.
type loadFlags struct {
	load.Config
	source, passwordFile, mppe, traffic, flood, target, responder string
	authentication                                                []string
	json                                                          bool
}

func loadCommand() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use: "load SERVER", Short: "make calls and traffic to any PPTP server, and measure", Args: cobra.ExactArgs(1),
		Long: `Make many calls to a PPTP server, ours or another, and traffic in them; tell how fast calls are set up, why some fail, and what the
tunnels carry, lose and delay. The server is an IPv4 or IPv6 address, with a port as in 192.0.2.1:1723 and [2001:db8::1]:1723 if it is
not this one; control connections and GRE both go there. It needs CAP_NET_RAW (root) for GRE. Ctrl-C ends it orderly: calls are cleared and
the results printed. The exit status is 1 if a call failed or was lost.

The password is read from --password-file, or as one line from standard input. "%d" in --user is the number of the user, from 0.

--source spreads the sessions over the addresses of a network, which this host must have, as after
    ip route add local 198.19.0.0/16 dev lo
and to which the server must have a route. One address carries some 28,000 sessions at most, and 64 logins at one time is what
our own server admits for one.

--churn has more calls come and go at that rate while the traffic runs.

--as-pac relays: Incoming-Calls, many on each of a few control connections. The server must take this host for a PAC.

Examples:
    pns load 192.0.2.1 --user test --password-file pw --sessions 1000 --at-once 128
    pns load 192.0.2.1 --user load%d --users 50 --sessions 200 --traffic echo --window 8 --size 1400 --duration 30s < pw
    pns load 2001:db8::1 --user test --sessions 100 --churn 20 --life 5s --cut 0.2 --traffic echo --interval 100ms --duration 1h < pw`,
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
	o.Float64Var(&f.Churn.Rate, "churn", 0, "calls per second that come and go beside the others, for as long as there is traffic")
	o.DurationVar(&f.Churn.Life, "life", 10*time.Second, "mean time that these are up")
	o.Float64Var(&f.Churn.Cut, "cut", 0, "share of these that end without a word, 0 to 1")
	o.Uint64Var(&f.Churn.Seed, "seed", 0, "of when they come and go; 0: a random one")
	o.StringVar(&f.source, "source", "", "own address, or a network of them (default: the system's choice)")
	o.StringVar(&f.User, "user", "load%d", "user name; %d: number of the user")
	o.IntVar(&f.Users, "users", 0, "how many users there are (default: one for each session)")
	o.StringVar(&f.passwordFile, "password-file", "-", "file whose first line is the password; -: standard input")
	o.StringSliceVar(&f.authentication, "auth", nil, "protocols to log in with: ms-chapv2, chap-md5, pap (default: all that --mppe admits)")
	o.StringVar(&f.mppe, "mppe", "required", "MPPE-128: required, optional or none")
	o.BoolVar(&f.AsPAC, "as-pac", false, "be a PAC that relays the calls")
	o.IntVar(&f.Connections, "connections", 1, "control connections of a PAC")
	o.StringVar(&f.traffic, "traffic", "idle", "idle; echo: ICMP echo requests and replies; up, down, both: UDP, through --responder")
	o.StringVar(&f.flood, "flood", "both", "what is carried before the traffic, from a second and more before it: as --traffic, without an interval")
	o.DurationVar(&f.Flood.Duration, "flood-for", 0, "for how long; 0: there is no flood")
	o.Float64Var(&f.Flood.Traffic.Rate, "flood-datagrams", 0, "UDP datagrams per second of a session, in each direction, while it is flooded; 0: as many as go")
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
	if c.Flood.Traffic.Shape, err = load.ParseShape(f.flood); err != nil {
		return c, fmt.Errorf("--flood: %w", err)
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
	if c.Flood.Duration == 0 {
		c.Flood.Traffic.Shape = load.Idle
	}
	flood := c.Traffic
	flood.Shape, flood.Rate, flood.Interval = c.Flood.Traffic.Shape, c.Flood.Traffic.Rate, 0
	c.Flood.Traffic = flood
	password, err := f.password(in)
	c.Password = auth.PlainSecret(password)
	return c, err
}

// parseServer reads an address with or without a port.
func parseServer(text string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(a, defaultPort), nil
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, fmt.Errorf("the server %q is not an IP address with or without a port", text)
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
	err := measure.Show(out, progress, f.json, func(watch func(measure.Progress)) (measure.Report, error) { return load.Run(ctx, cfg, watch) })
	if errors.Is(err, load.ErrConfig) {
		return command.Usage(err)
	}
	return err
}
