package lineplugin

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"trunkline.example/shared/line"
)

// handshake tells a driver that somebody started it by hand; it is no secret. Our own version is in Hello.
var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "TRUNKLINE_LINE_DRIVER", MagicCookieValue: "line"}

// pluginName is what the driver is called within go-plugin.
const pluginName = "line"

// lifeline is the descriptor on which a driver notices that its host has died: nothing is ever written to it.
const lifeline = 3

// freeLimit is how long a driver takes to free its lines when its host has died.
const freeLimit = 10 * time.Second

// glue makes a driver (or none, in the host) a go-plugin plugin.
type glue struct {
	plugin.NetRPCUnsupportedPlugin
	driver line.Driver
	hosts  *hosts
}

func (g *glue) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	register(s, g.driver, g.hosts)
	return nil
}

func (g *glue) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// Serve is the whole life of a driver's process: it serves the driver to the host that started it. When the host dies, the
// driver's lines are freed and the process ends, unless the host wanted them kept (Keep) for the next one. It returns when the host has
// ended the process in an orderly way.
func Serve(driver line.Driver) {
	// The host's end closes the pipes that are our standard error; a write to them must not kill us before the lines are free.
	signal.Ignore(syscall.SIGPIPE)
	tracked := &tracking{Driver: driver}
	keep := patience()
	if !driver.Info().Capabilities.Recover {
		keep = 0
	}
	hosts := newHosts(keep, func() { freeAndEnd(tracked) })
	go watchHost(tracked, hosts)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{pluginName: &glue{driver: tracked, hosts: hosts}},
		GRPCServer:      func(o []grpc.ServerOption) *grpc.Server { return grpc.NewServer(append(o, grpc.Creds(sameUser{}))...) },
		Logger:          hclog.New(&hclog.LoggerOptions{Level: hclog.Info, Output: os.Stderr, JSONFormat: true}),
	})
	tracked.free()
}

// watchHost waits for the host's death.
func watchHost(t *tracking, h *hosts) {
	end := os.NewFile(lifeline, "lifeline")
	if end == nil {
		return
	}
	if _, err := end.Stat(); err != nil {
		return // started by hand
	}
	var b [1]byte
	_, _ = end.Read(b[:])
	if h.patience > 0 {
		h.wait()
		return
	}
	freeAndEnd(t)
}

// freeAndEnd is the end of a driver that has no host.
func freeAndEnd(t *tracking) {
	t.free()
	removeOwnSocketDir()
	os.Exit(0)
}
