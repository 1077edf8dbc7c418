package modem

import (
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"trunkline.example/shared/line"
)

// protocolFor is what is spoken on the B channel in a call that came in for a number: that of the longest number with which it ends, or else of the one
// number of which it is the end, or the line's own.
func (c *Config) protocolFor(called string) string {
	if called == "" {
		return c.Protocol
	}
	best, whole, cut := 0, "", map[string]bool{}
	for number, protocol := range c.Protocols {
		switch {
		case strings.HasSuffix(called, number):
			if len(number) > best {
				best, whole = len(number), protocol
			}
		case strings.HasSuffix(number, called):
			cut[protocol] = true
		}
	}
	if best > 0 {
		return whole
	}
	if len(cut) == 1 {
		for protocol := range cut {
			return protocol
		}
	}
	return c.Protocol
}

// protocolTo is what is spoken in an outgoing call: an adapter makes analog calls by its modem.
func (c *Config) protocolTo(bearer line.Bearer) string {
	if bearer == line.BearerAnalog && c.Dialect.Bearers&line.BearerAnalog == 0 {
		return "modem"
	}
	return c.Protocol
}

// speak has the equipment speak a protocol in the call that is about to begin. Another one than the line's is over with the call: the equipment is
// reset then.
func (o *owner) speak(protocol string) error {
	o.protocol = protocol
	if protocol == o.config.Protocol {
		return nil
	}
	o.altered = true
	ok, err := o.firstOf(o.profile.Select(protocol))
	if err == nil && !ok {
		return fmt.Errorf("%w: its profile is %s, which refuses %s or has no command for it", errProtocol, o.profile.Name, protocol)
	}
	return err
}

// errProtocol: the equipment cannot speak what a call needs.
var errProtocol = errors.New("no such protocol")

// unspoken is the result of a call whose protocol could not be set.
func (o *owner) unspoken(err error) result {
	if !errors.Is(err, errProtocol) {
		return o.failed(err)
	}
	o.log.Warn("the protocol for a call is not set", zap.Error(err))
	return result{cause: line.Cause{Code: line.CauseNotSupported, Text: err.Error()}}
}
