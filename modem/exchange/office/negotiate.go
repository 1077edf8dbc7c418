package office

import "trunkline.example/modem/exchange/hayes"

// negotiate returns what the two modems of a call agree on, caller's view
// first; false if they do not.
func (o *Office) negotiate(c *call) (links [2]hayes.Link, ok bool) {
	if o.digital(c) {
		return o.digitalLink(c)
	}
	a, b := o.cfg.Lines[c.Caller], o.cfg.Lines[c.Callee]
	oa, ob := o.modems[c.Caller].Offer(), o.modems[c.Callee].Offer()
	ec := !a.NoErrorControl && !b.NoErrorControl && oa.EC != hayes.ECOff && ob.EC != hayes.ECOff
	if !ec && (oa.EC == hayes.ECRequired || ob.EC == hayes.ECRequired) {
		return links, false
	}
	forward := slowest(a.Transmit, b.Receive, oa.MaxTransmit, ob.MaxReceive)
	backward := slowest(b.Transmit, a.Receive, ob.MaxTransmit, oa.MaxReceive)
	if below(forward, oa.MinTransmit) || below(forward, ob.MinReceive) || below(backward, ob.MinTransmit) || below(backward, oa.MinReceive) {
		return links, false
	}
	l := hayes.Link{
		Transmit: forward, Receive: backward, ErrorControl: ec, Compression: ec && oa.Compression && ob.Compression,
		Modulation: modulation(forward, backward),
	}
	links[0], links[1] = l, l
	links[1].Transmit, links[1].Receive = backward, forward
	return links, true
}

// digital says whether a call is between terminal adapters.
func (o *Office) digital(c *call) bool { return o.cfg.Lines[c.Caller].Digital() }

// digitalLink returns what two terminal adapters speak, which nobody negotiates:
// false if it is not the same.
func (o *Office) digitalLink(c *call) (links [2]hayes.Link, ok bool) {
	p, known := o.modems[c.Caller].Protocol()
	if other, _ := o.modems[c.Callee].Protocol(); !known || p != other {
		return links, false
	}
	l := hayes.Link{Transmit: p.Rate, Receive: p.Rate, ErrorControl: p.ErrorControl, Modulation: p.Name, Convert: p.Convert}
	return [2]hayes.Link{l, l}, true
}

// slowest returns the least of some speeds, where zero or less is no limit;
// zero if none of them is one.
func slowest(rates ...int) int {
	least := 0
	for _, r := range rates {
		if r > 0 && (least == 0 || r < least) {
			least = r
		}
	}
	return least
}

func below(rate, least int) bool { return rate > 0 && rate < least }

// modulation names what modems would use at such speeds.
func modulation(forward, backward int) string {
	if forward == 0 || backward == 0 {
		return fast
	}
	for _, m := range []struct {
		limit int
		name  string
	}{{300, "V21"}, {1200, "V22"}, {2400, "V22B"}, {14400, "V32B"}, {33600, "V34"}, {56000, "V90"}} {
		if max(forward, backward) <= m.limit {
			return m.name
		}
	}
	return fast
}

// fast is the modulation of lines faster than any modem: only the lab has it.
const fast = "FAST"
