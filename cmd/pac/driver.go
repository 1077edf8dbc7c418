package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"trunkline.example/pac"
	"trunkline.example/pac/config"
	"trunkline.example/plugins/builtin"
	"trunkline.example/plugins/lineplugin"
	"trunkline.example/shared/command"
	"trunkline.example/shared/confine"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

// driverCommand is how `pac` starts itself as a driver's process.
func driverCommand() *cobra.Command {
	return &cobra.Command{
		Use: builtin.DriverCommand + " NAME", Short: "serve a line driver (started by `pac run`): " + strings.Join(builtin.Names(), ", "),
		Args: cobra.ExactArgs(1), Hidden: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := builtin.Serve(args[0]); err != nil {
				return command.Usage(err)
			}
			return nil
		},
	}
}

// driverSource opens drivers in this process or in their own.
func driverSource(log *zap.Logger) pac.DriverSource {
	return func(ctx context.Context, d config.Driver) (pac.Driver, error) {
		if d.Process {
			driver, err := loadProcess(ctx, d, log)
			if err != nil {
				return nil, err
			}
			return &process{Driver: driver, cfg: d}, nil
		}
		// As of a driver in a process of its own, only what is out of order is logged: calls are told by the concentrator.
		driver, err := builtin.New(d.Kind, log.With(zap.String(logging.KeyDriver, d.Name)).WithOptions(zap.IncreaseLevel(zap.WarnLevel)))
		if err != nil {
			return nil, err
		}
		return &inside{Driver: driver, cfg: d, since: time.Now()}, nil
	}
}

// loadProcess starts the process of a driver: of this very binary, or of another executable that the configuration names.
func loadProcess(ctx context.Context, d config.Driver, log *zap.Logger) (*lineplugin.Driver, error) {
	command, err := commandOf(d)
	if err != nil {
		return nil, err
	}
	driver, err := lineplugin.Load(ctx, command, log)
	if err != nil {
		return nil, err
	}
	if name := driver.Info().Name; name != d.Kind {
		_ = driver.Close()
		return nil, fmt.Errorf("driver %q: %s is the driver %q, not %q: correct its kind", d.Name, d.Command[0], name, d.Kind)
	}
	return driver, nil
}

// commandOf is how a driver's process is started, and what it may open.
func commandOf(d config.Driver) (c lineplugin.Command, err error) {
	if len(d.Command) > 0 {
		c = lineplugin.Command{Name: d.Name, Path: d.Command[0], Args: d.Command[1:], Foreign: true}
	} else if c, err = builtin.Command(d.Kind, d.Section); err != nil {
		return c, err
	}
	c.Confine = d.Confine
	for _, path := range d.Paths {
		c.Files = append(c.Files, confine.Rule{Path: path, Rights: confine.Read | confine.Change | confine.Run})
	}
	return c, nil
}

// process is a driver in a process of its own.
type process struct {
	*lineplugin.Driver
	cfg   config.Driver
	lines int
}

func (p *process) Open(ctx context.Context, section line.Section) ([]line.Line, error) {
	lines, err := p.Driver.Open(ctx, section)
	p.lines = len(lines)
	return lines, err
}

func (p *process) Status() pac.DriverStatus {
	s := p.Driver.Status()
	return pac.DriverStatus{
		Name: p.cfg.Name, Kind: p.cfg.Kind, Version: p.Info().Version, PID: s.PID, Since: s.Since, Restarts: s.Restarts, Lines: p.lines, Problem: s.Problem,
		Confined: s.Confinement.Confined, Unconfined: s.Confinement.Why,
	}
}

// inside is a driver in this process.
type inside struct {
	line.Driver
	cfg   config.Driver
	since time.Time
	lines int
}

func (i *inside) Open(ctx context.Context, section line.Section) ([]line.Line, error) {
	lines, err := i.Driver.Open(ctx, section)
	i.lines = len(lines)
	return lines, err
}

func (i *inside) Status() pac.DriverStatus {
	return pac.DriverStatus{Name: i.cfg.Name, Kind: i.cfg.Kind, Version: i.Info().Version, PID: os.Getpid(), Since: i.since, Lines: i.lines, Unconfined: "it runs inside pac"}
}

func (i *inside) Close() error { return nil }
