package pns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"trunkline.example/pns/dataplane"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/pptp"
	"trunkline.example/shared/pptp/control"
	"trunkline.example/shared/pptp/fsm"
	"trunkline.example/shared/record"
)

// CallRequest orders a call: to a site, as it is configured; or a PAC dials a number, and who answers is treated like a caller of that
// PAC: he has to authenticate himself as its policy says, and gets an address.
type CallRequest struct {
	Site       string `json:"site,omitempty"` // a configured site; the rest is not used then
	PAC        string `json:"pac,omitempty"`  // configured name of the PAC, or the Host Name it gave
	Number     string `json:"number,omitempty"`
	Subaddress string `json:"subaddress,omitempty"`
	MinimumBPS uint32 `json:"minimum_bps,omitempty"` // bit/s; 0: leastBPS
	MaximumBPS uint32 `json:"maximum_bps,omitempty"` // bit/s; 0: mostBPS
}

// CallResult is what became of an ordered call: up, with the session's number, or why not.
type CallResult struct {
	Session uint64  `json:"session"`
	Up      bool    `json:"up"`
	User    string  `json:"user,omitempty"`    // who has logged in; with a site, as whom we have
	Address string  `json:"address,omitempty"` // of the far end
	Own     string  `json:"own,omitempty"`     // ours, as a site knows it
	Speed   uint32  `json:"speed,omitempty"`   // bit/s, as the PAC says; 0: the line was never up
	Seconds float64 `json:"seconds"`           // from the order
	Reason  string  `json:"reason,omitempty"`
	Result  uint8   `json:"result,omitempty"` // Result Code of the Outgoing-Call-Reply (RFC 2637 section 2.8)
	Q931    uint16  `json:"q931,omitempty"`   // Cause Code beside it
}

const (
	leastBPS = 300
	mostBPS  = 100_000_000
)

// Call orders a call and waits until it is up or over; when ctx ends, it is given up. A PAC that is not connected, and a request that
// makes no sense, are errors; a call that fails is a result.
func (s *Server) Call(ctx context.Context, r CallRequest) (CallResult, error) {
	switch {
	case r.Site != "" && (r.PAC != "" || r.Number != ""):
		return CallResult{}, admin.Invalid("either a site is called, or a number through a PAC")
	case r.Site != "":
		return s.callSite(ctx, r.Site)
	case r.Number == "" || len(r.Number) > 64 || len(r.Subaddress) > 64:
		return CallResult{}, admin.Invalid("a number of 1 to 64 octets is needed, and a subaddress has at most 64")
	}
	c, err := s.connectionOf(ctx, r.PAC)
	if err != nil {
		return CallResult{}, err
	}
	return c.order(ctx, r)
}

// connectionOf returns a control connection that a PAC has opened, by its configured name or its Host Name: the one with the fewest calls,
// since a PAC may want one call on each.
func (s *Server) connectionOf(ctx context.Context, pac string) (*conn, error) {
	type candidate struct {
		conn  *conn
		calls int
	}
	through, err := onShards(ctx, s, func(shard *shard) []candidate {
		var found []candidate
		shard.each(func(c *conn) {
			if c.pac != nil && c.machine.Status() == fsm.StateEstablished && (c.pac.Name == pac || strings.EqualFold(c.machine.Peer().HostName, pac)) {
				found = append(found, candidate{c, c.calls.len()})
			}
		})
		return found
	})
	if err != nil {
		return nil, err
	}
	if len(through) == 0 {
		return nil, admin.NotFound("no configured PAC %q has a control connection", pac)
	}
	return slices.MinFunc(through, func(a, b candidate) int { return cmp.Compare(a.calls, b.calls) }).conn, nil
}

// order has the connection's shard place the call, and waits for what becomes of it.
func (c *conn) order(ctx context.Context, r CallRequest) (CallResult, error) {
	result, failed := make(chan CallResult, 1), make(chan error, 1)
	var placed *call
	if !c.shard.mail.post(func() {
		var err error
		if placed, err = c.place(c.shard.now, order{request: r, asked: result}); err != nil {
			failed <- err
		}
	}) {
		return CallResult{}, errStopping
	}
	select {
	case done := <-result:
		return done, nil
	case err := <-failed:
		return CallResult{}, err
	case <-ctx.Done():
		c.shard.mail.post(func() {
			if placed != nil && placed.asked != nil {
				placed.asked = nil
				placed.clear(c.shard.now, "whoever ordered the call has given it up")
			}
		})
		return CallResult{}, ctx.Err()
	}
}

// place sends the Outgoing-Call-Request. It runs on the shard.
func (c *conn) place(now time.Time, o order) (*call, error) {
	s, remote, r := c.shard.server, c.remote.Addr(), o.request
	if c.gone || c.machine.Status() != fsm.StateEstablished {
		return nil, errConnectionOver
	}
	if refusal := s.admission.call(remote, true); refusal != RefusedNone {
		return nil, fmt.Errorf("the call is not placed: %v", refusal)
	}
	request := control.OutgoingRequest{
		CallSerialNumber: uint16(s.nextSession.Load() + 1), MinimumBPS: max(r.MinimumBPS, leastBPS), MaximumBPS: r.MaximumBPS,
		Bearer: pptp.BearerAny, Framing: pptp.FramingEither, Window: dataplane.ReceiveWindow, PhoneNumber: r.Number, Subaddress: r.Subaddress,
	}
	if request.MaximumBPS == 0 {
		request.MaximumBPS = mostBPS
	}
	k, err := c.request(now, request, o)
	if err != nil {
		s.admission.callOpen(remote)
		s.admission.callGone()
		return nil, fmt.Errorf("the call is not placed: %w", err)
	}
	s.log.Info("call ordered", append(k.fields(), zap.String(logging.KeyDialed, r.Number))...)
	c.step(now)
	return k, nil
}

// errConnectionOver is why a call is not placed whose control connection has ended meanwhile.
var errConnectionOver = errors.New("the control connection has just ended")

// request makes the call that has been admitted.
func (c *conn) request(now time.Time, request control.OutgoingRequest, o order) (*call, error) {
	own, err := c.machine.RequestOutgoing(now, request)
	if err != nil {
		return nil, err
	}
	info, _ := c.machine.Call(own)
	k, err := c.begin(now, info, o.visit)
	if err == nil && o.visit != nil && !o.visit.begin(k) {
		err = errGivenUp
		k.forget()
	}
	if err != nil {
		_ = c.machine.ClearCall(now, own)
		c.step(now)
		return nil, err
	}
	k.asked = o.asked
	return k, nil
}

// clear ends a call in whatever state it is.
func (k *call) clear(now time.Time, why string) {
	k.operator = true
	k.intent = link.Reason{Code: link.CodeAdministrative, By: link.Here, Text: why}
	if err := k.conn.machine.ClearCall(now, k.own); err == nil {
		k.conn.step(now)
	}
}

// result is what has become of the call so far, or, with an ending, in the end.
func (k *call) result(over *control.Ending) CallResult {
	facts := k.session.Facts()
	r := CallResult{
		Session: k.id, Up: over == nil, User: facts.User, Address: record.AddressText(facts.PeerAddress), Speed: k.info.ConnectSpeed,
		Seconds: k.conn.shard.now.Sub(k.started).Seconds(),
	}
	if k.visit != nil {
		r.Own = record.AddressText(facts.LocalAddress)
	}
	if over != nil {
		if r.Reason = k.why.String(); over.Cause == control.CauseRefusedByPAC {
			r.Reason, r.Result, r.Q931 = over.String(), uint8(over.Outgoing), uint16(over.CauseCode)
		}
	}
	return r
}

// tellAsked tells who ordered the call that it is up, or, with an ending, that it is over.
func (k *call) tellAsked(over *control.Ending) {
	switch a := k.visit; {
	case a != nil && over == nil:
		a.site.succeeded(a, k.result(nil))
	case a != nil:
		a.site.over(a, k.result(over), endOf(k.why))
	}
	if k.asked != nil {
		k.asked <- k.result(over)
		k.asked = nil
	}
}
