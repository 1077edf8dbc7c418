package lineplugin

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/hashicorp/go-plugin"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

// Command is how a driver's process is started.
type Command struct {
	Name string   // of the driver's section, for logs
	Path string   // of the executable
	Args []string // without the name of the program
	Env  []string // in addition to what a driver needs; the host's environment is not handed down
}

// process is a running driver process and the connection to it.
type process struct {
	client   *plugin.Client
	conn     *client
	pid      int
	lifeline *os.File
	dir      string
}

// start starts the process and asks it who it is.
func start(ctx context.Context, command Command, log *zap.Logger) (*process, error) {
	dir, err := os.MkdirTemp("", "trunkline-driver-*")
	if err != nil {
		return nil, err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(command.Path, command.Args...)
	cmd.Env = append(append([]string{}, command.Env...), "PLUGIN_UNIX_SOCKET_DIR="+dir, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR="+dir)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals from the terminal are for the host
	p := &process{lifeline: ours, dir: dir}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: plugin.PluginSet{pluginName: &glue{}}, Cmd: cmd, SkipHostEnv: true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           newHclog(log.With(zap.String(logging.KeyDriver, command.Name))),
	})
	if err := p.connect(ctx); err != nil {
		p.kill()
		return nil, fmt.Errorf("driver process %s: %w", command.Path, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

func (p *process) connect(ctx context.Context) error {
	rpc, err := p.client.Client()
	if err != nil {
		return fmt.Errorf("%w: %w", line.ErrDriver, err)
	}
	raw, err := rpc.Dispense(pluginName)
	if err != nil {
		return fmt.Errorf("%w: %w", line.ErrDriver, err)
	}
	p.conn, err = newClient(ctx, raw.(*grpc.ClientConn))
	return err
}

// kill ends the process, asking first, and removes what it left behind.
func (p *process) kill() {
	if p.conn != nil {
		p.conn.close(line.ErrDriver)
	}
	_ = p.lifeline.Close()
	p.client.Kill()
	_ = os.RemoveAll(p.dir)
}
