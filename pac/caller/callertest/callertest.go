// Package callertest is the other end of a dial-in call in tests: a PPP server behind a fake line.
package callertest

import (
	"context"
	"net/netip"
	"time"

	"trunkline.example/shared/hdlc"
	"trunkline.example/shared/line/linetest"
	"trunkline.example/shared/ppp/auth"
	"trunkline.example/shared/ppp/ccp"
	"trunkline.example/shared/ppp/link"
	"trunkline.example/shared/ppp/peer"
)

// Password is that of every user.
const Password = "secret"

// Answerer serves the calls of one line: MS-CHAPv2, MPPE, 10.0.0.1 for itself and 10.0.0.2 for the caller.
type Answerer struct {
	Far  *linetest.FakeLine
	User string // who called last, as he has said
}

// Serve serves one call after the other until ctx ends.
func (a *Answerer) Serve(ctx context.Context) {
	for a.Far.Connected(ctx) == nil {
		a.Far.Hold() // no next call before we have noticed that this one is over
		a.call(ctx)
		a.Far.Release()
	}
}

// call serves one call until it ends.
func (a *Answerer) call(ctx context.Context) {
	host := peer.New(time.Now(), peer.Config{Link: link.Config{
		Side: link.Server, Name: "server", Async: true, Authentication: []auth.Protocol{auth.MSCHAPv2}, Encryption: ccp.Required,
		LocalAddress: netip.MustParseAddr("10.0.0.1"), PeerAddress: netip.MustParseAddr("10.0.0.2"), Seed: [32]byte{2},
	}})
	d, f := hdlc.NewDeframer(0), hdlc.NewFramer()
	host.Up(time.Now())
	for ctx.Err() == nil {
		for _, action := range host.Actions() {
			switch action := action.(type) {
			case peer.Send:
				_ = a.Far.Send(ctx, f.Append(time.Now(), nil, action.Frame))
			case peer.Event:
				switch event := action.Link.(type) {
				case link.Authenticate:
					a.User = event.Attempt.User
					host.Authenticated(time.Now(), auth.Verify(event.Attempt, auth.PlainSecret(Password)))
				case link.LinkUp:
					f.SetSendACCM(event.SendACCM)
					d.SetReceiveACCM(event.ReceiveACCM)
				}
			}
		}
		octet, err := a.receive(ctx, host.Deadline())
		if err != nil {
			return
		}
		if frame, _ := d.Next(octet); frame != nil {
			host.Receive(time.Now(), frame, 0)
		}
		host.Tick(time.Now())
	}
}

// receive waits for an octet, but not beyond a deadline unless that is zero; it returns none then.
func (a *Answerer) receive(ctx context.Context, deadline time.Time) ([]byte, error) {
	until, cancel := ctx, func() {}
	if !deadline.IsZero() {
		until, cancel = context.WithDeadline(ctx, deadline)
	}
	defer cancel()
	octet, err := a.Far.Receive(until, 1)
	if err != nil && until.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return octet, err
}
