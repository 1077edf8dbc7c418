package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"trunkline.example/modem/exchange/config"
	"trunkline.example/pac/caller"
	"trunkline.example/pac/caller/load"
	"trunkline.example/shared/command"
	"trunkline.example/shared/measure"
	"trunkline.example/shared/ppp/peer"
)

// loadFlags are what `pac caller --load` is told besides the flags of one call.
type loadFlags struct {
	on                             bool
	sessions, calls, atOnce, users int
	rate                           float64
	duration, hold, timeout        time.Duration
	traffic                        string
	seed                           uint64
}

// loadLimit is how many lines a generator may use.
const loadLimit = 4096

func (f *loadFlags) flags(cmd *cobra.Command) {
	o := cmd.Flags()
	o.BoolVar(&f.on, "load", false, "make calls on many lines at once, and measure; the flags below are for this alone")
	o.IntVar(&f.sessions, "sessions", 1, "load: lines that call; \"%d\" in --port becomes the number of the line, from 1")
	o.IntVar(&f.calls, "calls", 1, "load: calls in a row on each line")
	o.IntVar(&f.atOnce, "at-once", 0, "load: calls being set up at one time (default: all)")
	o.Float64Var(&f.rate, "rate", 0, "load: new calls per second; 0: as fast as lines are free")
	o.DurationVar(&f.duration, "duration", 0, "load: to hold the calls, with their traffic, once all are up")
	o.DurationVar(&f.hold, "hold", 0, "load: to hold each call, with its traffic, from when it is up")
	o.IntVar(&f.users, "users", 0, "load: how many users there are, if \"%d\" in --user is to be the number of the user (default: one for each line)")
	o.StringVar(&f.traffic, "traffic", "idle", "load: idle; echo: ICMP echo requests and replies, --window of them at one time, --interval after the last, of --size")
	o.DurationVar(&f.timeout, "timeout", 10*time.Second, "load: after which an echo request without a reply is lost")
	o.Uint64Var(&f.seed, "seed", 0, "load: of what the callers choose at random; 0: another one each time")
}

// check refuses flags that have no meaning in the other mode.
func (f *loadFlags) check(cmd *cobra.Command) error {
	var others []string
	if f.on {
		others = []string{"pings", "stay", "lossy"}
	} else {
		others = []string{"sessions", "calls", "at-once", "rate", "duration", "hold", "users", "traffic", "timeout", "seed"}
	}
	for _, name := range others {
		if !cmd.Flags().Changed(name) {
			continue
		}
		if f.on {
			return fmt.Errorf("--%s is for one call, not for --load", name)
		}
		return fmt.Errorf("--%s is for --load", name)
	}
	if f.on && !cmd.Flags().Changed("port") {
		return cmd.Flags().Set("port", filepath.Join(config.DefaultDir, "phone%d"))
	}
	return nil
}

// ports are the devices of the lines that call.
func (f *loadFlags) ports(pattern string) ([]string, error) {
	switch {
	case f.sessions < 1 || f.sessions > loadLimit:
		return nil, fmt.Errorf("--sessions %d is not between 1 and %d", f.sessions, loadLimit)
	case f.sessions > 1 && !strings.Contains(pattern, "%d"):
		return nil, errors.New("--port must have a \"%d\" for the number of the line")
	}
	var all []string
	for i := range f.sessions {
		all = append(all, strings.ReplaceAll(pattern, "%d", strconv.Itoa(i+1)))
	}
	return all, nil
}

// config makes a run of one call's configuration.
func (f *loadFlags) config(one caller.Config, c *callerFlags) (load.Config, error) {
	l := load.Config{
		Number: one.Dial.Number, Calls: f.calls, AtOnce: f.atOnce, Rate: f.rate, Limit: c.limit, Duration: f.duration, Hold: f.hold,
		Link: one.Link, Users: f.users, Sizes: c.sizes, Seed: f.seed,
	}
	if l.Seed == 0 {
		l.Seed = rand.Uint64() | 1
	}
	switch f.traffic {
	case "idle":
	case "echo":
		target, err := c.destination()
		if err != nil {
			return l, err
		}
		l.Traffic = &peer.Probe{Destination: target, Interval: c.interval, Window: c.window, Timeout: f.timeout}
	default:
		return l, fmt.Errorf("--traffic %q is none of idle, echo", f.traffic)
	}
	return l, nil
}

// runLoad makes the load and prints what it has found.
func (c *callerFlags) runLoad(ctx context.Context, in io.Reader, out, progress io.Writer) error {
	one, err := c.config(in)
	if err != nil {
		return command.Usage(err)
	}
	cfg, err := c.load.config(one, c)
	if err != nil {
		return command.Usage(err)
	}
	ports, err := c.load.ports(c.port)
	if err != nil {
		return command.Usage(err)
	}
	lines, shutdown, err := c.open(ctx, ports...)
	if err != nil {
		return err
	}
	defer shutdown()
	cfg.Lines = lines
	err = measure.Show(out, progress, c.json, func(watch func(measure.Progress)) (measure.Report, error) { return load.Run(ctx, cfg, watch) })
	if errors.Is(err, load.ErrConfig) {
		return command.Usage(err)
	}
	return err
}
