package modem

import (
	"context"

	"go.uber.org/zap"

	"trunkline.example/modem/netport"
	"trunkline.example/modem/port"
	"trunkline.example/modem/tty"
	"trunkline.example/shared/line"
)

// Name is the name of the driver.
const Name = "modem"

// Version is the version of the driver.
const Version = "1.0"

// Options are what a driver is given besides its sections. The zero value
// opens ttys and ports behind the network, and logs nothing.
type Options struct {
	Logger *zap.Logger
	Open   port.Opener
	// Watch tells of new devices; nil: with an Open nobody, else the kernel.
	Watch   func() (plugged <-chan struct{}, stop func(), err error)
	Dialect *Dialect // nil: modems
}

// Driver drives AT modems, or other equipment of a Dialect. It implements line.Driver.
type Driver struct {
	log     *zap.Logger
	open    port.Opener
	watch   func() (plugged <-chan struct{}, stop func(), err error)
	dialect *Dialect
}

var _ line.Driver = (*Driver)(nil)

// New returns a driver.
func New(o Options) *Driver {
	d := &Driver{log: o.Logger, open: o.Open, watch: o.Watch, dialect: o.Dialect}
	if d.dialect == nil {
		d.dialect = Analog
	}
	if d.log == nil {
		d.log = zap.NewNop()
	}
	if d.open == nil {
		d.open, d.watch = open, tty.Watch
	}
	return d
}

// open opens a device of the machine or one behind the network.
func open(ctx context.Context, o port.Options) (port.Port, error) {
	if netport.Names(o.Device) {
		return netport.Open(ctx, o)
	}
	return tty.Open(ctx, o)
}

// Info implements line.Driver.
func (d *Driver) Info() line.Info {
	return line.Info{Name: d.dialect.Name, Version: Version, Contract: line.ContractVersion, Capabilities: line.Capabilities{
		Answer: true, Dial: true, CallerNumber: true, CalledNumber: d.dialect.CalledNumber, Counters: true, Service: true, Recover: true,
		Bearers: d.dialect.Bearers | line.BearerAnalog, Framings: line.FramingAsync}}
}

// Open implements line.Driver.
func (d *Driver) Open(ctx context.Context, section line.Section) ([]line.Line, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	configs, err := ParseSection(d.dialect, section)
	if err != nil {
		return nil, err
	}
	lines := make([]line.Line, len(configs))
	for i, c := range configs {
		lines[i] = start(c, d)
	}
	return lines, nil
}
