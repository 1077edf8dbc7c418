// Package builtin names the drivers that ship inside the `pac` binary. Each can run in this process or, as `pac driver NAME`, in one of
// its own.
package builtin

import (
	"context"
	"fmt"
	"sort"

	"go.uber.org/zap"

	"trunkline.example/isdn"
	"trunkline.example/modem"
	"trunkline.example/plugins/lineplugin"
	"trunkline.example/shared/line"
)

// Factory makes a driver that logs to the logger.
type Factory func(log *zap.Logger) line.Driver

var factories = map[string]Factory{
	modem.Name: func(log *zap.Logger) line.Driver { return modem.New(modem.Options{Logger: log}) },
	isdn.Name:  func(log *zap.Logger) line.Driver { return isdn.New(modem.Options{Logger: log}) },
}

// Kinds maps the drivers' names to what checks a section of each, without opening anything, and tells the names of its lines.
func Kinds() map[string]func(line.Section) (lines []string, err error) {
	return map[string]func(line.Section) ([]string, error){modem.Name: linesOf(modem.Analog), isdn.Name: linesOf(isdn.Dialect)}
}

func linesOf(d *modem.Dialect) func(line.Section) ([]string, error) {
	return func(section line.Section) ([]string, error) {
		configs, err := modem.ParseSection(d, section)
		var lines []string
		for _, c := range configs {
			lines = append(lines, c.Name)
		}
		return lines, err
	}
}

// Names returns the names of the drivers, sorted.
func Names() []string {
	var names []string
	for name := range factories {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// New makes the driver of that name, to run in this process.
func New(name string, log *zap.Logger) (line.Driver, error) {
	f, ok := factories[name]
	if !ok {
		return nil, fmt.Errorf("there is no driver %q", name)
	}
	return f(log), nil
}

// DriverCommand is the command of the `pac` binary that serves a driver: `pac driver NAME`.
const DriverCommand = "driver"

// Serve is the life of a driver's process.
func Serve(name string) error {
	driver, err := New(name, lineplugin.ChildLogger())
	if err != nil {
		return err
	}
	lineplugin.Serve(driver)
	return nil
}

// Load starts this very binary as the process of a driver. section is the name of the driver's section, for logs.
func Load(ctx context.Context, name, section string, log *zap.Logger) (*lineplugin.Driver, error) {
	if _, ok := factories[name]; !ok {
		return nil, fmt.Errorf("there is no driver %q", name)
	}
	command, err := lineplugin.Self(section, DriverCommand, name)
	if err != nil {
		return nil, err
	}
	return lineplugin.Load(ctx, command, log)
}
