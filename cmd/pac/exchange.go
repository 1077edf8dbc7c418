package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"trunkline.example/modem/exchange"
	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/config"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/plan"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
	"trunkline.example/shared/logging"
)

// mostLines is how many numbers there are for each kind of line.
const mostLines = 999

// exchangeSocket is the exchange's admin socket in its directory.
const exchangeSocket = "exchange.sock"

// exchangeFlags describe an exchange without a file.
type exchangeFlags struct {
	lines, phones, rate int
	noErrorControl      bool
	latency, training   time.Duration
	impair, seed        string
	isdn                int
	dialect             string
}

func exchangeCommand() *cobra.Command {
	var dir, file, level, format string
	var x exchangeFlags
	cmd := &cobra.Command{
		Use: "exchange", Short: "run a telephone exchange with virtual modems on pseudo-terminals", Args: cobra.NoArgs,
		Long: "Run a telephone exchange: answering lines line1, line2, ... (numbers 1001, 1002, ..., all of them in the hunt group 1000) and\n" +
			"telephones phone1, phone2, ... (2001, 2002, ...). 3001 is always busy, nobody answers 3002, and the network has no way to\n" +
			"3003. Each is a Hayes modem: open DIR/phone1 as a serial port, or connect to the Unix socket DIR/phone1.sock. DIR/directory.json lists them.\n" +
			"With --isdn there are terminal adapters on B channels as well. " +
			"With --config, a file describes the whole exchange.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, _, err := logging.New(logging.Config{Level: level, Format: logging.Format(format)})
			if err != nil {
				return command.Usage(err)
			}
			cfg, err := x.config(dir)
			if file != "" {
				cfg, err = fromFile(cmd, file, dir)
			}
			if err != nil {
				return command.Usage(err)
			}
			cfg.Logger = log
			return runExchange(cmd.Context(), cfg, log)
		},
	}
	f := cmd.PersistentFlags()
	f.StringVar(&dir, "dir", config.DefaultDir, "directory of the ports")
	cmd.Flags().StringVar(&file, "config", "", "file that describes the exchange; etc/exchange.toml in the sources is a sample")
	cmd.Flags().IntVar(&x.lines, "lines", 8, "answering lines")
	cmd.Flags().IntVar(&x.phones, "phones", 8, "telephones")
	cmd.Flags().IntVar(&x.isdn, "isdn", 0, "terminal adapters that answer, isdn1, ... (4001, ..., all in the hunt group 4000), and as many for callers, ta1, ... (5001, ...)")
	cmd.Flags().StringVar(&x.dialect, "isdn-dialect", "elsa", "what they speak: elsa or isdn4linux")
	cmd.Flags().IntVar(&x.rate, "rate", office.DefaultRate, "bit/s of each line in each direction; -1: unlimited")
	cmd.Flags().BoolVar(&x.noErrorControl, "no-error-control", false, "modems without error control: line errors reach the data")
	cmd.Flags().DurationVar(&x.latency, "latency", 0, "of every call, one way")
	cmd.Flags().DurationVar(&x.training, "training", 500*time.Millisecond, "from the answer to CONNECT")
	cmd.Flags().StringVar(&x.impair, "impair", "clean", "what the telephones' lines are like: "+strings.Join(office.ProfileNames(), ", "))
	cmd.Flags().StringVar(&x.seed, "seed", "", "any text: the same errors at the same places each time")
	cmd.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().StringVar(&format, "log-format", "text", "text or json")
	cmd.AddCommand(exchangeStatusCommand(&dir), exchangeCutCommand(&dir), exchangeInjectCommand(&dir), exchangeImpairCommand(&dir), exchangeFaultCommand(&dir))
	return cmd
}

// fromFile is the exchange that a file describes; of the flags that describe
// one, only --dir goes with it.
func fromFile(cmd *cobra.Command, file, dir string) (exchange.Config, error) {
	for _, name := range []string{"lines", "phones", "isdn", "isdn-dialect", "rate", "no-error-control", "latency", "training", "impair", "seed"} {
		if cmd.Flags().Changed(name) {
			return exchange.Config{}, fmt.Errorf("--%s and --config exclude each other: the file says it all", name)
		}
	}
	cfg, err := config.Load(file)
	if cmd.Flags().Changed("dir") {
		cfg.Dir = dir
	}
	return cfg, err
}

// config is the exchange that the flags describe.
func (x exchangeFlags) config(dir string) (exchange.Config, error) {
	for _, n := range []struct {
		flag  string
		value int
	}{{"lines", x.lines}, {"phones", x.phones}, {"isdn", x.isdn}} {
		if n.value < 0 || n.value > mostLines {
			return exchange.Config{}, fmt.Errorf("--%s %d is not between 0 and %d", n.flag, n.value, mostLines)
		}
	}
	if err := checkProfile(x.impair); err != nil {
		return exchange.Config{}, err
	}
	profile, _ := office.NamedProfile(x.impair)
	cfg := exchange.Lab(dir, x.lines, x.phones)
	cfg.Office.Latency, cfg.Office.Training.Time, cfg.Office.Seed = x.latency, x.training, config.Seed(x.seed)
	for i := range cfg.Office.Lines {
		l := &cfg.Office.Lines[i]
		l.Transmit, l.Receive, l.NoErrorControl = x.rate, x.rate, x.noErrorControl
		if i >= x.lines { // one end of each call is enough
			l.Become(profile)
		}
	}
	dialect, err := adapterNamed(x.dialect)
	if err != nil {
		return exchange.Config{}, err
	}
	cfg.AddISDN(x.isdn, dialect)
	return cfg, nil
}

// adapterNamed is the dialect of --isdn-dialect.
func adapterNamed(name string) (hayes.Adapter, error) {
	dialect, known := hayes.AdapterNamed(name)
	if !known || dialect == hayes.NoAdapter {
		return 0, fmt.Errorf("--isdn-dialect %q is none of %s", name, strings.Join(hayes.AdapterNames()[1:], ", "))
	}
	return dialect, nil
}

// checkProfile refuses the name of an impairment that there is not.
func checkProfile(name string) error {
	if _, known := office.NamedProfile(name); !known {
		return fmt.Errorf("--impair %q is none of %s", name, strings.Join(office.ProfileNames(), ", "))
	}
	return nil
}

// runExchange runs an exchange with its admin API until ctx ends.
func runExchange(ctx context.Context, cfg exchange.Config, log *zap.Logger) error {
	e, err := exchange.New(cfg)
	if err != nil {
		return command.Usage(err)
	}
	a := admin.NewServer(admin.ServerOptions{Socket: filepath.Join(cfg.Dir, exchangeSocket), Logger: log})
	exchangeEndpoints(a, e)
	stop, err := a.Start()
	if err != nil {
		return err
	}
	defer stop()
	go func() {
		select {
		case <-e.Ready():
			_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		case <-ctx.Done():
		}
	}()
	err = e.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// damage is the body of POST /inject and /impair.
type damage struct {
	Line      string             `json:"line"`
	Direction office.Direction   `json:"direction"`
	CallOnly  bool               `json:"call_only,omitempty"`
	Inject    circuit.Injection  `json:"inject"`
	Impair    circuit.Impairment `json:"impair"`
}

type lineRequest struct {
	Line  string     `json:"line"`
	Fault plan.Fault `json:"fault,omitempty"`
}

// exchangeStatus is the answer to GET /status.
type exchangeStatus struct {
	office.Status
	Runtime admin.Runtime `json:"runtime"`
}

func exchangeEndpoints(a *admin.Server, e *exchange.Exchange) {
	started := time.Now()
	a.Get("/status", func(context.Context, *admin.Request) (any, error) {
		s, err := e.Status()
		return exchangeStatus{Status: s, Runtime: admin.ReadRuntime(started)}, err
	})
	a.Get("/directory", func(context.Context, *admin.Request) (any, error) { return e.Directory() })
	post(a, "/cut", func(r lineRequest) error { return e.Cut(r.Line) })
	post(a, "/fault", func(r lineRequest) error { return e.SetFault(r.Line, r.Fault) })
	post(a, "/inject", func(r damage) error { return e.Inject(r.Line, r.Direction, r.Inject) })
	post(a, "/impair", func(r damage) error { return e.Impair(r.Line, r.Direction, r.Impair, r.CallOnly) })
}

// post registers a command whose body is a T.
func post[T any](a *admin.Server, path string, do func(T) error) {
	a.Post(path, func(_ context.Context, r *admin.Request) (any, error) {
		var body T
		if err := r.Decode(&body); err != nil {
			return nil, err
		}
		if err := do(body); err != nil {
			return nil, admin.Invalid("%v", err)
		}
		return struct{}{}, nil
	})
}

func exchangeClient(dir string) *admin.Client {
	return admin.NewClient("exchange", filepath.Join(dir, exchangeSocket))
}

func exchangeStatusCommand(dir *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "show lines and calls of a running exchange", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s exchangeStatus
			if err := exchangeClient(*dir).Get(cmd.Context(), "/status", &s); err != nil {
				return err
			}
			return admin.Print(cmd.OutOrStdout(), asJSON, s, func() *admin.Table {
				t := &admin.Table{Columns: admin.Columns("line", "number", "port", "modem", "line is", "fault", ">calls")}
				for _, l := range s.Lines {
					t.Add(l.Name, l.Number, map[bool]string{true: "open", false: ""}[l.Attached], l.Modem, l.Line, l.Fault, l.Calls)
				}
				return t
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func exchangeCutCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "cut LINE", Short: "cut the wire of a line's call", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return exchangeClient(*dir).Post(cmd.Context(), "/cut", lineRequest{Line: args[0]}, nil)
		},
	}
}

func exchangeFaultCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "fault LINE none|dead|busy", Short: "set or clear a fault of a line", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			fault, ok := map[string]plan.Fault{"none": plan.FaultNone, "dead": plan.FaultDead, "busy": plan.FaultBusyOut}[args[1]]
			if !ok {
				return command.Usage(fmt.Errorf("%q is none of none, dead, busy", args[1]))
			}
			return exchangeClient(*dir).Post(cmd.Context(), "/fault", lineRequest{Line: args[0], Fault: fault}, nil)
		},
	}
}

// directionFlag adds the choice of a direction.
func directionFlag(cmd *cobra.Command) func() (office.Direction, error) {
	name := cmd.Flags().String("what", "receives", "which direction of the call: what the line's client \"receives\" or what it \"sends\"")
	return func() (office.Direction, error) {
		switch *name {
		case "receives":
			return office.Receives, nil
		case "sends":
			return office.Sends, nil
		}
		return 0, command.Usage(fmt.Errorf("--what %q is neither \"receives\" nor \"sends\"", *name))
	}
}

func exchangeInjectCommand(dir *string) *cobra.Command {
	d := damage{}
	cmd := &cobra.Command{Use: "inject LINE", Short: "damage the present call of a line once, counted", Args: cobra.ExactArgs(1)}
	direction := directionFlag(cmd)
	cmd.Flags().IntVar(&d.Inject.DamageFrames, "frames", 0, "PPP frames whose FCS shall fail")
	cmd.Flags().IntVar(&d.Inject.AbortFrames, "aborts", 0, "PPP frames that shall end in an abort, a framing error")
	cmd.Flags().IntVar(&d.Inject.FlipBits, "bits", 0, "octets that get one bit flipped")
	cmd.Flags().IntVar(&d.Inject.DropOctets, "drop", 0, "octets that are lost")
	cmd.Flags().IntVar(&d.Inject.Garbage, "garbage", 0, "random octets that are inserted")
	cmd.Flags().DurationVar(&d.Inject.Pause, "pause", 0, "nothing passes for so long")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		d.Line = args[0]
		if d.Direction, err = direction(); err != nil {
			return err
		}
		return exchangeClient(*dir).Post(cmd.Context(), "/inject", d, nil)
	}
	return cmd
}

func exchangeImpairCommand(dir *string) *cobra.Command {
	d := damage{}
	cmd := &cobra.Command{Use: "impair LINE", Short: "damage a line's calls from now on; without rates: no more", Args: cobra.ExactArgs(1)}
	direction := directionFlag(cmd)
	cmd.Flags().Float64Var(&d.Impair.BitErrorRate, "bit-error-rate", 0, "probability that a bit is hit")
	cmd.Flags().IntVar(&d.Impair.Burst, "burst", 0, "bits in a row that one hit touches")
	cmd.Flags().Float64Var(&d.Impair.DropRate, "drop-rate", 0, "probability that an octet is lost")
	cmd.Flags().Float64Var(&d.Impair.FrameErrorRate, "frame-error-rate", 0, "probability that the FCS of a PPP frame fails")
	cmd.Flags().Float64Var(&d.Impair.FrameAbortRate, "frame-abort-rate", 0, "probability that a PPP frame ends in an abort")
	cmd.Flags().BoolVar(&d.Impair.PassErrorControl, "pass-error-control", false, "also where the modems have error control")
	cmd.Flags().BoolVar(&d.CallOnly, "call-only", false, "only the present call")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		d.Line = args[0]
		if d.Direction, err = direction(); err != nil {
			return err
		}
		return exchangeClient(*dir).Post(cmd.Context(), "/impair", d, nil)
	}
	return cmd
}
