package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"trunkline.example/pns"
	"trunkline.example/pns/aaa"
	"trunkline.example/pns/addrpool"
	"trunkline.example/pns/config"
	"trunkline.example/pns/dataplane"
	"trunkline.example/pns/hostnet"
	"trunkline.example/pns/tun"
	"trunkline.example/shared/admin"
	"trunkline.example/shared/command"
	"trunkline.example/shared/gre/tunnel"
	"trunkline.example/shared/logging"
	"trunkline.example/shared/ppp/mppe"
	"trunkline.example/shared/record"
)

func runCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "run", Short: "run the server", Args: cobra.NoArgs,
		Long: "Run the server in the foreground until SIGTERM or SIGINT. SIGHUP reloads users and configuration for new calls.\n" +
			"Without --config the file is " + config.DefaultFile + " if it exists, else secure defaults hold.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(file)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), file, cfg)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	return cmd
}

// process is a running server with all that it stands on, in the order in which it is made; close undoes it backwards.
type process struct {
	file      string         // of the configuration, as given
	cfg       *config.Config // after the start only reloadOnHangup touches it
	log       *zap.Logger
	level     zap.AtomicLevel
	usersFile string
	users     *aaa.File
	pool      *addrpool.Pool
	records   *record.Writer
	server    *pns.Server
	filesRead atomic.Uint64 // how often, after the start
	undo      []func()
}

// serve runs the daemon until ctx ends.
func serve(ctx context.Context, file string, cfg *config.Config) error {
	log, level, err := logging.New(cfg.Log.Config())
	if err != nil {
		return command.Usage(err)
	}
	spareProcessor()
	p := &process{file: file, cfg: cfg, log: log, level: level, usersFile: cfg.Users.File}
	defer p.close()
	for _, step := range []func(context.Context) error{p.checkCrypto, p.openUsers, p.openRecords, p.openNetwork, p.listen} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	reloading, stop := context.WithCancel(ctx)
	defer stop()
	go p.reloadOnHangup(reloading)
	go p.watchUsers(reloading)
	debug.FreeOSMemory() // what reading the files has left
	go p.tidyMemory(reloading)
	log.Info("ready", zap.String(logging.KeyVersion, version), zap.Stringers("listening", p.server.Addresses()), zap.Int("users", p.users.Len()))
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	go func() {
		<-ctx.Done()
		log.Info("stopping")
		_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	}()
	return p.server.Run(ctx)
}

func (p *process) later(f func()) { p.undo = append(p.undo, f) }

func (p *process) close() {
	for i := len(p.undo) - 1; i >= 0; i-- {
		p.undo[i]()
	}
	_ = p.log.Sync()
}

// checkCrypto refuses at once what would fail at each login.
func (p *process) checkCrypto(context.Context) error {
	if err := mppe.Available(); err != nil {
		return fmt.Errorf("PPTP's authentication and encryption cannot be used in this process: %w", err)
	}
	return nil
}

func (p *process) openUsers(context.Context) error {
	users, err := aaa.OpenFile(p.cfg.Users.File, aaa.FileOptions{KeepNames: p.cfg.Users.KeepNames})
	if err != nil {
		return err
	}
	if users.Len() == 0 {
		p.log.Warn("nobody can log in yet: there are no users (`pns user add NAME`)", zap.String(logging.KeyFile, p.cfg.Users.File))
	}
	pool, err := addrpool.New(p.cfg.Pool.Config)
	if err != nil {
		return fmt.Errorf("address pool: %w", err)
	}
	pool.Reserve(users.FixedAddresses())
	p.users, p.pool = users, pool
	return nil
}

func (p *process) openRecords(context.Context) error {
	if p.cfg.Records.File == "" {
		return nil
	}
	w, err := record.Open(p.cfg.Records.File, record.Options{Sync: p.cfg.Records.Sync.Duration, Report: record.LogTo(p.log, p.cfg.Records.File)})
	if err != nil {
		return err
	}
	p.records = w
	p.later(func() {
		if err := w.Close(); err != nil {
			p.log.Error("call records are not complete", zap.Error(err))
		}
	})
	return nil
}

// openNetwork makes the TUN interface, tells the host of it, and starts the data plane and the server on it.
func (p *process) openNetwork(context.Context) error {
	n := p.cfg.Network
	device, err := tun.Open(tun.Options{Name: n.Interface, MTU: n.MTU, NoOffload: n.NoOffload, Queues: tunQueues, Readers: tunReaders(), Clients: p.cfg.Pool.Prefixes})
	if err != nil {
		return explainTUN(n.Interface, err)
	}
	if err := device.Shared(); err != nil {
		p.log.Info("all clients share one queue of the TUN interface", zap.Error(err))
	}
	n.Interface = device.Name()
	n.Report = func(text string) { p.log.Warn("host network", zap.String(logging.KeyWarning, text)) }
	network, warnings, err := hostnet.Setup(n.Config)
	if err != nil {
		_ = device.Close()
		return fmt.Errorf("network of interface %s: %w", n.Interface, err)
	}
	for _, w := range warnings {
		p.log.Warn("host network", zap.String(logging.KeyWarning, w))
	}
	plane := dataplane.New(dataplane.Options{
		Device: device, Server: p.cfg.Pool.Server, Clients: p.cfg.Pool.Prefixes, Isolation: n.Isolation, Log: p.log,
		Open: func(local netip.Addr) (tunnel.Conn, error) {
			return tunnel.Listen(tunnel.Config{Local: local, PathMTU: tunnel.PathMTUHonour})
		},
	})
	p.later(func() {
		if err := network.Close(); err != nil {
			p.log.Error("host network not restored", zap.Error(err))
		}
		if err := plane.Close(); err != nil {
			p.log.Error("data plane not closed", zap.Error(err))
		}
	})
	options := pns.Options{Config: p.cfg, Backend: p.users, Pool: p.pool, Plane: plane, Routes: network, Log: p.log}
	if p.records != nil {
		options.Records = p.records
	}
	if p.server, err = pns.New(options); err != nil {
		return err
	}
	return p.claimAddresses(plane)
}

// tunQueues is how many queues the TUN interface is to have: a flood holds up those clients whose queue is the same, and a queue costs the kernel 20 KiB.
const tunQueues = 32

// spareProcessor gives Go's runtime one processor more than it would use. A goroutine that has more to send than it can keeps one for 10 ms at a time, each of
// those that read the TUN may, and what clients send is not to wait for that; the kernel divides the true processors among threads more finely.
func spareProcessor() {
	if os.Getenv("GOMAXPROCS") == "" { // an operator's own number is left alone
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// tunReaders is how many goroutines read them: one of the runtime's processors is left for what clients send.
func tunReaders() int {
	const most = 8
	return min(max(runtime.GOMAXPROCS(0)-1, 1), most)
}

// claimAddresses opens GRE on the addresses that the configuration names, so that a conflict shows at the start. On a
// listener of all addresses it is opened when the first connection comes.
func (p *process) claimAddresses(plane *dataplane.Plane) error {
	for _, l := range p.cfg.Listeners {
		if l.Address.Addr().IsUnspecified() {
			continue
		}
		switch err := plane.Prepare(l.Address.Addr()); {
		case errors.Is(err, tunnel.ErrAddressInUse):
			return fmt.Errorf("listener %q: %w: another PPTP program (a pac?) uses %v, and each would get the other's packets; give them different addresses (in a lab 127.0.0.1 and 127.0.0.2)",
				l.Name, err, l.Address.Addr())
		case errors.Is(err, unix.EADDRNOTAVAIL):
			return fmt.Errorf("listener %q: this machine has no address %v: %w", l.Name, l.Address.Addr(), err)
		case errors.Is(err, unix.EPERM):
			return fmt.Errorf("listener %q: %w: raw GRE sockets need root or CAP_NET_RAW", l.Name, err)
		case err != nil:
			return fmt.Errorf("listener %q: %w", l.Name, err)
		}
	}
	return nil
}

func explainTUN(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: this kernel has no TUN device (modprobe tun), or the container lacks /dev/net/tun", err)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: interface %s is in use; is pns running already?", err, name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: needs root or CAP_NET_ADMIN", err)
	}
	return err
}

// listen opens the operator's socket and the listeners.
func (p *process) listen(ctx context.Context) error {
	options := p.cfg.Admin.Options()
	options.Logger = p.log
	api := admin.NewServer(options)
	p.server.Endpoints(api)
	stop, err := api.Start()
	if errors.Is(err, admin.ErrInUse) {
		return fmt.Errorf("%w: is pns running already?", err)
	}
	if err != nil {
		return err
	}
	p.later(stop)
	if err := p.server.Listen(ctx); err != nil {
		if errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("%w: ports below 1024 need root or CAP_NET_BIND_SERVICE", err)
		}
		return err
	}
	return nil
}
