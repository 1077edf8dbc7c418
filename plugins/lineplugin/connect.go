package lineplugin

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"trunkline.example/shared/line"
)

// Boundary is a driver behind gRPC but in this very process: for tests of drivers and of hosts. It implements line.Driver.
type Boundary struct {
	conn   *client
	server *grpc.Server
	dial   *grpc.ClientConn
	served chan struct{}
	dir    string
}

// InProcess puts a driver behind gRPC over a Unix socket.
func InProcess(driver line.Driver) (*Boundary, error) {
	dir, err := os.MkdirTemp("", "trunkline-driver-*")
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "driver")
	l, err := net.Listen("unix", socket)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	b := &Boundary{server: grpc.NewServer(grpc.Creds(sameUser{})), served: make(chan struct{}), dir: dir}
	register(b.server, driver, newHosts(0, nil))
	go func() {
		defer close(b.served)
		_ = b.server.Serve(l)
	}()
	if b.dial, err = grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials())); err == nil {
		b.conn, err = newClient(context.Background(), b.dial)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Info implements line.Driver.
func (b *Boundary) Info() line.Info { return b.conn.info }

// Open implements line.Driver. It can be called once.
func (b *Boundary) Open(ctx context.Context, section line.Section) ([]line.Line, error) {
	var order []line.Line
	err := b.conn.open(ctx, section, func(id line.Identity) *proxy {
		p := newProxy(id)
		order = append(order, p)
		return p
	})
	return order, err
}

// Close ends the boundary. Lines that were not shut down see their driver gone.
func (b *Boundary) Close() {
	if b.conn != nil {
		b.conn.close(errors.New("closed"))
	}
	b.server.Stop()
	if b.dial != nil {
		_ = b.dial.Close()
	}
	<-b.served
	_ = os.RemoveAll(b.dir)
}
