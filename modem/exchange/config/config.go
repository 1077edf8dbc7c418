// Package config reads the description of a whole telephone exchange from TOML;
// etc/exchange.toml in the sources shows every key.
package config

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"net"
	"os"
	"path"
	"strings"
	"time"

	"trunkline.example/modem/exchange"
	"trunkline.example/modem/exchange/circuit"
	"trunkline.example/modem/exchange/hayes"
	"trunkline.example/modem/exchange/office"
	"trunkline.example/modem/exchange/plan"
	"trunkline.example/shared/conf"
)

// DefaultDir is where the exchange's ports are unless told otherwise.
const DefaultDir = "/run/trunkline/lines"

// MostLines bounds the lines of an exchange.
const MostLines = 2000

const defaultRate = office.DefaultRate

// Load reads and validates a file. Errors in the text are conf.Errors: each
// names file, line, column and key.
func Load(file string) (exchange.Config, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return exchange.Config{}, err
	}
	return Parse(file, data)
}

// Parse is Load for a document in memory; file only serves the error texts.
func Parse(file string, data []byte) (exchange.Config, error) {
	document, err := conf.Parse(file, data)
	if err != nil {
		return exchange.Config{}, err
	}
	r := defaults()
	if err := document.Decode(&r); err != nil {
		return exchange.Config{}, err
	}
	b := builder{document: document, profiles: map[string]office.Profile{}, names: map[string]bool{}}
	c := b.exchange(r)
	if len(b.errors) > 0 {
		return exchange.Config{}, b.errors
	}
	if _, err := exchange.New(c); err != nil { // what only the whole shows, as two lines with one number
		return exchange.Config{}, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// Seed makes a seed of a text; the empty one gives the zero seed, which means a
// random one.
func Seed(text string) (s [32]byte) {
	if text != "" {
		s = sha256.Sum256([]byte(text))
	}
	return s
}

// builder makes a configuration of a document and gathers what is wrong with it.
type builder struct {
	document *conf.Document
	profiles map[string]office.Profile // the document's own
	names    map[string]bool           // of lines
	order    []string                  // of lines
	errors   conf.Errors
}

func (b *builder) fail(key, format string, args ...any) {
	b.errors = append(b.errors, b.document.Errorf(key, format, args...))
}

func (b *builder) exchange(r raw) exchange.Config {
	c := exchange.Config{Dir: r.Dir, Ports: map[string]exchange.PortConfig{}}
	if !path.IsAbs(r.Dir) {
		b.fail("dir", "%q is not an absolute path", r.Dir)
	}
	o := &c.Office
	o.Seed, o.Busy, o.NoAnswer, o.Reorder, o.Latency = Seed(r.Seed), r.Busy, r.NoAnswer, r.Reorder, r.Latency.Duration
	b.rate("training.failures", r.Training.Failures)
	b.rate("training.spread", r.Training.Spread)
	o.Training = office.Training{Time: orNone(r.Training.Time.Duration), Spread: r.Training.Spread, FailureRate: r.Training.Failures,
		Digital: orNone(r.Training.Digital.Duration)}
	if o.Training.Spread == 0 {
		o.Training.Spread = -1
	}
	o.Timing = b.timing(r.Timing)
	for i, m := range r.Impairments {
		b.impairment(fmt.Sprintf("impairment[%d]", i), m)
	}
	if len(r.Lines) == 0 {
		b.fail("line", "there is no [[line]]")
	}
	for i, l := range r.Lines {
		b.lines(&c, fmt.Sprintf("line[%d]", i), l)
	}
	for i, h := range r.Hunts {
		o.Hunts = append(o.Hunts, office.Hunt{Number: h.Number, Lines: b.match(fmt.Sprintf("hunt[%d]", i), h.Lines)})
	}
	for i, l := range r.Listeners {
		c.Listeners = append(c.Listeners, b.listener(fmt.Sprintf("listener[%d]", i), l))
	}
	return c
}

// listener checks a listener.
func (b *builder) listener(key string, r rawListener) exchange.Listener {
	if _, _, err := net.SplitHostPort(r.Address); err != nil && !path.IsAbs(r.Address) {
		b.fail(key+".address", "%q is neither HOST:PORT nor the absolute path of a Unix socket", r.Address)
	}
	protocol, known := exchange.ParseProtocol(r.Protocol)
	if !known {
		b.fail(key+".protocol", "%q is none of \"raw\", \"telnet\", \"rfc2217\", \"websocket\"", r.Protocol)
	}
	if len(r.Lines) == 0 {
		b.fail(key+".lines", "a listener needs lines")
	}
	for i, origin := range r.Origins {
		if _, err := path.Match(origin, ""); err != nil {
			b.fail(fmt.Sprintf("%s.origins[%d]", key, i), "%q is not a pattern", origin)
		}
	}
	if r.Dial != plan.Digits(r.Dial) {
		b.fail(key+".dial", "%q is not a number to dial", r.Dial)
	}
	return exchange.Listener{Address: r.Address, Protocol: protocol, Lines: b.match(key, r.Lines), Dial: r.Dial,
		Carrier: b.carrier(key, r.Carrier), Origins: r.Origins}
}

// carrier finds a policy by its name.
func (b *builder) carrier(key, name string) exchange.CarrierPolicy {
	policy, known := carriers[name]
	if !known {
		b.fail(key+".carrier", "%q is none of \"auto\", \"text\", \"always\"", name)
	}
	return policy
}

// orNone turns a time of zero into the negative one that means none to the
// office.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// rate checks a probability.
func (b *builder) rate(key string, p float64) {
	if !(p >= 0 && p <= 1) {
		b.fail(key, "%v is not between 0 and 1", p)
	}
}

func (b *builder) timing(t rawTiming) plan.Timing {
	for _, d := range []struct {
		key   string
		value conf.Duration
	}{{"setup", t.Setup}, {"ring_every", t.RingEvery}, {"ring_limit", t.RingLimit}, {"intercept", t.Intercept}, {"no_dial_tone", t.NoDialTone}} {
		if d.value.Duration < time.Millisecond {
			b.fail("timing."+d.key, "%v is too short", d.value)
		}
	}
	return plan.Timing{Setup: t.Setup.Duration, RingEvery: t.RingEvery.Duration, RingLimit: t.RingLimit.Duration,
		Intercept: t.Intercept.Duration, NoDialTone: t.NoDialTone.Duration}
}

// speed checks bits per second of a telephone line; 0 is allowed where it means
// something.
func (b *builder) speed(key string, bps, least int) {
	if bps != office.Unlimited && (bps < least || bps > 1<<30) {
		b.fail(key, "%d is no speed of a line: write bits per second, or -1 for no limit", bps)
	}
}

// impairment defines a profile.
func (b *builder) impairment(key string, r rawImpairment) {
	_, builtIn := office.NamedProfile(r.Name)
	_, again := b.profiles[r.Name]
	switch {
	case r.Name == "":
		b.fail(key+".name", "missing")
	case builtIn:
		b.fail(key+".name", "%q is built in", r.Name)
	case again:
		b.fail(key+".name", "%q is used twice", r.Name)
	}
	b.speed(key+".transmit", r.Transmit, 0)
	b.speed(key+".receive", r.Receive, 0)
	b.rate(key+".training_failures", r.TrainingFailures)
	if r.ConnectNoise < 0 || r.ConnectNoise > 65536 {
		b.fail(key+".connect_noise", "%d is not between 0 and 65536", r.ConnectNoise)
	}
	b.profiles[r.Name] = office.Profile{
		Transmit: r.Transmit, Receive: r.Receive, Latency: r.Latency.Duration, NoErrorControl: !r.ErrorControl,
		Trouble: office.Trouble{
			Receives: b.damage(key+".receives", r.Receives), Sends: b.damage(key+".sends", r.Sends),
			RetrainEvery: r.RetrainEvery.Duration, RetrainTime: r.RetrainTime.Duration, DropEvery: r.DropEvery.Duration,
			ConnectNoise: r.ConnectNoise, TrainingFailures: r.TrainingFailures,
		},
	}
}

func (b *builder) damage(key string, r rawDamage) circuit.Impairment {
	b.rate(key+".bit_error_rate", r.BitErrorRate)
	b.rate(key+".drop_rate", r.DropRate)
	b.rate(key+".frame_error_rate", r.FrameErrorRate)
	b.rate(key+".frame_abort_rate", r.FrameAbortRate)
	if r.Burst < 0 {
		b.fail(key+".burst", "%d is negative", r.Burst)
	}
	return circuit.Impairment{BitErrorRate: r.BitErrorRate, Burst: r.Burst, DropRate: r.DropRate, FrameErrorRate: r.FrameErrorRate,
		FrameAbortRate: r.FrameAbortRate, PassErrorControl: r.PassErrorControl}
}

var carriers = map[string]exchange.CarrierPolicy{"auto": exchange.CarrierAuto, "text": exchange.CarrierText, "always": exchange.CarrierAlways}

// lines adds a line, or a group of lines whose names and numbers count up.
func (b *builder) lines(c *exchange.Config, key string, r rawLine) {
	if r.Name == "" || strings.ContainsAny(r.Name, "/ \t\n") || strings.HasPrefix(r.Name, ".") {
		b.fail(key+".name", "%q cannot be the name of a port", r.Name)
		return
	}
	if r.Count < 0 || len(b.order)+r.Count > MostLines {
		b.fail(key+".count", "there can be at most %d lines", MostLines)
		return
	}
	first, isNumber := new(big.Int).SetString(r.Number, 10)
	if !isNumber || plan.Digits(r.Number) != r.Number {
		b.fail(key+".number", "%q is not a telephone number: write digits only", r.Number)
		return
	}
	b.speed(key+".transmit", r.Transmit, 1)
	b.speed(key+".receive", r.Receive, 1)
	policy := b.carrier(key, r.Carrier)
	adapter, known := hayes.AdapterNamed(r.Adapter)
	if !known {
		b.fail(key+".adapter", "%q is none of %s", r.Adapter, strings.Join(hayes.AdapterNames(), ", "))
	}
	if len(r.Numbers) > 0 && (adapter == hayes.NoAdapter || r.Count > 0) {
		b.fail(key+".numbers", "only a single line with a terminal adapter has further numbers")
	}
	profile := b.profile(key, r.Impairment)
	for i := range max(r.Count, 1) {
		l := office.Line{
			Name: r.Name, Number: fmt.Sprintf("%0*d", len(r.Number), new(big.Int).Add(first, big.NewInt(int64(i)))), Subscriber: r.Subscriber,
			Withhold: r.Withhold, CallWaiting: r.CallWaiting,
			Transmit: r.Transmit, Receive: r.Receive, NoErrorControl: !r.ErrorControl, Latency: r.Latency.Duration,
		}
		if r.Count > 0 {
			l.Name = fmt.Sprintf("%s%d", r.Name, i+1)
		}
		l.Modem.Strict, l.Modem.Adapter, l.Numbers = r.Strict, adapter, r.Numbers
		l.Become(profile)
		if b.names[l.Name] {
			b.fail(key+".name", "line %q exists twice", l.Name)
			return
		}
		b.names[l.Name], b.order = true, append(b.order, l.Name)
		c.Office.Lines = append(c.Office.Lines, l)
		c.Ports[l.Name] = exchange.PortConfig{NoTerminal: !r.Terminal, NoSocket: !r.Socket, Carrier: policy}
	}
}

// profile finds an impairment by its name.
func (b *builder) profile(key, name string) office.Profile {
	if p, own := b.profiles[name]; own {
		return p
	}
	p, known := office.NamedProfile(name)
	if !known {
		b.fail(key+".impairment", "there is no impairment %q; built in are %s", name, strings.Join(office.ProfileNames(), ", "))
	}
	return p
}

// match returns the lines that patterns name.
func (b *builder) match(key string, patterns []string) (lines []string) {
	for i, p := range patterns {
		found := false
		for _, name := range b.order {
			if ok, err := path.Match(p, name); err == nil && ok {
				found, lines = true, append(lines, name)
			}
		}
		if !found {
			b.fail(fmt.Sprintf("%s.lines[%d]", key, i), "there is no line %q", p)
		}
	}
	return lines
}
