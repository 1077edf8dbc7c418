// Package builtin names the drivers that ship inside the `pac` binary. Each can run in this process or, as `pac driver NAME`, in one of
// its own.
package builtin

import (
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

var dialects = map[string]*modem.Dialect{modem.Name: modem.Analog, isdn.Name: isdn.Dialect}

// Kinds maps the drivers' names to what checks a section of each, without opening anything, and tells the names of its lines.
func Kinds() map[string]func(line.Section) (lines []string, err error) {
	kinds := map[string]func(line.Section) ([]string, error){}
	for name, dialect := range dialects {
		kinds[name] = linesOf(dialect)
	}
	return kinds
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

// Command starts this very binary as the process of the driver of that name, which may open what the section's lines need.
func Command(name string, section line.Section) (lineplugin.Command, error) {
	dialect, ok := dialects[name]
	if !ok {
		return lineplugin.Command{}, fmt.Errorf("there is no driver %q", name)
	}
	files, err := modem.Files(dialect, section)
	if err != nil {
		return lineplugin.Command{}, err
	}
	command, err := lineplugin.Self(section.Name, DriverCommand, name)
	command.Confine, command.Files = true, files
	return command, err
}
