package lineplugin

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	"trunkline.example/shared/line"
)

// inProcess is a driver behind gRPC but in this very process: for tests of drivers and of hosts.
type inProcess struct {
	conn   *client
	server *grpc.Server
	driver *tracking
}

func (i *inProcess) Info() line.Info { return i.conn.info }

func (i *inProcess) Open(ctx context.Context, section line.Section) ([]line.Line, error) {
	var order []line.Line
	err := i.conn.open(ctx, section, func(id line.Identity) *proxy {
		p := newProxy(id)
		order = append(order, p)
		return p
	})
	return order, err
}

// Close ends the boundary. Lines that were not shut down see their driver gone.
func (i *inProcess) Close() {
	i.conn.close(errors.New("closed"))
	i.server.Stop()
}
