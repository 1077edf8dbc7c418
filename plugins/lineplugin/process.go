package lineplugin

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

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
	// Foreign has the executable checked: nobody but root and our own user may be able to change what we run.
	Foreign bool
}

const (
	// startLimit is how long a driver may take from its start until it has said who it is.
	startLimit = 15 * time.Second
	// killAfter is how long a driver may take to end when it is asked to.
	killAfter = 3 * time.Second
	// longestText is how much of what is no driver's greeting is told, in octets.
	longestText = 200
)

// process is a running driver process and the connection to it.
type process struct {
	client   *plugin.Client
	conn     *client
	pid      int
	lifeline *os.File
	dir      *os.File           // of its socket; removed at its end
	shoot    context.CancelFunc // ends it and what it has started at once
}

// start starts the process and asks it who it is.
func start(ctx context.Context, command Command, log *zap.Logger) (*process, error) {
	if command.Foreign {
		if err := trusted(command.Path); err != nil {
			return nil, fmt.Errorf("driver process %s: %w", command.Path, err)
		}
	}
	dir, err := makeSocketDir()
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir}
	theirs, ours, err := os.Pipe()
	if err != nil {
		p.removeDir()
		return nil, err
	}
	defer theirs.Close()
	p.lifeline = ours
	life, shoot := context.WithCancel(context.Background())
	p.shoot = shoot
	cmd := exec.CommandContext(life, command.Path, command.Args...)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = append(append([]string{}, command.Env...), socketDirEnv+"="+dir.Name(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR="+dir.Name())
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals from the terminal are for the host
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: plugin.PluginSet{pluginName: &glue{}}, Cmd: cmd, SkipHostEnv: true,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		StartTimeout:     startLimit,
		Logger:           newHclog(log.With(zap.String(logging.KeyDriver, command.Name))),
	})
	if err := p.connect(ctx); err != nil {
		p.kill()
		return nil, fmt.Errorf("driver process %s: %w", command.Path, err)
	}
	p.pid = cmd.Process.Pid
	return p, nil
}

// connect waits for the process. go-plugin knows no context; a process that is killed ends its waiting.
func (p *process) connect(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	stop := context.AfterFunc(limit, p.shoot)
	defer stop()
	rpc, err := p.client.Client()
	if err != nil {
		return fmt.Errorf("%w: %s", line.ErrDriver, firstLine(err.Error()))
	}
	raw, err := rpc.Dispense(pluginName)
	if err != nil {
		return fmt.Errorf("%w: %w", line.ErrDriver, err)
	}
	p.conn, err = newClient(ctx, raw.(*grpc.ClientConn))
	return err
}

// firstLine shortens what go-plugin says: all that the process has printed, and guesses.
func firstLine(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > longestText {
		text = text[:longestText] + "..."
	}
	return text
}

// kill ends the process, asking first, and removes what it left behind.
func (p *process) kill() {
	if p.conn != nil {
		p.conn.close(line.ErrDriver)
	}
	_ = p.lifeline.Close()
	patience := time.AfterFunc(killAfter, p.shoot) // go-plugin would wait for ever for the answer of a process that hangs
	p.client.Kill()
	patience.Stop()
	p.shoot()
	p.removeDir()
}

func (p *process) removeDir() {
	_ = os.RemoveAll(p.dir.Name())
	_ = p.dir.Close()
}
