package main

import (
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"trunkline.example/pns/config"
	"trunkline.example/shared/logging"
)

// reloadOnHangup reloads at each SIGHUP until ctx ends.
func (p *process) reloadOnHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			p.reload()
		}
	}
}

// reload takes in changed files. Each of them stays as it was if it is bad.
func (p *process) reload() {
	p.log.Info("reloading")
	if p.records != nil {
		if err := p.records.Reopen(); err != nil {
			p.log.Error("call records: the old file stays in use", zap.Error(err))
		}
	}
	p.usersReloaded(p.users.Len(), p.users.Reload())
	next, err := loadConfig(p.file)
	if err != nil {
		p.log.Error("the configuration stays as it was", zap.Error(err))
		return
	}
	if keys := p.cfg.NeedsRestart(next); len(keys) > 0 {
		p.log.Warn("changes that need a restart are left out", zap.String("keys", strings.Join(keys, ", ")))
	}
	if err := logging.SetLevel(p.level, next.Log.Level); err != nil {
		p.log.Error("the log level stays as it was", zap.Error(err))
	}
	// What cannot change stays, so that what the server shows and uses is what is.
	next.Listeners, next.Sites, next.Pool, next.Network, next.Admin, next.Records = keepListeners(p.cfg, next), p.cfg.Sites, p.cfg.Pool, p.cfg.Network, p.cfg.Admin, p.cfg.Records
	p.cfg = next
	p.server.Reload(next)
	p.log.Info("configuration reloaded", zap.String(logging.KeyFile, next.File))
}

// watchUsers takes in changes of the users file until ctx ends.
func (p *process) watchUsers(ctx context.Context) { p.users.Watch(ctx, p.usersReloaded) }

func (p *process) usersReloaded(users int, err error) {
	if err != nil {
		p.log.Error("users stay as they were", zap.String(logging.KeyFile, p.usersFile), zap.Error(err))
		return
	}
	p.pool.Reserve(p.users.FixedAddresses())
	p.filesRead.Add(1)
	p.log.Info("users reloaded", zap.Int("users", p.users.Len()))
}

// keepListeners gives the listeners that are open the policies of the new configuration, by name. What has been added or
// moved to another address waits for a restart; one that is named no more keeps its old policy until then.
func keepListeners(now, next *config.Config) []config.Listener {
	kept := slices.Clone(now.Listeners)
	for i := range kept {
		for _, l := range next.Listeners {
			if l.Name == kept[i].Name {
				kept[i].Policy = l.Policy
			}
		}
	}
	return kept
}
