package lineplugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"trunkline.example/plugins/lineplugin/linepb"
	"trunkline.example/shared/line"
)

// client is the host's side of one connection to one driver process: from Hello to the loss of the connection.
type client struct {
	rpc  linepb.LineDriverClient
	info line.Info
	out  *batcher
	// transport is what rpc goes over, if the connection is ours to close without ending the driver.
	transport io.Closer

	ctx    context.Context // ends with the connection
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	lines []*proxy // by index
}

const (
	helloLimit = 10 * time.Second // for a driver to say who it is
	openLimit  = 30 * time.Second // for it to open its lines: it waits for no device
)

// errOtherSection: the driver has the lines of another section open.
var errOtherSection = fmt.Errorf("%w: it has other lines open", line.ErrDriver)

// newClient asks the driver who it is.
func newClient(ctx context.Context, conn grpc.ClientConnInterface) (*client, error) {
	c := &client{rpc: linepb.NewLineDriverClient(conn), out: newBatcher()}
	limit, cancel := context.WithTimeout(ctx, helloLimit)
	defer cancel()
	hello, err := c.rpc.Hello(limit, &linepb.HelloRequest{Contract: line.ContractVersion})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", line.ErrDriver, err)
	}
	if hello.GetContract() != line.ContractVersion {
		return nil, fmt.Errorf("%w: it speaks version %d of the line contract, not %d", line.ErrDriver, hello.GetContract(), line.ContractVersion)
	}
	c.info = infoFromPB(hello)
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c, nil
}

// open has the driver open its lines. For each, adopt returns the proxy that stands for it; a nil one is refused.
func (c *client) open(ctx context.Context, section line.Section, adopt func(line.Identity) *proxy) error {
	limit, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	reply, err := c.rpc.Open(limit, &linepb.OpenRequest{Name: section.Name, File: section.File, Line: uint32(section.Line), Text: section.Text})
	switch {
	case status.Code(err) == codes.AlreadyExists:
		return errOtherSection
	case err != nil:
		return fmt.Errorf("%w: its lines were not opened: %w", line.ErrDriver, err)
	}
	if err := errorFromPB(reply.GetError()); err != nil {
		return err
	}
	c.mu.Lock()
	for i, identity := range reply.GetLines() {
		p := adopt(identityFromPB(identity))
		c.lines = append(c.lines, p)
		if p != nil {
			p.attach(c, uint32(i))
		}
	}
	c.mu.Unlock()
	c.wg.Go(c.data)
	for i, p := range c.lines {
		if p != nil {
			c.wg.Go(func() { c.events(uint32(i), p) })
		}
	}
	return nil
}

// close gives the connection up and waits until nothing of it runs any more. Every line learns that its driver is gone.
func (c *client) close(why error) {
	c.cancel(why)
	c.wg.Wait()
	for _, p := range c.lines {
		if p != nil {
			p.detach(c)
		}
	}
}

// events passes a line's events on until its last one.
func (c *client) events(index uint32, p *proxy) {
	stream, err := c.rpc.Events(c.ctx, &linepb.EventsRequest{Line: index})
	for err == nil {
		var e *linepb.Event
		if e, err = stream.Recv(); err != nil {
			break
		}
		var event line.Event
		if event, err = eventFromPB(e); err == nil {
			p.event(c, event)
		}
	}
	if !p.closed() {
		c.cancel(fmt.Errorf("%w: event stream: %w", line.ErrDriver, err))
	}
}

// data joins the data stream with the proxies.
func (c *client) data() {
	stream, err := c.rpc.Data(c.ctx)
	if err != nil {
		c.cancel(fmt.Errorf("%w: data stream: %w", line.ErrDriver, err))
		return
	}
	c.wg.Go(func() {
		if err := c.out.run(c.ctx.Done(), stream.Send); err != nil {
			c.cancel(fmt.Errorf("%w: data stream: %w", line.ErrDriver, err))
		}
		_ = stream.CloseSend()
	})
	for {
		batch, err := stream.Recv()
		if err != nil {
			c.cancel(fmt.Errorf("%w: data stream: %w", line.ErrDriver, err))
			return
		}
		for _, d := range batch.GetData() {
			if p := c.find(d.GetLine()); p != nil {
				p.data(d)
			}
		}
	}
}

func (c *client) find(index uint32) *proxy {
	c.mu.Lock()
	defer c.mu.Unlock()
	if int(index) >= len(c.lines) {
		return nil
	}
	return c.lines[index]
}

// command gives a line a command.
func (c *client) command(ctx context.Context, r *linepb.CommandRequest) (uint64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(c.ctx, func() { cancel(line.ErrDriver) })
	defer stop()
	reply, err := c.rpc.Command(ctx, r)
	switch {
	case err == nil:
		return reply.GetCall(), errorFromPB(reply.GetError())
	case c.ctx.Err() != nil:
		return 0, line.ErrDriver
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case status.Code(err) == codes.DeadlineExceeded: // the driver's clock of the same deadline went off first
		return 0, context.DeadlineExceeded
	}
	return 0, fmt.Errorf("%w: %w", line.ErrDriver, err)
}

// heartbeat asks for a sign of life at intervals, until the connection is lost or no sign comes.
func (c *client) heartbeat(interval, limit time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		if err := c.alive(limit); err != nil {
			c.cancel(err)
			return
		}
	}
}

// alive asks twice before it says that the driver hangs: when host and driver have stood still together, on a machine that was suspended or had
// too much to do, the time of the first question is over before the driver could have heard it.
func (c *client) alive(limit time.Duration) error {
	const questions = 2
	for range questions {
		ctx, cancel := context.WithTimeout(c.ctx, limit)
		_, err := c.rpc.Heartbeat(ctx, &linepb.HeartbeatRequest{})
		late := errors.Is(ctx.Err(), context.DeadlineExceeded)
		cancel()
		if err == nil {
			return nil
		}
		if !late {
			return fmt.Errorf("%w: heartbeat: %w", line.ErrDriver, err)
		}
	}
	return fmt.Errorf("%w: no sign of life within %v", line.ErrDriver, questions*limit)
}
