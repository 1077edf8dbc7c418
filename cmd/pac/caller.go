package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"trunkline.example/modem"
	"trunkline.example/modem/exchange/config"
	"trunkline.example/pac/caller"
	"trunkline.example/plugins/builtin"
	"trunkline.example/shared/command"
	"trunkline.example/shared/line"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

// callerFlags are what `pac caller` is told.
type callerFlags struct {
	port, number, user, passwordFile string
	authentication                   []string
	encryption, target               string
	pings, window                    int
	sizes                            []int
	interval, stay, limit            time.Duration
	json, verbose, lossy             bool
	load                             loadFlags
}

func callerCommand() *cobra.Command {
	var f callerFlags
	cmd := &cobra.Command{
		Use: "caller NUMBER", Short: "dial in over a modem or a port of the exchange, and ping through the call", Args: cobra.ExactArgs(1),
		Long: "Dial in: a built-in client that needs no PPP in the kernel. It dials NUMBER over a modem, logs in, sends pings, hangs up and tells\n" +
			"each step. The exit status is 0 if every ping came back. The password is read from --password-file, or as one line from\n" +
			"standard input.\n\n" +
			"--load measures: it calls on --sessions lines at once, with traffic as --traffic says, and tells how fast calls are set up, why some\n" +
			"fail, and what they carry, lose and delay. The exit status is 1 if a call failed or was lost.",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.number = args[0]
			if err := f.load.check(cmd); err != nil {
				return command.Usage(err)
			}
			if f.load.on {
				return f.runLoad(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			return f.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	o := cmd.Flags()
	o.StringVar(&f.port, "port", config.DefaultDir+"/phone1", "serial port of the modem")
	o.StringVar(&f.user, "user", "demo", "user name")
	o.StringVar(&f.passwordFile, "password-file", "-", "file whose first line is the password; -: standard input")
	o.StringSliceVar(&f.authentication, "auth", []string{"ms-chapv2", "chap-md5", "pap"}, "protocols to log in with")
	o.StringVar(&f.encryption, "encryption", "required", "MPPE-128: required, preferred or none")
	o.StringVar(&f.target, "target", "", "address to ping (default: the other end of the link)")
	o.IntVar(&f.pings, "pings", 5, "how many of each size")
	o.IntSliceVar(&f.sizes, "size", []int{56}, "octets of payload")
	o.DurationVar(&f.interval, "interval", 500*time.Millisecond, "between pings; 0: as fast as replies come back")
	o.IntVar(&f.window, "window", 0, "pings without a reply at one time (default: 4 with --interval 0)")
	o.BoolVar(&f.lossy, "lossy", false, "lost pings are no failure, as long as one of each size comes back")
	o.DurationVar(&f.stay, "stay", 0, "to stay connected after that; negative: until interrupted")
	o.DurationVar(&f.limit, "limit", 2*time.Minute, "for the network to be up")
	o.BoolVar(&f.json, "json", false, "print each step, and at last the result, as a line of JSON")
	o.BoolVarP(&f.verbose, "verbose", "v", false, "log the modem's dialogue")
	f.load.flags(cmd)
	return cmd
}

func (f *callerFlags) run(ctx context.Context, in io.Reader, out io.Writer) error {
	cfg, err := f.config(in)
	if err != nil {
		return command.Usage(err)
	}
	lines, shutdown, err := f.open(ctx, f.port)
	if err != nil {
		return err
	}
	defer shutdown()
	cfg.Line = lines[0]
	encoder := json.NewEncoder(out)
	result, err := caller.Run(ctx, cfg, func(e caller.Event) {
		if f.json {
			_ = encoder.Encode(e)
			return
		}
		fmt.Fprintf(out, "%8.3f  %-8s %s\n", e.Since.Seconds(), e.Kind, e.Text)
	})
	if f.json {
		_ = encoder.Encode(result)
	} else {
		fmt.Fprintf(out, "counters: %d packets sent, %d received; %d octets to the line, %d from it; %d bad frames\n",
			result.Host.SentPackets, result.Host.ReceivedPackets, result.Line.TxOctets, result.Line.RxOctets, result.FCSErrors)
	}
	return err
}

// open opens modems; the function it returns frees them.
func (f *callerFlags) open(ctx context.Context, ports ...string) (lines []line.Line, shutdown func(), err error) {
	log := zap.NewNop()
	if f.verbose {
		if log, err = zap.NewDevelopment(); err != nil {
			return nil, nil, err
		}
	}
	driver, err := builtin.New(modem.Name, log)
	if err != nil {
		return nil, nil, err
	}
	var text []byte
	for i, port := range ports {
		device, err := filepath.Abs(port)
		if err != nil {
			return nil, nil, err
		}
		text = fmt.Appendf(text, "[[line]]\nname = \"caller%d\"\ndevice = %q\n", i+1, device)
	}
	if lines, err = driver.Open(ctx, line.Section{Name: "caller", Text: text}); err != nil {
		return nil, nil, err
	}
	return lines, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for _, l := range lines {
			wg.Go(func() { _ = l.Shutdown(limit) })
		}
		wg.Wait()
	}, nil
}

// config turns the flags into a call.
func (f *callerFlags) config(in io.Reader) (caller.Config, error) {
	c := caller.Config{Dial: line.DialRequest{Number: f.number}, Stay: f.stay, Limit: f.limit, Lossy: f.lossy}
	password, err := command.FirstLine(f.passwordFile, in)
	if err != nil {
		return c, err
	}
	c.Link = link.Config{User: f.user, Secret: auth.PlainSecret(password), AskDNS: true, PFC: true, ACFC: true}
	if _, err := rand.Read(c.Link.Seed[:]); err != nil {
		return c, err
	}
	var ok bool
	if c.Link.Encryption, ok = map[string]ccp.Policy{"required": ccp.Required, "preferred": ccp.Preferred, "none": ccp.None}[f.encryption]; !ok {
		return c, fmt.Errorf("--encryption %q is none of required, preferred, none", f.encryption)
	}
	for _, name := range f.authentication {
		p, ok := map[string]auth.Protocol{"ms-chapv2": auth.MSCHAPv2, "chap-md5": auth.CHAPMD5, "pap": auth.PAP}[name]
		if !ok {
			return c, fmt.Errorf("--auth %q is none of ms-chapv2, chap-md5, pap", name)
		}
		c.Link.Authentication = append(c.Link.Authentication, p)
	}
	target, err := f.destination()
	if err != nil {
		return c, err
	}
	for _, size := range f.sizes {
		if f.pings > 0 {
			c.Probes = append(c.Probes, peer.Probe{Destination: target, Size: size, Count: f.pings, Interval: f.interval, Window: f.window})
		}
	}
	return c, nil
}

// destination is whom to ping; the zero address is the other end of the link.
func (f *callerFlags) destination() (netip.Addr, error) {
	if f.target == "" {
		return netip.Addr{}, nil
	}
	target, err := netip.ParseAddr(f.target)
	if err != nil {
		return target, fmt.Errorf("--target: %w", err)
	}
	return target, nil
}
