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

	"trunkline.example/shared/confine"
	"trunkline.example/shared/line"
	"trunkline.example/shared/logging"
)

// Command is how a driver's process is started.
type Command struct {
	Name string   // of the driver's section, for logs
	Path string   // of the executable
	Args []string // without the name of the program
	Env  []string // in addition to what a driver needs; the host's environment is not handed down
	Keep Keep     // have the process outlive the host
	// Foreign has the executable checked: nobody but root and our own user may be able to change what we run.
	Foreign bool
	// Confine keeps the process from all files but those of Files and what every program needs, and from signals to others, where the kernel can
	// (package confine). Where it cannot, the process runs all the same, and Status tells why it is not confined.
	Confine bool
	Files   []confine.Rule
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
	keep     Keep
	taken    bool // it had another host before

	confinement Confinement
}

// start starts the process and asks it who it is.
func start(ctx context.Context, command Command, log *zap.Logger) (*process, error) {
	if command.Foreign {
		if err := trusted(command.Path); err != nil {
			return nil, fmt.Errorf("driver process %s: %w", command.Path, err)
		}
	}
	log = log.With(zap.String(logging.KeyDriver, command.Name))
	p := &process{keep: command.Keep}
	var err error
	if p.keep.on() {
		if p.dir, err = p.keep.hold(); err != nil {
			return nil, err
		}
		switch taken, err := p.takeOver(ctx, log); {
		case err != nil:
			_ = p.dir.Close()
			return nil, err
		case taken:
			return p, nil
		}
	} else if p.dir, err = makeSocketDir(); err != nil {
		return nil, err
	}
	return p, p.spawn(ctx, command, log)
}

// spawn starts a new process.
func (p *process) spawn(ctx context.Context, command Command, log *zap.Logger) error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		p.removeDir()
		return err
	}
	defer theirs.Close()
	p.lifeline = ours
	life, shoot := context.WithCancel(context.Background())
	p.shoot = shoot
	cmd := exec.CommandContext(life, command.Path, command.Args...)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Env = append(append([]string{}, command.Env...), socketDirEnv+"="+p.dir.Name(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR="+p.dir.Name())
	if p.keep.on() {
		cmd.Env = append(cmd.Env, keepEnv+"="+p.keep.For.String())
	}
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // signals from the terminal are for the host
	config := clientConfig(log)
	config.Cmd, config.SkipHostEnv = cmd, true
	p.client = plugin.NewClient(config)
	unconfined, err := p.connect(ctx, command.rules(p.dir.Name()))
	switch {
	case !command.Confine:
		unconfined = errNotWanted
	case unconfined != nil:
		log.Warn("the driver's process can open whatever its user can", zap.String(logging.KeyReason, unconfined.Error()))
	}
	p.confinement = confinement(unconfined)
	if err == nil {
		p.pid = cmd.Process.Pid
		if p.keep.on() {
			err = p.keep.note(p.pid, p.client.ReattachConfig().Addr, p.confinement)
		}
	}
	if err != nil {
		p.kill()
		return fmt.Errorf("driver process %s: %w", command.Path, err)
	}
	return nil
}

func clientConfig(log *zap.Logger) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig: handshake, Plugins: plugin.PluginSet{pluginName: &glue{}},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC}, StartTimeout: startLimit, Logger: newHclog(log),
	}
}

// takeOver makes the process that waits in the directory ours. One that does not answer is ended; the lines begin anew then. If it is we who
// have no time any more, it goes on waiting.
func (p *process) takeOver(ctx context.Context, log *zap.Logger) (bool, error) {
	w, ok := p.keep.waiting()
	if !ok {
		p.keep.clear()
		return false, nil
	}
	config := clientConfig(log)
	config.Reattach = w.reattach()
	p.client, p.pid, p.taken, p.confinement = plugin.NewClient(config), w.PID, true, w.Confinement
	p.shoot = func() { _ = syscall.Kill(-w.PID, syscall.SIGKILL) }
	_, err := p.connect(ctx, nil)
	if err == nil {
		log.Info("the driver of the last host goes on", zap.Int("pid", w.PID))
		return true, nil
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	log.Warn("the driver of the last host cannot be taken over, and is ended", zap.Int("pid", w.PID), zap.Error(err))
	p.shoot()
	p.client.Kill()
	p.client, p.conn, p.pid, p.taken, p.confinement = nil, nil, 0, false, Confinement{}
	p.keep.clear()
	return false, nil
}

// leave gives the process up without ending it: it waits for its next host.
func (p *process) leave() {
	p.conn.close(line.ErrDriver)
	_ = p.conn.transport.Close()
	if p.lifeline != nil {
		_ = p.lifeline.Close()
	}
	_ = p.dir.Close()
}

// connect starts the process, unless it was taken over, and waits for it. go-plugin knows no context; a process that is killed ends its waiting. unconfined is
// why the rules are not in force.
func (p *process) connect(ctx context.Context, rules []confine.Rule) (unconfined, err error) {
	limit, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if !p.taken { // one that is to go on is not killed because we have no time any more; and it has its socket already
		defer context.AfterFunc(limit, p.shoot)()
	}
	var rpc plugin.ClientProtocol
	unconfined, err = withLittlePrivilege(rules, func() (err error) { // the process is started here
		rpc, err = p.client.Client()
		return err
	})
	if err != nil {
		return unconfined, fmt.Errorf("%w: %s", line.ErrDriver, firstLine(err.Error()))
	}
	raw, err := rpc.Dispense(pluginName)
	if err != nil {
		return unconfined, fmt.Errorf("%w: %w", line.ErrDriver, err)
	}
	p.conn, err = newClient(ctx, raw.(*grpc.ClientConn))
	if err == nil {
		p.conn.transport = raw.(*grpc.ClientConn)
	}
	return unconfined, err
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
	if p.lifeline != nil {
		_ = p.lifeline.Close()
	}
	patience := time.AfterFunc(killAfter, p.shoot) // go-plugin would wait for ever for the answer of a process that hangs
	p.client.Kill()
	patience.Stop()
	p.shoot()
	p.removeDir()
}

func (p *process) removeDir() {
	if p.keep.on() {
		p.keep.clear()
	} else {
		_ = os.RemoveAll(p.dir.Name())
	}
	_ = p.dir.Close()
}
