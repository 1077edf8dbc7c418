package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"trunkline.example/shared/conf"
	"trunkline.example/shared/conf/tables"
	"trunkline.example/shared/line"
)

// DefaultFile is where `pac` looks when no file is named.
const DefaultFile = "/etc/trunkline/pac.toml"

// Kinds are the drivers there are, by name, with what checks a section of each and tells the names of its lines.
type Kinds map[string]func(line.Section) (lines []string, err error)

// Load reads and validates a file. Errors in the text are conf.Errors: each names file, line, column and key.
func Load(file string, kinds Kinds) (Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Config{}, err
	}
	return Parse(file, data, kinds)
}

// Parse is Load for a document in memory.
func Parse(file string, data []byte, kinds Kinds) (Config, error) {
	document, err := conf.Parse(file, data)
	if err != nil {
		return Config{}, err
	}
	r := defaults()
	if err := document.Decode(&r); err != nil {
		return Config{}, err
	}
	c := checker{document: document, file: file, data: data, kinds: kinds, lines: map[string]string{}}
	config := c.config(r)
	if len(c.errors) > 0 {
		return Config{}, c.errors
	}
	return config, nil
}

func duration(d time.Duration) conf.Duration { return conf.Duration{Duration: d} }

// defaults are the values of keys that a document leaves out.
func defaults() raw {
	host, err := os.Hostname()
	if err != nil {
		host = "pac"
	}
	return raw{
		Name: host, Refused: RefusedRingOut,
		Admin: tables.DefaultAdmin("pac"), Records: tables.DefaultRecords("pac"), Log: tables.DefaultLog(),
		Dialout:  rawDialout{Allow: []string{}, Deny: []string{}, Lines: []string{}, CallsPerHour: 60, State: "/var/lib/trunkline-pac/dialled"},
		SelfTest: defaultSelfTest(),
		Timers: rawTimers{
			Reply: duration(3 * time.Second), Connect: duration(90 * time.Second), Hangup: duration(30 * time.Second),
			Echo: duration(60 * time.Second), WANErrors: duration(60 * time.Second),
			Reconnect: duration(time.Second), Shutdown: duration(10 * time.Second),
		},
	}
}

// checker validates what decoding alone cannot, and collects everything that is wrong.
type checker struct {
	document *conf.Document
	file     string
	data     []byte
	kinds    Kinds
	lines    map[string]string // names, and which driver's
	unknown  bool              // there are others, for a driver's section is wrong
	errors   conf.Errors
}

func (c *checker) fail(key, format string, args ...any) {
	c.errors = append(c.errors, c.document.Errorf(key, format, args...))
}

func (c *checker) config(r raw) Config {
	out := Config{
		Name: r.Name, Refused: r.Refused, Admin: r.Admin, Records: r.Records, Log: r.Log,
		Timers: Timers{
			Reply: r.Timers.Reply.Duration, Connect: r.Timers.Connect.Duration, Hangup: r.Timers.Hangup.Duration,
			Echo: r.Timers.Echo.Duration, WANErrors: r.Timers.WANErrors.Duration,
			Reconnect: r.Timers.Reconnect.Duration, Shutdown: r.Timers.Shutdown.Duration, Report: r.Timers.Report.Duration,
		},
	}
	c.scalars(r)
	out.PNS = c.networkServers(r.PNS)
	out.Drivers = c.drivers(r.Driver)
	out.Hunts = c.hunts(r.Hunt)
	out.Routes = c.routes(r.Route, out)
	out.Dialout = c.dialout(r.Dialout)
	out.SelfTest = c.selfTest(r.SelfTest)
	return out
}

// mostReport is the longest Timers.Report.
const mostReport = 10 * time.Second

func (c *checker) scalars(r raw) {
	if r.Name == "" || len(r.Name) > 64 || !printable(r.Name) {
		c.fail("name", "must have 1 to 64 octets and no control characters: it is the Host Name of the control connection")
	}
	if r.Refused != RefusedRingOut && r.Refused != RefusedBusy {
		c.fail("refused", "%q is neither %q nor %q", r.Refused, RefusedRingOut, RefusedBusy)
	}
	r.Admin.Check(c.fail)
	r.Log.Check(c.fail)
	for _, t := range []struct {
		key   string
		value conf.Duration
		least time.Duration
	}{
		{"timers.reply", r.Timers.Reply, 100 * time.Millisecond}, {"timers.connect", r.Timers.Connect, time.Second},
		{"timers.hangup", r.Timers.Hangup, time.Second}, {"timers.echo", r.Timers.Echo, time.Second},
		{"timers.wan_errors", r.Timers.WANErrors, time.Second}, {"timers.reconnect", r.Timers.Reconnect, 10 * time.Millisecond},
		{"timers.shutdown", r.Timers.Shutdown, 0}, {"timers.report", r.Timers.Report, 0},
	} {
		if t.value.Duration < t.least {
			c.fail(t.key, "%v is too short: at least %v", t.value, t.least)
		}
	}
	if r.Timers.Report.Duration > mostReport {
		c.fail("timers.report", "%v is too long: at most %v, for so long the network server takes the call for one that goes on", r.Timers.Report, mostReport)
	}
}

func (c *checker) networkServers(raws []rawPNS) []PNS {
	var out []PNS
	names := map[string]bool{}
	for i, r := range raws {
		key := fmt.Sprintf("pns[%d]", i)
		c.name(key, r.Name, names)
		switch {
		case !r.Address.IsValid():
			c.fail(key+".address", "missing: the PNS's IP address and port, as in \"192.0.2.1:1723\" or \"[2001:db8::1]:1723\"")
		case conf.CheckHost(r.Address.Addr()) != nil:
			c.fail(key+".address", "%w", conf.CheckHost(r.Address.Addr()))
		case r.Address.Port() == 0:
			c.fail(key+".address", "port 0")
		case r.Local.IsValid() && conf.CheckHost(r.Local.Addr) != nil:
			c.fail(key+".local", "%w", conf.CheckHost(r.Local.Addr))
		case r.Local.IsValid() && r.Local.BitLen() != r.Address.Addr().BitLen():
			c.fail(key+".local", "%v and the PNS's address, %v, are not both IPv4 or both IPv6", r.Local, r.Address.Addr())
		case r.Local.IsValid() && r.Local.Addr == r.Address.Addr():
			c.fail(key+".local", "is the PNS's own address: a PAC and a PNS on one host need different addresses, for each would see the other's GRE")
		}
		weight := 1
		if r.Weight != nil {
			weight = *r.Weight
		}
		if weight < 1 || weight > MaxWeight {
			c.fail(key+".weight", "%d is not between 1 and %d; a PNS that shall get no calls is left out of the routes", weight, MaxWeight)
		}
		if r.Connection != "" && r.Connection != ConnectionShared && r.Connection != ConnectionPerCall {
			c.fail(key+".connection", "%q is neither %q nor %q", r.Connection, ConnectionShared, ConnectionPerCall)
		}
		out = append(out, PNS{Name: r.Name, Address: r.Address.AddrPort, Local: r.Local.Addr, Weight: weight, PerCall: r.Connection == ConnectionPerCall})
	}
	return out
}

// printable says whether a name can be shown as it is.
func printable(name string) bool { return strings.IndexFunc(name, unicode.IsControl) < 0 }

// name checks that an element has a name that no other has.
func (c *checker) name(key, name string, seen map[string]bool) {
	switch {
	case name == "":
		c.fail(key+".name", "missing")
	case !printable(name):
		c.fail(key+".name", "%q has control characters", name)
	case seen[name]:
		c.fail(key+".name", "%q is used twice", name)
	}
	seen[name] = true
}

func (c *checker) drivers(raws []rawDriver) []Driver {
	var out []Driver
	names := map[string]bool{}
	for i, r := range raws {
		key := fmt.Sprintf("driver[%d]", i)
		c.name(key, r.Name, names)
		d := Driver{
			Name: r.Name, Kind: r.Kind, Process: r.Process == nil || *r.Process, Command: r.Command, Paths: r.Paths,
			// Cut out of the text, so that the driver can tell lines and columns of the file.
			Section: line.Section{Name: r.Name, File: c.file, Text: conf.Extract(c.data, key+".options")},
			Options: r.Options.Values,
		}
		d.Confine = d.Process && (r.Confine == nil || *r.Confine)
		c.confinement(key, d, r)
		c.options(key, d, r.Options)
		out = append(out, d)
	}
	return out
}

// options checks a driver's own part and notes its lines.
func (c *checker) options(key string, d Driver, options conf.Section) {
	known := len(c.errors)
	check, ok := c.kinds[d.Kind]
	switch {
	case len(d.Command) > 0:
		check = c.command(key, d, ok)
	case !ok:
		c.fail(key+".kind", "%q is no driver that ships with pac; those are: %s; for another one, set command", d.Kind, strings.Join(slices.Sorted(maps.Keys(c.kinds)), ", "))
	}
	key += ".options"
	if cut, err := conf.Parse(c.file, d.Section.Text); err != nil || !cut.Same(options.Values) {
		c.fail(key, "must be written as tables with headers, as in [driver.options] and [[driver.options.line]], not within others")
	}
	if c.unknown = c.unknown || len(c.errors) > known; len(c.errors) > known {
		return
	}
	lines, err := check(d.Section)
	if err != nil {
		c.unknown = true
		c.driverErrors(key, err)
	}
	for _, name := range lines {
		if other, twice := c.lines[name]; twice {
			c.fail(key, "line %q exists twice: in driver %q and in driver %q", name, other, d.Name)
		}
		c.lines[name] = d.Name
	}
}

// confinement checks what is said of the files that a driver may open.
func (c *checker) confinement(key string, d Driver, r rawDriver) {
	if r.Confine != nil && *r.Confine && !d.Process {
		c.fail(key+".confine", "only a driver in a process of its own can be kept from files")
	}
	if len(d.Paths) > 0 && !d.Confine {
		c.fail(key+".paths", "a driver that is not confined can open these, as it can all others")
	}
	for i, p := range d.Paths {
		if !filepath.IsAbs(p) {
			c.fail(fmt.Sprintf("%s.paths[%d]", key, i), "%q is no absolute path", p)
		}
	}
}

// command checks a driver that is an executable of somebody else. What stands in its options only the driver knows.
func (c *checker) command(key string, d Driver, ships bool) func(line.Section) ([]string, error) {
	switch {
	case !filepath.IsAbs(d.Command[0]):
		c.fail(key+".command", "the executable needs an absolute path, not %q", d.Command[0])
	case d.Kind == "":
		c.fail(key+".kind", "missing: the name by which the driver of that command goes")
	case ships:
		c.fail(key+".command", "driver %q ships with pac and needs no command; call the other one by its own name", d.Kind)
	case !d.Process:
		c.fail(key+".process", "a driver with a command of its own runs in a process of its own")
	}
	return func(line.Section) ([]string, error) {
		c.unknown = true // which lines there are
		return nil, nil
	}
}

// driverErrors takes over what a driver finds wrong, one error per line; most name their place in the file themselves.
func (c *checker) driverErrors(key string, err error) {
	_, text := line.CodeOf(err)
	for _, one := range strings.Split(text, "\n") {
		if rest, ok := strings.CutPrefix(one, c.file+":"); ok && strings.IndexAny(rest, "123456789") == 0 {
			c.errors = append(c.errors, &conf.Error{Err: errors.New(one)})
		} else {
			c.fail(key, "%s", strings.TrimSpace(strings.TrimPrefix(one, c.file+":")))
		}
	}
}

func (c *checker) hunts(raws []rawHunt) []Hunt {
	var out []Hunt
	names := map[string]bool{}
	for i, r := range raws {
		key := fmt.Sprintf("hunt[%d]", i)
		c.name(key, r.Name, names)
		if len(r.Lines) == 0 {
			c.fail(key+".lines", "a hunt group needs lines: names or patterns, as in [\"bank1/*\"]")
		}
		for j, pattern := range r.Lines {
			c.linePattern(fmt.Sprintf("%s.lines[%d]", key, j), pattern)
		}
		out = append(out, Hunt(r))
	}
	return out
}

func (c *checker) pattern(key, pattern string) bool {
	_, err := path.Match(pattern, "")
	if err != nil {
		c.fail(key, "%q is not a pattern: %w", pattern, err)
	}
	return err == nil
}

// linePattern checks a pattern that must match some line.
func (c *checker) linePattern(key, pattern string) {
	matches := func(name string) bool { ok, _ := path.Match(pattern, name); return ok }
	if c.pattern(key, pattern) && !c.unknown && !slices.ContainsFunc(slices.Collect(maps.Keys(c.lines)), matches) {
		c.fail(key, "there is no line %q", pattern)
	}
}

func (c *checker) routes(raws []rawRoute, config Config) []Route {
	var out []Route
	for i, r := range raws {
		key := fmt.Sprintf("route[%d]", i)
		c.pattern(key+".called", r.Called)
		c.pattern(key+".caller", r.Caller)
		if r.Line != "" {
			c.linePattern(key+".line", r.Line)
		}
		if r.Hunt != "" && !slices.ContainsFunc(config.Hunts, func(h Hunt) bool { return h.Name == r.Hunt }) {
			c.fail(key+".hunt", "there is no hunt group %q", r.Hunt)
		}
		switch {
		case r.Refuse && len(r.PNS) > 0:
			c.fail(key+".pns", "a route either refuses or names PNSes, not both")
		case !r.Refuse && len(r.PNS) == 0:
			c.fail(key+".pns", "missing: names of PNSes in the order to try, or refuse = true")
		}
		for j, name := range r.PNS {
			if !slices.ContainsFunc(config.PNS, func(p PNS) bool { return p.Name == name }) {
				c.fail(fmt.Sprintf("%s.pns[%d]", key, j), "there is no PNS %q", name)
			}
		}
		out = append(out, Route{
			Called: r.Called, Caller: r.Caller, Line: r.Line, Hunt: r.Hunt, Hours: r.Hours, Withheld: r.Withheld, PNS: r.PNS, Refuse: r.Refuse,
			Order: c.order(key+".order", r.Order),
		})
	}
	if len(raws) == 0 {
		// One PNS and no routes leave nothing to decide.
		var all []string
		for _, p := range config.PNS {
			all = append(all, p.Name)
		}
		out = append(out, Route{PNS: all, Order: OrderListed})
	}
	return out
}

// order checks the order of a route's PNSes.
func (c *checker) order(key, text string) Order {
	switch o := Order(text); o {
	case "":
		return OrderListed
	case OrderListed, OrderLoad:
		return o
	}
	c.fail(key, "%q is neither %q nor %q", text, OrderListed, OrderLoad)
	return OrderListed
}
